/*
 * test_qxl.c - what QXL says of itself and how it draws, compared with a picture worked out pixel by pixel. All that is drawn
 * is recorded as well; the recording, played into another device, must lead to the same picture.
 */
#include "base/error.h"
#include "spice/codec/lz.h"
#include "spice/codec/quic.h"
#include "tests/device/qxl_follower.h"
#include "tests/device/qxl_oracle.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/qxl_guest.h"
#include "tests/lib/trace.h"

/* --- what the device says of itself --- */

static void identifies_itself(void **state)
{
    struct driver *d = *state;
    const QXLModes *modes;

    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 0, 4), 0x01001b36);
    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 8, 4), 0x03000005);
    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 0x2c, 4), 0x11001af4);
    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 0x3d, 1), 1);
    assert_memory_equal(&d->rom->magic, "QXRO", 4);
    assert_memory_equal(&d->header->magic, "QXRA", 4);
    assert_int_equal(d->rom->ram_header_offset, MIB(64) - ALIGN_UP(sizeof(QXLRam), 4096));
    assert_int_equal(d->rom->surface0_area_size, MIB(16));
    assert_int_equal(d->rom->pages_offset + d->rom->num_pages * 4096, d->rom->ram_header_offset);
    assert_int_equal(d->rom->slots_start, 1);
    assert_int_equal(d->rom->slots_end, 7);
    assert_int_equal(d->rom->n_surfaces, 1024);
    modes = (const QXLModes *)((const uint8_t *)d->rom + d->rom->modes_offset);
    assert_true(modes->n_modes > 60);
    for (unsigned i = 0; i < modes->n_modes; i++) {
        assert_int_equal(modes->modes[i].id, i);
        assert_true((uint64_t)modes->modes[i].x_res * modes->modes[i].y_res * 4 <= MIB(16));
    }
    assert_int_equal(shared_load(FIELD(d, cmd_ring.num_items)), 32);
    assert_int_equal(shared_load(FIELD(d, release_ring.num_items)), 8);
    assert_int_equal(fake_in(&d->machine, d->io, 1), 0xff);
}

static void refuses_bad_revisions(void **state)
{
    struct driver *d = *state;
    struct qxl_config config = {.revision = 6};
    struct display *display;

    assert_int_equal(qxl_create(&d->machine.base, PCI_DEVFN(3, 0), &config, &display), -22);
}

static void secondary_has_no_vga(void **state)
{
    struct driver *d = *state;
    struct qxl_config config = {.id = 1, .vgamem = MIB(100), .ram = MIB(1)};
    struct display *display;
    struct screenshot shot;

    assert_int_equal(qxl_create(&d->machine.base, PCI_DEVFN(3, 0), &config, &display), 0);
    assert_int_equal(fake_pci_read(&d->machine, PCI_DEVFN(3, 0), 0x0a, 2), 0x0380);
    assert_int_equal(screenshot_take(&shot, display), -2);
    fake_machine_reset(&d->machine);
    assert_int_equal(screenshot_take(&shot, display), -2);
}

/* --- drawing --- */

static void draws_like_the_oracle(void **state)
{
    struct driver *d = *state;

    check_picture(d);
    for (unsigned i = 0; i < 1500; i++) {
        if (d->next > MIB(40))
            d->next =
                d->rom->pages_offset; /* all before was drawn: see the last lines of the loop */
        (rnd() % 8 == 0 ? random_fill : rnd() % 8 == 1 ? random_copy_bits : random_copy)(d);
        driver_collect(d);
        if (i % 100 == 99) {
            check_picture(d);
            driver_out(d, QXL_IO_FLUSH_RELEASE, 0);
            driver_collect(d);
            assert_int_equal(d->release_count, i + 1);
        }
    }
    assert_false(in_bug(d));
}

/* Rows of the whole screen, or of its left part, up or down. */
static void random_scroll(struct driver *d)
{
    int32_t width = rnd() % 2 ? WIDTH : WIDTH / 2, height = HEIGHT / 2 + rnd() % (HEIGHT / 2);
    int32_t from = rnd() % (HEIGHT - height + 1), to = rnd() % (HEIGHT - height + 1);

    driver_move(d, &(struct rect){0, to, width, to + height}, 0, from - to);
}

static void moves_are_told(void **state)
{
    static void (*const commands[])(struct driver *d) = {random_fill, random_copy, random_copy_bits,
                                                         random_scroll};
    struct driver *d = *state;
    struct follower f;

    follow(&f, d);
    for (unsigned i = 0; i < 600; i++) {
        commands[rnd() % ARRAY_SIZE(commands)](d);
        driver_collect(d);
        if (i % 20 != 19)
            continue;
        check_picture(d);
        check_follower(&f);
    }
    assert_true(f.moves > 200);
    unfollow(&f);
}

static uint32_t from_555(uint32_t p)
{
    uint32_t r = p >> 10 & 31, g = p >> 5 & 31, b = p & 31;

    return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

/* One bitmap of each depth, decoded slowly. */
static uint32_t bitmap_pixel(const uint8_t *row, unsigned x, unsigned format,
                             const uint32_t *palette)
{
    switch (format) {
    case SPICE_BITMAP_FMT_1BIT_LE:
        return palette[row[x / 8] >> x % 8 & 1];
    case SPICE_BITMAP_FMT_1BIT_BE:
        return palette[row[x / 8] >> (7 - x % 8) & 1];
    case SPICE_BITMAP_FMT_4BIT_LE:
        return palette[row[x / 2] >> (x % 2 * 4) & 15];
    case SPICE_BITMAP_FMT_4BIT_BE:
        return palette[row[x / 2] >> (4 - x % 2 * 4) & 15];
    case SPICE_BITMAP_FMT_8BIT:
        return palette[row[x]];
    case SPICE_BITMAP_FMT_16BIT:
        return from_555(load_le16(row + 2 * x));
    case SPICE_BITMAP_FMT_24BIT:
        return row[3 * x] | row[3 * x + 1] << 8 | row[3 * x + 2] << 16;
    default:
        return load_le32(row + 4 * x) & 0xffffff;
    }
}

static void draw_format(struct driver *d, unsigned format, unsigned bits, unsigned stride,
                        size_t piece)
{
    static uint8_t data[256 * 200];
    uint32_t palette[256], pixels[50 * 40];
    uint64_t image, palette_addr;
    QXLPalette *p = driver_alloc(d, sizeof(*p) + sizeof(palette), &palette_addr);

    p->num_ents = 256;
    for (unsigned i = 0; i < 256; i++)
        palette[i] = p->ents[i] = rnd() & 0xffffff;
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = rnd();
    assert_true(stride * 8 >= 50 * bits && stride <= 256);
    image = driver_bitmap(d, format, 50, 40, stride, data, piece, true);
    if (bits <= 8)
        ((QXLImage *)(d->ram + (image & 0xffffffff)))->bitmap.palette = palette_addr;
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 10, 20, 50, 40, image));
    for (unsigned i = 0; i < 50 * 40; i++)
        pixels[i] = bitmap_pixel(data + i / 50 * stride, i % 50, format, palette);
    oracle_put(pixels, 10, 20, 50, 40, NULL, 0);
    check_picture(d);
}

static void draws_all_bitmap_formats(void **state)
{
    static const struct {
        unsigned format, bits;
    } formats[] = {
        {SPICE_BITMAP_FMT_1BIT_LE, 1}, {SPICE_BITMAP_FMT_1BIT_BE, 1}, {SPICE_BITMAP_FMT_4BIT_LE, 4},
        {SPICE_BITMAP_FMT_4BIT_BE, 4}, {SPICE_BITMAP_FMT_8BIT, 8},    {SPICE_BITMAP_FMT_16BIT, 16},
        {SPICE_BITMAP_FMT_24BIT, 24},  {SPICE_BITMAP_FMT_32BIT, 32},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        unsigned row = DIV_ROUND_UP(50 * formats[i].bits, 8);

        draw_format(*state, formats[i].format, formats[i].bits, row, 0);
        draw_format(*state, formats[i].format, formats[i].bits, row + 3, 77);
        draw_format(*state, formats[i].format, formats[i].bits, ALIGN_UP(row, 4) + 8, 100000);
    }
}

static void draws_masks_and_raster_operations(void **state)
{
    struct driver *d = *state;
    uint8_t mask[8 * 20];
    uint64_t addr, image;
    QXLDrawable *p;

    for (unsigned i = 0; i < sizeof(mask); i++)
        mask[i] = rnd();
    image = driver_bitmap(d, SPICE_BITMAP_FMT_1BIT_BE, 30, 20, 8, mask, 0, true);
    p = driver_drawable(d, QXL_DRAW_WHITENESS, 0,
                        (QXLRect){.left = 5, .top = 6, .right = 35, .bottom = 26}, &addr);
    p->u.whiteness.mask.bitmap = image;
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned i = 0; i < 30 * 20; i++)
        if (mask[i / 30 * 8 + i % 30 / 8] >> (7 - i % 30 % 8) & 1)
            oracle[(6 + i / 30) * WIDTH + 5 + i % 30] = 0xffffff;
    check_picture(d);
    p = driver_drawable(d, QXL_DRAW_INVERS, 0, (QXLRect){.right = WIDTH, .bottom = HEIGHT}, &addr);
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        oracle[i] ^= 0xffffff;
    check_picture(d);
    p = driver_drawable(d, QXL_DRAW_FILL, 0, (QXLRect){.left = 1, .right = 9, .bottom = 50}, &addr);
    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0x123456};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_XOR;
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned i = 0; i < 8 * 50; i++)
        oracle[i / 8 * WIDTH + 1 + i % 8] ^= 0x123456;
    check_picture(d);
}

static QXLDrawable *box_drawable(struct driver *d, uint8_t type, int x, int y, int width,
                                 int height, uint64_t *addr)
{
    return driver_drawable(
        d, type, 0, (QXLRect){.left = x, .top = y, .right = x + width, .bottom = y + height}, addr);
}

static void fill_primary(struct driver *d, uint32_t color)
{
    uint64_t addr;
    QXLDrawable *p = box_drawable(d, QXL_DRAW_FILL, 0, 0, WIDTH, HEIGHT, &addr);

    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = color};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        oracle[i] = color;
}

static void draws_with_transparency(void **state)
{
    struct driver *d = *state;
    uint32_t pixels[4] = {0xff112233, 0x80400000, 0x00000000, 0xff112233};
    uint64_t image = driver_bitmap(d, SPICE_BITMAP_FMT_RGBA, 2, 2, 8, pixels, 0, true), addr;
    QXLDrawable *p;

    fill_primary(d, 0x808080);
    p = box_drawable(d, QXL_DRAW_TRANSPARENT, 10, 10, 2, 2, &addr);
    p->u.transparent = (QXLTransparent){
        .src_bitmap = driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, 2, 2, 8, pixels, 0, true),
        .src_area = {.right = 2, .bottom = 2},
        .src_color = 0x112233,
        .true_color = 0x112233};
    driver_push(d, QXL_CMD_DRAW, addr);
    oracle[10 * WIDTH + 11] = 0x400000;
    oracle[11 * WIDTH + 10] = 0;
    p = box_drawable(d, QXL_DRAW_ALPHA_BLEND, 20, 10, 2, 2, &addr);
    p->u.alpha_blend =
        (QXLAlphaBlend){.alpha = 255, .src_bitmap = image, .src_area = {.right = 2, .bottom = 2}};
    driver_push(d, QXL_CMD_DRAW, addr);
    p = box_drawable(d, QXL_DRAW_COMPOSITE, 30, 10, 2, 2, &addr);
    p->u.composite = (QXLComposite){.flags = QXL_OP_OVER, .src = image};
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned x = 20; x <= 30; x += 10) {
        oracle[10 * WIDTH + x] = 0x112233;
        oracle[11 * WIDTH + x + 1] = 0x112233;
    }
    /* Half of 80 is 40 or 3f, as the rounding goes. */
    for (unsigned x = 21; x <= 31; x += 10) {
        struct screenshot shot;
        uint32_t shown;

        assert_int_equal(screenshot_take(&shot, d->display), 0);
        shown = shot.pixels[10 * WIDTH + x];
        screenshot_fini(&shot);
        assert_in_range(shown >> 16, 0x7f, 0x80);
        assert_in_range(shown & 0xff, 0x3f, 0x40);
        oracle[10 * WIDTH + x] = shown;
    }
    check_picture(d);
}

static void draws_text(void **state)
{
    struct driver *d = *state;
    const uint8_t bits[] = {0xaa, 0x81, 0x3c};
    uint64_t addr, str;
    QXLDrawable *p = box_drawable(d, QXL_DRAW_TEXT, 40, 40, 20, 20, &addr);
    QXLString *s = driver_alloc(d, sizeof(*s) + 2 * (sizeof(QXLRasterGlyph) + 3), &str);
    uint8_t *out = s->chunk.data;

    *s = (QXLString){.data_size = 2 * (sizeof(QXLRasterGlyph) + 3),
                     .length = 2,
                     .flags = SPICE_STRING_FLAGS_RASTER_A1 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN,
                     .chunk.data_size = 2 * (sizeof(QXLRasterGlyph) + 3)};
    for (int i = 0; i < 2; i++) {
        QXLRasterGlyph glyph = {
            .render_pos = {42 + 10 * i, 50}, .glyph_origin = {0, -3}, .width = 8, .height = 3};

        memcpy(out, &glyph, sizeof(glyph));
        memcpy(out + sizeof(glyph), bits, sizeof(bits));
        out += sizeof(glyph) + sizeof(bits);
    }
    p->u.text = (QXLText){.str = str,
                          .back_area = {.left = 40, .top = 45, .right = 60, .bottom = 52},
                          .fore_brush = {.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0xffee00},
                          .back_brush = {.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0x000080},
                          .fore_mode = SPICE_ROPD_OP_PUT,
                          .back_mode = SPICE_ROPD_OP_PUT};
    driver_push(d, QXL_CMD_DRAW, addr);
    for (int y = 45; y < 52; y++)
        for (int x = 40; x < 60; x++)
            oracle[y * WIDTH + x] = 0x80;
    for (int i = 0; i < 48; i++)
        if (bits[i / 8 % 3] >> (7 - i % 8) & 1)
            oracle[(47 + i / 8 % 3) * WIDTH + 42 + i / 24 * 10 + i % 8] = 0xffee00;
    check_picture(d);
    /* A string that claims more glyphs than it has draws nothing. */
    s->length = 3;
    driver_push(d, QXL_CMD_DRAW, addr);
    check_picture(d);
    assert_false(in_bug(d));
}

static void draws_lines(void **state)
{
    struct driver *d = *state;
    const int32_t points[] = {10 << 4, 5 << 4, 30 << 4, 5 << 4, 30 << 4, 9 << 4};
    uint64_t addr, path_addr;
    QXLDrawable *p = box_drawable(d, QXL_DRAW_STROKE, 0, 0, 100, 100, &addr);
    QXLPath *path =
        driver_alloc(d, sizeof(*path) + sizeof(QXLPathSeg) + sizeof(points), &path_addr);
    QXLPathSeg segment = {.flags = QXL_PATH_BEGIN | QXL_PATH_END, .count = 3};

    *path = (QXLPath){.data_size = sizeof(segment) + sizeof(points),
                      .chunk.data_size = sizeof(segment) + sizeof(points)};
    memcpy(path->chunk.data, &segment, sizeof(segment));
    memcpy(path->chunk.data + sizeof(segment), points, sizeof(points));
    p->u.stroke = (QXLStroke){.path = path_addr,
                              .brush = {.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0x00ff00},
                              .fore_mode = SPICE_ROPD_OP_PUT};
    driver_push(d, QXL_CMD_DRAW, addr);
    for (int x = 10; x <= 30; x++)
        oracle[5 * WIDTH + x] = 0xff00;
    for (int y = 5; y < 9; y++)
        oracle[y * WIDTH + 30] = 0xff00;
    check_picture(d);
}

/* A picture that the driver has compressed. */
static uint64_t compressed_image(struct driver *d, uint8_t type, const struct writer *w)
{
    uint64_t addr;
    uint32_t size = w->size;
    size_t head = sizeof(QXLImageDescriptor) + sizeof(size);
    QXLDataChunk chunk = {.data_size = MIN(size, 40)};
    uint8_t *p = driver_alloc(d, head + sizeof(chunk) + 40, &addr);
    QXLImageDescriptor descriptor = {.type = type};

    if (size > 40)
        chunk.next_chunk = driver_chunks(d, w->data + 40, size - 40, 1000);
    memcpy(p, &descriptor, sizeof(descriptor));
    memcpy(p + sizeof(descriptor), &size, sizeof(size));
    memcpy(p + head, &chunk, sizeof(chunk));
    memcpy(p + head + sizeof(chunk), w->data, chunk.data_size);
    return addr;
}

static void draws_compressed_pictures(void **state)
{
    struct driver *d = *state;
    static uint32_t pixels[60 * 50];
    struct image image = {(uint8_t *)pixels, 60, 50, 240, SPICE_BITMAP_FMT_32BIT};
    struct quic *quic = quic_create();
    struct lz *lz = lz_create();
    struct writer w;

    for (unsigned i = 0; i < 60 * 50; i++)
        pixels[i] = (i / 60 * 3) << 16 | (i % 60 * 4) << 8 | (rnd() & 3);
    writer_init(&w, MIB(1));
    assert_int_equal(quic_encode(quic, &w, &image), 0);
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 0, 5, 6, 60, 50, compressed_image(d, SPICE_IMAGE_TYPE_QUIC, &w)));
    oracle_put(pixels, 5, 6, 60, 50, NULL, 0);
    check_picture(d);
    writer_reset(&w);
    assert_int_equal(lz_encode(lz, &w, &image), 0);
    driver_push(
        d, QXL_CMD_DRAW,
        driver_copy(d, 0, 105, 66, 60, 50, compressed_image(d, SPICE_IMAGE_TYPE_LZ_RGB, &w)));
    oracle_put(pixels, 105, 66, 60, 50, NULL, 0);
    check_picture(d);
    for (unsigned i = 30; i < w.size; i++)
        w.data[i] = rnd();
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 0, 0, 0, 60, 50, compressed_image(d, SPICE_IMAGE_TYPE_LZ_RGB, &w)));
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 0, 0, 0, 60, 50, compressed_image(d, SPICE_IMAGE_TYPE_QUIC, &w)));
    driver_sync(d);
    assert_false(in_bug(d));
    writer_fini(&w);
    quic_destroy(quic);
    lz_destroy(lz);
}

/* --- surfaces --- */

static void off_screen_surfaces(void **state)
{
    struct driver *d = *state;
    uint32_t pixels[40 * 30], *memory = (uint32_t *)(d->vram + 4096);
    uint64_t create = surface_command(d, 7, QXL_SURFACE_CMD_CREATE, 40, 30, d->vram_slot | 4096, 0),
             destroy, bitmap;

    for (unsigned i = 0; i < 40 * 30; i++)
        pixels[i] = rnd() | 0xff000000;
    memset(memory, 0x55, sizeof(pixels));
    driver_push(d, QXL_CMD_SURFACE, create);
    bitmap = driver_bitmap(d, SPICE_BITMAP_FMT_RGBA, 40, 30, 160, pixels, 0, true);
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 7, 0, 0, 40, 30, bitmap));
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 100, 50, 40, 30, surface_image(d, 7, 40, 30)));
    oracle_put(pixels, 100, 50, 40, 30, NULL, 0);
    check_picture(d);
    assert_int_equal(memory[0], 0x55555555); /* not asked for yet */
    driver_update_area(d, 7, (QXLRect){.left = 3, .top = 2, .right = 10, .bottom = 9});
    assert_memory_equal(memory + 2 * 40 + 3, pixels + 2 * 40 + 3, 7 * 4);
    assert_int_equal(memory[0], 0x55555555);
    driver_collect(d);
    assert_int_equal(times_released(d, create), 0);
    destroy = surface_command(d, 7, QXL_SURFACE_CMD_DESTROY, 0, 0, 0, 0);
    driver_push(d, QXL_CMD_SURFACE, destroy);
    driver_sync(d);
    driver_out(d, QXL_IO_FLUSH_RELEASE, 0);
    driver_collect(d);
    assert_int_equal(times_released(d, create), 1);
    assert_int_equal(times_released(d, destroy), 1);
    assert_memory_equal(memory, pixels, sizeof(pixels));
    /* Its content can be kept for the next one. */
    driver_push(d, QXL_CMD_SURFACE,
                surface_command(d, 9, QXL_SURFACE_CMD_CREATE, 40, 30, d->vram_slot | 4096,
                                QXL_SURF_FLAG_KEEP_DATA));
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 40, 30, surface_image(d, 9, 40, 30)));
    oracle_put(pixels, 0, 0, 40, 30, NULL, 0);
    check_picture(d);
    driver_async(d, QXL_IO_DESTROY_SURFACE_ASYNC, 9);
    driver_async(d, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
    assert_false(in_bug(d));
}

static void destroy_all_surfaces(void **state)
{
    struct driver *d = *state;
    uint64_t creates[5];
    struct screenshot shot;

    for (unsigned i = 0; i < 5; i++) {
        creates[i] =
            surface_command(d, i + 1, QXL_SURFACE_CMD_CREATE, 8, 8, d->vram_slot | i << 12, 0);
        driver_push(d, QXL_CMD_SURFACE, creates[i]);
    }
    driver_async(d, QXL_IO_DESTROY_ALL_SURFACES_ASYNC, 0);
    driver_collect(d);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(times_released(d, creates[i]), 1);
    assert_int_equal(screenshot_take(&shot, d->display), -2);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
}

static void primary_is_written_back(void **state)
{
    struct driver *d = *state;
    uint32_t pixels[16 * 16], *memory = (uint32_t *)d->ram;

    for (unsigned i = 0; i < 256; i++)
        pixels[i] = rnd() & 0xffffff;
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 0, 20, 30, 16, 16,
                            driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, 16, 16, 64, pixels, 0, true)));
    driver_update_area(d, 0, (QXLRect){.left = 0, .top = 30, .right = WIDTH, .bottom = 38});
    for (unsigned y = 0; y < 8; y++)
        for (unsigned x = 0; x < 16; x++)
            assert_int_equal(memory[(30 + y) * WIDTH + 20 + x] & 0xffffff, pixels[y * 16 + x]);
    assert_int_not_equal(memory[40 * WIDTH + 20] & 0xffffff, pixels[10 * 16]);
    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    assert_int_equal(memory[40 * WIDTH + 20] & 0xffffff, pixels[10 * 16]);
}

static void primary_keeps_data_bottom_up(void **state)
{
    struct driver *d = *state;
    uint32_t *memory = (uint32_t *)d->ram;

    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) {
        memory[i] = rnd();
        oracle[(HEIGHT - 1 - i / WIDTH) * WIDTH + i % WIDTH] = memory[i] & 0xffffff;
    }
    driver_create_primary(d, WIDTH, HEIGHT, -WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB,
                          QXL_SURF_FLAG_KEEP_DATA);
    check_picture(d);
    random_copy(d);
    check_picture(d);
    driver_async(d, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        assert_int_equal(memory[i] & 0xffffff,
                         oracle[(HEIGHT - 1 - i / WIDTH) * WIDTH + i % WIDTH]);
}

static void primary_of_16_bits(void **state)
{
    struct driver *d = *state;
    uint16_t pixels[20 * 10], *memory = (uint16_t *)d->ram;

    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 2, SPICE_SURFACE_FMT_16_555, 0);
    for (unsigned i = 0; i < 200; i++) {
        pixels[i] = rnd() & 0x7fff;
        oracle[(5 + i / 20) * WIDTH + 9 + i % 20] = from_555(pixels[i]);
    }
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 0, 9, 5, 20, 10,
                            driver_bitmap(d, SPICE_BITMAP_FMT_16BIT, 20, 10, 40, pixels, 0, true)));
    check_picture(d);
    driver_update_area(d, 0, (QXLRect){.right = WIDTH, .bottom = HEIGHT});
    assert_int_equal(memory[5 * WIDTH + 9] & 0x7fff, pixels[0]);
}

/* --- recordings --- */

static char recording[256];

/* BAR 4 has all of what BAR 1 has the begin of. */
static void more_memory_by_64_bits(void **state UNUSED)
{
    struct driver *d = driver_create_with(&(struct qxl_config){.vram64 = MIB(128)});
    uint64_t base = fake_pci_bar(&d->machine, QXL_SLOT, 4), slot, create;
    uint32_t pixels[16], *far;

    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 0x20, 4) & 15, 12); /* memory, 64 bits, prefetchable */
    driver_start(d);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    slot = driver_add_slot(d, 3, base, base + MIB(128));
    far = memory_pointer(d->machine.base.memory, base + MIB(100), sizeof(pixels));
    memset(memory_pointer(d->machine.base.memory, base, 4), 0x5a, 4);
    assert_int_equal(d->vram[3], 0x5a);
    memset(pixels, 0x44, sizeof(pixels));
    create = surface_command(d, 7, QXL_SURFACE_CMD_CREATE, 4, 4, slot | MIB(100), 0);
    driver_push(d, QXL_CMD_SURFACE, create);
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 7, 0, 0, 4, 4, driver_bitmap(d, SPICE_BITMAP_FMT_RGBA, 4, 4, 16, pixels, 0, true)));
    driver_update_area(d, 7, (QXLRect){.right = 4, .bottom = 4});
    assert_memory_equal(far, pixels, sizeof(pixels));
    assert_false(in_bug(d));
    memcpy(FIELD(d, mem_slot), &(QXLMemSlot){d->vram_base, d->vram_base + MIB(64) + 4096}, sizeof(QXLMemSlot));
    driver_out(d, QXL_IO_MEMSLOT_ADD, 4); /* beyond what BAR 1 has */
    expect_bug(d);
    driver_destroy(d);
}

static void the_largest_picture(void **state UNUSED)
{
    struct driver *d = driver_create_with(&(struct qxl_config){.ram = MIB(512), .vgamem = MIB(256)});
    const QXLModes *modes = (const QXLModes *)((const uint8_t *)d->rom + d->rom->modes_offset);
    const QXLMode *last = &modes->modes[modes->n_modes - 1];
    struct screenshot shot;
    uint64_t addr;
    QXLDrawable *p;

    assert_int_equal(last->x_res * last->y_res, 8192 * 4320);
    driver_start(d);
    driver_create_primary(d, 8192, 4320, 8192 * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    p = driver_drawable(d, QXL_DRAW_FILL, 0, (QXLRect){.left = 8100, .top = 4300, .right = 8192, .bottom = 4320}, &addr);
    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0x123456};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    driver_push(d, QXL_CMD_DRAW, addr);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, 8192);
    assert_int_equal(shot.pixels[8192 * 4320 - 1], 0x123456);
    screenshot_fini(&shot);
    assert_false(in_bug(d));
    driver_destroy(d);
}

static int setup_recorded(void **state)
{
    static unsigned number;

    seed = 1;
    memset(oracle, 0, sizeof(oracle));
    snprintf(recording, sizeof(recording), "%s/%u.qxt", test_directory(), number++);
    *state = driver_create(0, recording);
    driver_start(*state);
    driver_create_primary(*state, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    return 0;
}

/* What another device shows when the recording was played into it. */
static void play(struct screenshot *shot)
{
    const struct trace_options options = {.no_marker = true};
    struct fake_machine machine;
    struct qxl_guest guest;
    struct trace trace;

    if (trace_open(&trace, recording, &options))
        fail_msg("%s", fail_text());
    assert_int_equal(fake_machine_init(&machine, KIB(640), false), 0);
    assert_int_equal(qxl_guest_init(&guest, &machine, NULL), 0);
    qxl_guest_start(&guest);
    for (size_t i = 0; i < trace.script.count; i++)
        assert_int_equal(qxl_guest_step(&guest, &trace.script.steps[i]), 0);
    assert_int_equal(screenshot_take(shot, guest.display), 0);
    fake_machine_fini(&machine);
    trace_close(&trace);
}

static int teardown_recorded(void **state)
{
    struct driver *d = *state;
    struct screenshot shot, again;
    int err = screenshot_take(&shot, d->display);

    driver_destroy(d);
    if (err)
        return 0; /* the test ended without a picture */
    play(&again);
    assert_int_equal(again.width, shot.width);
    assert_int_equal(again.height, shot.height);
    assert_memory_equal(again.pixels, shot.pixels, (size_t)shot.width * shot.height * 4);
    screenshot_fini(&again);
    screenshot_fini(&shot);
    return 0;
}

#define RECORDED(name) cmocka_unit_test_setup_teardown(name, setup_recorded, teardown_recorded)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identifies_itself),
        TEST(refuses_bad_revisions),
        TEST(secondary_has_no_vga),
        cmocka_unit_test(more_memory_by_64_bits),
        cmocka_unit_test(the_largest_picture),
        RECORDED(draws_like_the_oracle),
        RECORDED(moves_are_told),
        RECORDED(draws_all_bitmap_formats),
        RECORDED(draws_masks_and_raster_operations),
        RECORDED(draws_with_transparency),
        RECORDED(draws_text),
        RECORDED(draws_lines),
        RECORDED(draws_compressed_pictures),
        RECORDED(off_screen_surfaces),
        RECORDED(destroy_all_surfaces),
        RECORDED(primary_is_written_back),
        RECORDED(primary_keeps_data_bottom_up),
        RECORDED(primary_of_16_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

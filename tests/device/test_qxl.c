/* test_qxl.c - QXL driven as its drivers do; the picture is compared with one that is worked out pixel by pixel. */
#include "spice/codec/lz.h"
#include "spice/codec/quic.h"
#include "tests/device/qxl_driver.h"

#include <pthread.h>
#include <unistd.h>

#define WIDTH  320
#define HEIGHT 200

static uint32_t oracle[WIDTH * HEIGHT];
static uint32_t seed = 1;

static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static int setup_revision(void **state, unsigned revision)
{
    seed = 1;
    memset(oracle, 0, sizeof(oracle));
    *state = driver_create(revision);
    return 0;
}

static int setup(void **state)
{
    return setup_revision(state, 0);
}

/* The device, started, with a primary surface of WIDTH x HEIGHT. */
static int setup_native(void **state)
{
    setup(state);
    driver_start(*state);
    driver_create_primary(*state, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    return 0;
}

static int setup_old(void **state)
{
    return setup_revision(state, 4);
}

static int teardown(void **state)
{
    driver_destroy(*state);
    return 0;
}

static void check_picture(struct driver *d)
{
    struct screenshot shot;

    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, WIDTH);
    assert_int_equal(shot.height, HEIGHT);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        if (shot.pixels[i] != oracle[i])
            fail_msg("pixel (%u, %u) is %06x instead of %06x", i % WIDTH, i / WIDTH, shot.pixels[i],
                     oracle[i]);
    screenshot_fini(&shot);
}

static bool in_bug(struct driver *d)
{
    /* In the error state a good command has no effect; the interrupt bit tells more directly. */
    return shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_ERROR;
}

static void expect_bug(struct driver *d)
{
    driver_wait_irq(d, QXL_INTERRUPT_ERROR);
}

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

static void oracle_put(const uint32_t *pixels, int x, int y, int width, int height,
                       const QXLRect *clips, unsigned n)
{
    for (int row = 0; row < height; row++)
        for (int column = 0; column < width; column++) {
            int px = x + column, py = y + row;
            bool inside = n == 0;

            for (unsigned i = 0; i < n; i++)
                inside |= px >= clips[i].left && px < clips[i].right && py >= clips[i].top &&
                          py < clips[i].bottom;
            if (inside && px >= 0 && px < WIDTH && py >= 0 && py < HEIGHT)
                oracle[py * WIDTH + px] = pixels[row * width + column] & 0xffffff;
        }
}

static void random_clips(QXLRect *clips, unsigned n, int x, int y, int width, int height)
{
    for (unsigned i = 0; i < n; i++) {
        clips[i].left = x + (int)(rnd() % width);
        clips[i].top = y + (int)(rnd() % height);
        clips[i].right = clips[i].left + 1 + rnd() % 20;
        clips[i].bottom = clips[i].top + 1 + rnd() % 20;
    }
}

/* A copy of random pixels, some of it outside, from chunks or direct, upside down or not, clipped or not. */
static void random_copy(struct driver *d)
{
    static uint32_t pixels[64 * 64], flipped[64 * 64];
    unsigned width = 1 + rnd() % 64, height = 1 + rnd() % 64, n = rnd() % 4;
    int x = (int)(rnd() % (WIDTH + 40)) - 40, y = (int)(rnd() % (HEIGHT + 40)) - 40;
    bool top_down = rnd() & 1;
    QXLRect clips[4];
    uint64_t image, addr, clip;

    for (unsigned i = 0; i < width * height; i++)
        pixels[i] = rnd() ^ rnd() << 12;
    for (unsigned row = 0; row < height; row++)
        memcpy(flipped + row * width, pixels + (height - 1 - row) * width, width * 4);
    random_clips(clips, n, x, y, width, height);
    image =
        driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, width, height, width * 4,
                      top_down ? pixels : flipped, rnd() % 3 ? 100 + rnd() % 5000 : 0, top_down);
    addr = driver_copy(d, 0, x, y, width, height, image);
    if (n) {
        clip = driver_clip(d, clips, n, 16 + rnd() % 40);
        ((QXLDrawable *)(d->ram + (addr & 0xffffffff)))->clip =
            (QXLClip){SPICE_CLIP_TYPE_RECTS, clip};
    }
    driver_push(d, QXL_CMD_DRAW, addr);
    oracle_put(pixels, x, y, width, height, clips, n);
}

static void random_fill(struct driver *d)
{
    static uint32_t pixels[64 * 64];
    unsigned width = 1 + rnd() % 64, height = 1 + rnd() % 64;
    int x = rnd() % WIDTH, y = rnd() % HEIGHT;
    uint32_t color = rnd();
    uint64_t addr;
    QXLDrawable *p = driver_drawable(
        d, QXL_DRAW_FILL, 0,
        (QXLRect){.left = x, .top = y, .right = x + width, .bottom = y + height}, &addr);

    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = color};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned i = 0; i < width * height; i++)
        pixels[i] = color;
    oracle_put(pixels, x, y, width, height, NULL, 0);
}

static void random_copy_bits(struct driver *d)
{
    static uint32_t pixels[64 * 64];
    unsigned width = 1 + rnd() % 64, height = 1 + rnd() % 64;
    int from_x = rnd() % (WIDTH - 64), from_y = rnd() % (HEIGHT - 64);
    int x = from_x + (int)(rnd() % 40) - 20, y = from_y + (int)(rnd() % 40) - 20;
    uint64_t addr;
    QXLDrawable *p;

    x = CLAMP(x, 0, WIDTH - 64);
    y = CLAMP(y, 0, HEIGHT - 64);
    p = driver_drawable(d, QXL_COPY_BITS, 0,
                        (QXLRect){.left = x, .top = y, .right = x + width, .bottom = y + height},
                        &addr);
    p->u.copy_bits.src_pos = (QXLPoint){from_x, from_y};
    driver_push(d, QXL_CMD_DRAW, addr);
    for (unsigned row = 0; row < height; row++)
        memcpy(pixels + row * width, oracle + (from_y + row) * WIDTH + from_x, width * 4);
    oracle_put(pixels, x, y, width, height, NULL, 0);
}

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

static uint64_t surface_command(struct driver *d, uint32_t id, unsigned type, uint32_t width,
                                uint32_t height, uint64_t data, uint32_t flags)
{
    uint64_t addr;
    QXLSurfaceCmd *c = driver_alloc(d, sizeof(*c), &addr);

    memset(c, 0, sizeof(*c));
    c->release_info.id = addr & 0xffffffff;
    c->surface_id = id;
    c->type = type;
    c->flags = flags;
    c->u.surface_create = (QXLSurface){SPICE_SURFACE_FMT_32_ARGB, width, height, width * 4, data};
    return addr;
}

static uint64_t surface_image(struct driver *d, uint32_t id, uint32_t width, uint32_t height)
{
    uint64_t addr;
    QXLImage *image = driver_alloc(d, sizeof(QXLImageDescriptor) + sizeof(QXLSurfaceId), &addr);

    image->descriptor =
        (QXLImageDescriptor){.type = SPICE_IMAGE_TYPE_SURFACE, .width = width, .height = height};
    image->surface_image.surface_id = id;
    return addr;
}

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

/* --- rings --- */

static uint64_t nop(struct driver *d)
{
    uint64_t addr;

    driver_drawable(d, QXL_DRAW_NOP, 0, (QXLRect){0}, &addr);
    return addr;
}

static bool something_released(void *arg)
{
    struct driver *d = arg;

    return shared_load(FIELD(d, release_ring.prod)) != shared_load(FIELD(d, release_ring.cons));
}

static void releases_come_at_once(void **state)
{
    struct driver *d = *state;
    uint64_t addr = nop(d);

    shared_store(FIELD(d, release_ring.notify_on_prod),
                 shared_load(FIELD(d, release_ring.prod)) + 1);
    driver_push(d, QXL_CMD_DRAW, addr);
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_DISPLAY) & QXL_INTERRUPT_DISPLAY);
    assert_true(something_released(d));
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
    /* Not asked for: no interrupt. */
    driver_push(d, QXL_CMD_DRAW, nop(d));
    assert_true(fake_machine_wait(&d->machine, something_released, d, WAIT_MS));
    driver_sync(d);
    assert_int_equal(shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_DISPLAY, 0);
}

static void full_release_ring_loses_nothing(void **state)
{
    struct driver *d = *state;
    static uint64_t addrs[400];

    for (unsigned i = 0; i < 400; i++) {
        addrs[i] = nop(d);
        driver_push(d, QXL_CMD_DRAW, addrs[i]);
        if (i % 3 == 0)
            driver_sync(d); /* each of them hands over a list until the ring is full */
    }
    driver_sync(d);
    assert_int_equal(
        shared_load(FIELD(d, release_ring.prod)) - shared_load(FIELD(d, release_ring.cons)), 7);
    driver_collect(d);
    /* The rest follows by itself, soon, also if no command does. */
    assert_true(fake_machine_wait(&d->machine, something_released, d, WAIT_MS));
    driver_collect(d);
    assert_int_equal(d->release_count, 400);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(times_released(d, addrs[i]), 1);
}

static void tells_of_room_in_the_ring(void **state)
{
    struct driver *d = *state;
    uint32_t cons;

    driver_sync(d);
    cons = shared_load(FIELD(d, cmd_ring.cons));
    shared_store(FIELD(d, cmd_ring.notify_on_cons), cons + 2);
    driver_push(d, QXL_CMD_DRAW, nop(d));
    driver_sync(d);
    assert_int_equal(shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_DISPLAY, 0);
    driver_push(d, QXL_CMD_DRAW, nop(d));
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_DISPLAY) & QXL_INTERRUPT_DISPLAY);
    /* Empty again: it wants to be told of the very next item. */
    driver_sync(d);
    assert_int_equal(shared_load(FIELD(d, cmd_ring.notify_on_prod)),
                     shared_load(FIELD(d, cmd_ring.prod)) + 1);
}

static void out_of_memory_flushes(void **state)
{
    struct driver *d = *state;
    uint64_t addr = nop(d);
    QXLCommand command = {.data = addr, .type = QXL_CMD_DRAW};

    driver_sync(d);
    driver_collect(d);
    /* A command that nobody was notified of. */
    memcpy((uint8_t *)FIELD(d, cmd_ring.items) +
               shared_load(FIELD(d, cmd_ring.prod)) % 32 * sizeof(command),
           &command, sizeof(command));
    shared_store(FIELD(d, cmd_ring.prod), shared_load(FIELD(d, cmd_ring.prod)) + 1);
    driver_out(d, QXL_IO_NOTIFY_OOM, 0);
    assert_true(fake_machine_wait(&d->machine, something_released, d, WAIT_MS));
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
}

/* --- monitors and cursor --- */

static void monitors_follow_the_guest(void **state)
{
    struct driver *d = *state;
    uint64_t addr;
    QXLMonitorsConfig *config = driver_alloc(d, sizeof(*config) + 3 * sizeof(QXLHead), &addr);

    config->count = 3;
    config->heads[0] = (QXLHead){.id = 0, .width = 160, .height = HEIGHT};
    config->heads[1] = (QXLHead){.id = 1};
    config->heads[2] = (QXLHead){.id = 2, .width = 160, .height = 100, .x = 160};
    memcpy(FIELD(d, monitors_config), &addr, sizeof(addr));
    assert_int_equal(d->display->head_count, 1);
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_int_equal(d->display->head_count, 2);
    assert_int_equal(d->display->heads[1].id, 2);
    assert_int_equal(d->display->heads[1].x, 160);
    assert_int_equal(d->display->heads[1].height, 100);
}

struct heads_call {
    struct driver *d;
    struct display_head heads[2];
    bool listens;
};

static void call_heads(void *arg)
{
    struct heads_call *c = arg;

    c->listens = c->d->display->ops->client_heads(c->d->display->device, c->heads, 2);
}

static uint32_t slow_crc(const void *data, size_t size)
{
    uint32_t crc = 0;

    for (size_t bit = 0; bit < size * 8; bit++) {
        uint32_t in = ((const uint8_t *)data)[bit / 8] >> bit % 8 & 1;

        crc = (crc ^ in) & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return crc;
}

static void client_asks_for_heads(void **state)
{
    struct driver *d = *state;
    struct heads_call call = {
        d,
        {{.width = 800, .height = 600}, {.id = 1, .x = 800, .width = 640, .height = 480}},
        false};
    const QXLRom *rom = d->rom;

    loop_call_wait(d->display->loop, call_heads, &call);
    assert_true(call.listens);
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_CLIENT_MONITORS_CONFIG));
    assert_int_equal(rom->client_monitors_config.count, 2);
    assert_int_equal(rom->client_monitors_config.heads[1].right, 1440);
    assert_int_equal(sizeof(rom->client_monitors_config), 1028);
    assert_int_equal(rom->client_monitors_config_crc, slow_crc(&rom->client_monitors_config, 1028));
    /* The same again is no news. */
    loop_call_wait(d->display->loop, call_heads, &call);
    assert_true(call.listens);
    assert_int_equal(shared_load(FIELD(d, int_pending)), 0);
    /* A mask of all ones is a driver that knows nothing of this. */
    shared_store(FIELD(d, int_mask), ~0u);
    loop_call_wait(d->display->loop, call_heads, &call);
    assert_false(call.listens);
}

static uint64_t cursor_command(struct driver *d, unsigned type, unsigned width, unsigned height,
                               const void *data, size_t size)
{
    uint64_t addr, shape;
    QXLCursor *cursor = driver_alloc(d, sizeof(*cursor) + 50, &shape);
    QXLCursorCmd *c = driver_alloc(d, sizeof(*c), &addr);
    size_t first = MIN(size, 50);

    memset(c, 0, sizeof(*c));
    *cursor = (QXLCursor){.header = {.type = type,
                                     .width = width,
                                     .height = height,
                                     .hot_spot_x = 3,
                                     .hot_spot_y = 200},
                          .data_size = size,
                          .chunk.data_size = first};
    memcpy(cursor->chunk.data, data, first);
    if (size > first)
        cursor->chunk.next_chunk =
            driver_chunks(d, (const uint8_t *)data + first, size - first, 1000);
    c->release_info.id = addr & 0xffffffff;
    c->type = QXL_CURSOR_SET;
    c->u.set.position = (QXLPoint16){10, 20};
    c->u.set.visible = 1;
    c->u.set.shape = shape;
    return addr;
}

static void set_cursor(struct driver *d, unsigned type, unsigned width, unsigned height,
                       const void *data, size_t size)
{
    driver_push_cursor(d, cursor_command(d, type, width, height, data, size));
    driver_sync(d);
}

static void cursor_shapes(void **state)
{
    struct driver *d = *state;
    const struct display *display = d->display;
    uint8_t data[64 * 64 * 4];
    const uint32_t *alpha;

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = rnd();
    set_cursor(d, SPICE_CURSOR_TYPE_ALPHA, 64, 64, data, sizeof(data));
    assert_int_equal(display->cursor.type, DISPLAY_CURSOR_ALPHA);
    assert_memory_equal(display->cursor.data, data, sizeof(data));
    assert_int_equal(display->cursor.hot_x, 3);
    assert_int_equal(display->cursor.hot_y, 63); /* no farther than the shape */
    assert_int_equal(display->cursor_x, 10);
    assert_true(display->cursor_visible);
    set_cursor(d, SPICE_CURSOR_TYPE_MONO, 20, 10, data, 60);
    assert_int_equal(display->cursor.type, DISPLAY_CURSOR_MONO);
    assert_int_equal(display->cursor.size, 60);
    /* 2x1, 32 bits: one pixel of colour, one that the mask cuts out. */
    set_cursor(d, SPICE_CURSOR_TYPE_COLOR32, 2, 1, (uint8_t[]){1, 2, 3, 0, 0, 0, 0, 0, 0x40}, 9);
    alpha = (const uint32_t *)display->cursor.data;
    assert_int_equal(alpha[0], 0xff030201);
    assert_int_equal(alpha[1], 0);
    memset(data, 0, sizeof(data));
    data[0] = 0x12; /* 2 pixels: palette entries 1 and 2 */
    store_le32(data + 1 + 4, 0x00aabbcc);
    store_le32(data + 1 + 8, 0x00ddeeff);
    set_cursor(d, SPICE_CURSOR_TYPE_COLOR4, 2, 1, data, 1 + 64 + 1);
    alpha = (const uint32_t *)display->cursor.data;
    assert_int_equal(alpha[0], 0xffaabbcc);
    assert_int_equal(alpha[1], 0xffddeeff);
    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    assert_null(display->cursor.data);
}

static void cursor_moves(void **state)
{
    struct driver *d = *state;
    uint64_t addr;
    QXLCursorCmd *c = driver_alloc(d, sizeof(*c), &addr);

    memset(c, 0, sizeof(*c));
    c->release_info.id = addr & 0xffffffff;
    c->type = QXL_CURSOR_MOVE;
    c->u.position = (QXLPoint16){-5, 77};
    driver_push_cursor(d, addr);
    driver_sync(d);
    assert_int_equal(d->display->cursor_x, -5);
    assert_int_equal(d->display->cursor_y, 77);
    assert_true(d->display->cursor_visible);
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
    c->release_info.id = addr & 0xffffffff;
    c->type = QXL_CURSOR_HIDE;
    driver_push_cursor(d, addr);
    driver_sync(d);
    assert_false(d->display->cursor_visible);
}

/* --- IO --- */

static void every_async_ends_with_an_interrupt(void **state)
{
    struct driver *d = *state;

    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_IO_CMD);
    /* The VGA is shown: they make no sense, but nobody may wait for ever. */
    driver_async(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    driver_async(d, QXL_IO_DESTROY_SURFACE_ASYNC, 3);
    driver_async(d, QXL_IO_DESTROY_ALL_SURFACES_ASYNC, 0);
    driver_async(d, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_false(in_bug(d));
    /* And in the error state. */
    driver_out(d, QXL_IO_MEMSLOT_ADD, 200);
    assert_true(in_bug(d));
    driver_async(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
    driver_async(d, QXL_IO_MEMSLOT_ADD_ASYNC, 1);
    driver_out(d, QXL_IO_RESET, 0);
    assert_false(in_bug(d));
}

static void interrupt_follows_the_mask(void **state)
{
    struct driver *d = *state;

    shared_store(FIELD(d, int_mask), 0);
    driver_out(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
    fake_machine_run(&d->machine, 50);
    assert_int_equal(shared_load(FIELD(d, int_pending)), QXL_INTERRUPT_IO_CMD);
    assert_false(line_is_high(d));
    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_IO_CMD);
    driver_out(d, QXL_IO_UPDATE_IRQ, 0);
    assert_true(line_is_high(d));
    driver_ack(d);
    assert_false(line_is_high(d));
}

static void sync_commands_work_too(void **state)
{
    struct driver *d = *state;
    QXLMemSlot slot = {d->ram_base, d->ram_base + MIB(32)};
    QXLSurfaceCreate create = {.width = WIDTH,
                               .height = HEIGHT,
                               .stride = WIDTH * 4,
                               .format = SPICE_SURFACE_FMT_32_xRGB,
                               .mem = 3ULL << 56};

    driver_out(d, QXL_IO_RESET, 0);
    memcpy(FIELD(d, mem_slot), &slot, sizeof(slot));
    driver_out(d, QXL_IO_MEMSLOT_ADD, 3);
    memcpy(FIELD(d, create_surface), &create, sizeof(create));
    driver_out(d, QXL_IO_CREATE_PRIMARY, 0);
    d->main_slot = 3ULL << 56;
    d->next = d->rom->pages_offset;
    for (unsigned i = 0; i < 20; i++)
        random_copy(d);
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    check_picture(d);
    driver_out(d, QXL_IO_LOG, 0);
    driver_out(d, QXL_IO_DESTROY_SURFACE_WAIT, 5);
    driver_out(d, QXL_IO_DESTROY_PRIMARY, 0);
    driver_out(d, QXL_IO_MEMSLOT_DEL, 3);
    driver_out(d, QXL_IO_DESTROY_ALL_SURFACES, 0);
    assert_false(in_bug(d));
}

static void first_drivers_set_a_mode(void **state)
{
    struct driver *d = *state;
    const QXLModes *modes = (const QXLModes *)((const uint8_t *)d->rom + d->rom->modes_offset);
    QXLCompatDrawable *p = (QXLCompatDrawable *)(d->ram + MIB(20));
    QXLCommand command = {.data = d->ram_base + MIB(20), .type = QXL_CMD_DRAW};
    struct screenshot shot;

    driver_out(d, QXL_IO_SET_MODE, 2);
    assert_int_equal(d->rom->mode, 2);
    *p = (QXLCompatDrawable){
        .type = QXL_DRAW_FILL, .bbox = {.right = 100, .bottom = 50}, .release_info.id = 1};
    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0x445566};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    memcpy(FIELD(d, cmd_ring.items), &command, sizeof(command));
    shared_store(FIELD(d, cmd_ring.prod), 1);
    driver_out(d, QXL_IO_NOTIFY_CMD, 0);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, modes->modes[2].x_res);
    assert_int_equal(shot.height, modes->modes[2].y_res);
    assert_int_equal(shot.pixels[49 * shot.width + 99], 0x445566);
    screenshot_fini(&shot);
    assert_false(in_bug(d));
}

static void empty_area_is_no_error(void **state)
{
    struct driver *d = *state;

    driver_update_area(d, 0, (QXLRect){.left = 5, .right = 5, .top = 1, .bottom = 1});
    driver_update_area(d, 77, (QXLRect){.right = 5, .bottom = 1}); /* no such surface now */
    assert_false(in_bug(d));
    memcpy(FIELD(d, update_area), &(QXLRect){.left = 9, .right = 5, .bottom = 1}, sizeof(QXLRect));
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    expect_bug(d);
}

static void old_revision_leaves_native_on_vga_access(void **state)
{
    struct driver *d = *state;
    struct screenshot shot;

    driver_start(d);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
    fake_out(&d->machine, 0x3c2, 0x67, 1);
    driver_sync(d);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, 720);
    screenshot_fini(&shot);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
}

static void new_revision_stays_native(void **state)
{
    struct driver *d = *state;
    struct screenshot shot;

    fake_out(&d->machine, 0x3c2, 0x67, 1);
    driver_sync(d);
    check_picture(d);
    driver_out(d, QXL_IO_RESET, 0);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, 720);
    screenshot_fini(&shot);
}

static void machine_reset_starts_over(void **state)
{
    struct driver *d = *state;

    for (unsigned i = 0; i < 100; i++)
        random_copy(d);
    fake_machine_reset(&d->machine);
    driver_map(d);
    memset(oracle, 0, sizeof(oracle));
    driver_start(d);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
    for (unsigned i = 0; i < 20; i++)
        random_copy(d);
    check_picture(d);
}

static void survives_save_and_load(void **state)
{
    struct driver *d = *state;
    struct device *device = TAILQ_FIRST(&d->machine.base.devices);
    uint32_t pixels[64];
    struct writer w;
    struct reader r;

    for (unsigned i = 0; i < 50; i++)
        random_copy(d);
    memset(pixels, 0x33, sizeof(pixels));
    driver_push(d, QXL_CMD_SURFACE,
                surface_command(d, 5, QXL_SURFACE_CMD_CREATE, 8, 8, d->vram_slot, 0));
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 5, 0, 0, 8, 8,
                            driver_bitmap(d, SPICE_BITMAP_FMT_RGBA, 8, 8, 32, pixels, 0, true)));
    set_cursor(d, SPICE_CURSOR_TYPE_MONO, 8, 8, pixels, 16);
    writer_init(&w, MIB(200));
    machine_lock(&d->machine.base);
    device->ops->save(device, &w);
    machine_unlock(&d->machine.base);
    assert_false(w.bad);
    fake_machine_reset(&d->machine);
    memset(d->ram, 0x77, MIB(20));
    reader_init(&r, w.data, w.size);
    machine_lock(&d->machine.base);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    machine_unlock(&d->machine.base);
    assert_int_equal(reader_left(&r), 0);
    check_picture(d);
    assert_int_equal(d->display->cursor.width, 8);
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 8, 8, surface_image(d, 5, 8, 8)));
    oracle_put(pixels, 0, 0, 8, 8, NULL, 0);
    check_picture(d);
    for (size_t size = 0; size < w.size; size += 1 + size / 8) {
        reader_init(&r, w.data, size);
        assert_int_not_equal(device->ops->load(device, &r, 1), 0);
    }
    writer_fini(&w);
}

/* --- hostile drivers --- */

/* What is pushed must lead to the error state or to nothing; a reset makes all well again. */
static void restart(struct driver *d)
{
    driver_start(d);
    memset(oracle, 0, sizeof(oracle));
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
}

static void bad_addresses(void **state)
{
    struct driver *d = *state;
    const uint64_t bad[] = {
        0,
        0xffffffffffffffff,
        5ULL << 56,                                      /* no such slot */
        200ULL << 56,                                    /* nor such a number */
        d->main_slot | 1ULL << 48,                       /* another generation */
        d->main_slot | d->rom->ram_header_offset,        /* at the end */
        d->main_slot | (d->rom->ram_header_offset - 10), /* across the end */
        d->main_slot | 0xffffffffffff,
        d->vram_slot | (MIB(64) - 1),
    };
    const uint32_t types[] = {QXL_CMD_DRAW, QXL_CMD_SURFACE, QXL_CMD_CURSOR};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        for (unsigned k = 0; k < ARRAY_SIZE(types); k++) {
            driver_push(d, types[k], bad[i]);
            expect_bug(d);
            restart(d);
        }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 8, 8, bad[i]));
        expect_bug(d);
        restart(d);
    }
}

static void bad_slots(void **state)
{
    struct driver *d = *state;
    const QXLMemSlot bad[] = {
        {0, 4096},
        {d->ram_base + 8192, d->ram_base + 4096},
        {d->ram_base - 4096, d->ram_base + 4096},
        {d->ram_base, d->ram_base + MIB(64) + 1},
        {d->ram_base, UINT64_MAX},
        {fake_pci_bar(&d->machine, QXL_SLOT, 2), fake_pci_bar(&d->machine, QXL_SLOT, 2) + 4096},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        memcpy(FIELD(d, mem_slot), &bad[i], sizeof(bad[i]));
        driver_out(d, QXL_IO_MEMSLOT_ADD, 4);
        expect_bug(d);
        restart(d);
    }
    driver_out(d, QXL_IO_MEMSLOT_ADD, 1); /* in use */
    expect_bug(d);
    restart(d);
    driver_out(d, QXL_IO_MEMSLOT_DEL, 8);
    expect_bug(d);
    restart(d);
    /* A slot that goes away under a surface: its memory is not touched any more. */
    driver_out(d, QXL_IO_MEMSLOT_DEL, 1);
    driver_out(d, QXL_IO_DESTROY_PRIMARY, 0);
    assert_false(in_bug(d));
}

static void cyclic_chunks(void **state)
{
    struct driver *d = *state;
    uint32_t pixels[64] = {0};
    uint64_t image = driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, 64, 4096, 256,
                                   (uint8_t[64 * 4096 * 4]){0}, 0, true);
    QXLImage *p = (QXLImage *)(d->ram + (image & 0xffffffff));
    uint64_t loop = driver_chunks(d, pixels, sizeof(pixels), sizeof(pixels));
    QXLDataChunk *chunk = (QXLDataChunk *)(d->ram + (loop & 0xffffffff));

    p->bitmap.flags &= ~QXL_BITMAP_DIRECT;
    p->bitmap.data = loop;
    chunk->next_chunk = loop;
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 64, 4096, image));
    driver_sync(d);
    check_picture(d); /* all zero: the ring of chunks gave what was asked for */
    chunk->data_size = 0;
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 64, 4096, image));
    driver_sync(d);
    check_picture(d);
    chunk->data_size = 0xffffffff;
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 64, 4096, image));
    driver_sync(d);
    assert_false(in_bug(d));
}

static void impossible_pictures(void **state)
{
    struct driver *d = *state;
    static const QXLBitmap bad[] = {
        {.format = 0, .x = 8, .y = 8, .stride = 32},
        {.format = 99, .x = 8, .y = 8, .stride = 32},
        {.format = SPICE_BITMAP_FMT_32BIT, .x = 0, .y = 8, .stride = 32},
        {.format = SPICE_BITMAP_FMT_32BIT, .x = 8, .y = 0, .stride = 32},
        {.format = SPICE_BITMAP_FMT_32BIT, .x = 8, .y = 8, .stride = 31},
        {.format = SPICE_BITMAP_FMT_32BIT, .x = 0x40000001, .y = 8, .stride = 4},
        {.format = SPICE_BITMAP_FMT_32BIT, .x = 8, .y = 0xffffffff, .stride = 32},
        {.format = SPICE_BITMAP_FMT_32BIT, .x = 8, .y = 8, .stride = 0xffffffff},
        {.format = SPICE_BITMAP_FMT_8BIT, .x = 16000, .y = 16000, .stride = 16000},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t image =
            driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, 8, 8, 32, (uint8_t[256]){0}, 0, true);
        QXLImage *p = (QXLImage *)(d->ram + (image & 0xffffffff));
        uint64_t data = p->bitmap.data;

        p->bitmap = bad[i];
        p->bitmap.flags = QXL_BITMAP_TOP_DOWN | QXL_BITMAP_DIRECT;
        p->bitmap.data = data;
        driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 8, 8, image));
        driver_sync(d);
        if (in_bug(d))
            restart(d);
        check_picture(d);
    }
}

static void impossible_commands(void **state)
{
    struct driver *d = *state;
    uint64_t image = driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, 8, 8, 32, (uint8_t[256]){1}, 0, true),
             addr;
    QXLDrawable *p;

    /* Areas outside of the picture, boxes outside of the world, surfaces that are not, operations unknown. */
    addr = driver_copy(d, 0, 0, 0, 8, 8, image);
    p = (QXLDrawable *)(d->ram + (addr & 0xffffffff));
    p->u.copy.src_area.right = 9;
    driver_push(d, QXL_CMD_DRAW, addr);
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, INT32_MAX - 100, INT32_MIN, 8, 8, image));
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 55, 0, 0, 8, 8, image));
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0xffffffff, 0, 0, 8, 8, image));
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 8, 8, surface_image(d, 5000, 8, 8)));
    driver_drawable(d, 200, 0, (QXLRect){.right = 8, .bottom = 8}, &addr);
    driver_push(d, QXL_CMD_DRAW, addr);
    driver_push(d, 77, addr);
    addr = driver_copy(d, 0, 0, 0, 8, 8, image);
    p = (QXLDrawable *)(d->ram + (addr & 0xffffffff));
    p->clip = (QXLClip){SPICE_CLIP_TYPE_RECTS, driver_clip(d, &(QXLRect){0}, 1, 64)};
    ((QXLClipRects *)(d->ram + (p->clip.data & 0xffffffff)))->num_rects = 0x10000001;
    driver_push(d, QXL_CMD_DRAW, addr);
    driver_sync(d);
    check_picture(d);
    assert_false(in_bug(d));
}

static void impossible_surfaces(void **state)
{
    struct driver *d = *state;
    static const QXLSurface bad[] = {
        {SPICE_SURFACE_FMT_32_xRGB, 0, 10, 40, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 10, 0, 40, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 10, 10, 39, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 10, 10, 36, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 10, 10, INT32_MIN, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 10, 0xffffffff, 40, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 0x40000000, 10, 40, 0},
        {SPICE_SURFACE_FMT_32_xRGB, 8192, 8192, 32768, 0},
        {17, 10, 10, 40, 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t addr = surface_command(d, 1, QXL_SURFACE_CMD_CREATE, 8, 8, d->main_slot, 0);
        QXLSurfaceCmd *c = (QXLSurfaceCmd *)(d->ram + (addr & 0xffffffff));
        QXLSurfaceCreate create = {bad[i].width, bad[i].height, bad[i].stride, bad[i].format,
                                   .mem = d->main_slot};

        c->u.surface_create = bad[i];
        c->u.surface_create.data = d->main_slot;
        driver_push(d, QXL_CMD_SURFACE, addr);
        expect_bug(d);
        driver_start(d);
        memcpy(FIELD(d, create_surface), &create, sizeof(create));
        driver_out(d, QXL_IO_CREATE_PRIMARY, 0);
        expect_bug(d);
        restart(d);
    }
    driver_push(d, QXL_CMD_SURFACE,
                surface_command(d, 1024, QXL_SURFACE_CMD_CREATE, 8, 8, d->main_slot, 0));
    expect_bug(d);
    restart(d);
    driver_push(d, QXL_CMD_SURFACE, surface_command(d, 0, QXL_SURFACE_CMD_DESTROY, 8, 8, 0, 0));
    expect_bug(d);
    restart(d);
}

static void broken_rings(void **state)
{
    struct driver *d = *state;

    shared_store(FIELD(d, cmd_ring.prod), shared_load(FIELD(d, cmd_ring.cons)) + 33);
    driver_out(d, QXL_IO_NOTIFY_CMD, 0);
    expect_bug(d);
    /* In the error state nothing is drawn. */
    driver_out(d, QXL_IO_NOTIFY_CMD, 0);
    driver_out(d, QXL_IO_DESTROY_PRIMARY, 0);
    check_picture(d);
    restart(d);
    shared_store(FIELD(d, cursor_ring.cons), 0x80000000);
    driver_out(d, QXL_IO_NOTIFY_CURSOR, 0);
    expect_bug(d);
    restart(d);
    shared_store(FIELD(d, release_ring.cons), 12345);
    for (unsigned i = 0; i < 100; i++)
        driver_push(d, QXL_CMD_DRAW, nop(d));
    driver_sync(d);
    assert_false(in_bug(d));
}

/* A second CPU scribbles over the commands while they are carried out. */
struct scribbler {
    uint8_t *from;
    size_t size;
    bool stop;
};

__attribute__((no_sanitize("thread"))) static void *scribble(void *arg)
{
    struct scribbler *s = arg;
    uint32_t r = 12345;

    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        r = r * 1664525 + 1013904223;
        *(volatile uint8_t *)(s->from + (r >> 8) % s->size) = r >> 24;
        if ((r >> 8) % 64 == 0)
            usleep(1);
    }
    return NULL;
}

static void memory_changes_under_it(void **state)
{
    struct driver *d = *state;
    struct scribbler s;
    pthread_t thread;

    s = (struct scribbler){d->ram + d->rom->pages_offset, KIB(24), false};
    pthread_create(&thread, NULL, scribble, &s);
    for (unsigned round = 0; round < 300; round++) {
        if (shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_ERROR) {
            driver_out(d, QXL_IO_RESET, 0);
            driver_start(d);
            driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
        }
        d->next = d->rom->pages_offset;
        for (unsigned i = 0; i < 4 && command_ring_has_room(d); i++)
            (i % 4 == 3 ? random_copy_bits : random_copy)(d);
        driver_out(d, QXL_IO_UPDATE_AREA, 0);
    }
    __atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    restart(d);
    for (unsigned i = 0; i < 20; i++)
        random_copy(d);
    check_picture(d);
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define NATIVE(name) cmocka_unit_test_setup_teardown(name, setup_native, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identifies_itself),
        TEST(refuses_bad_revisions),
        TEST(secondary_has_no_vga),
        NATIVE(draws_like_the_oracle),
        NATIVE(draws_all_bitmap_formats),
        NATIVE(draws_masks_and_raster_operations),
        NATIVE(draws_with_transparency),
        NATIVE(draws_text),
        NATIVE(draws_lines),
        NATIVE(draws_compressed_pictures),
        NATIVE(off_screen_surfaces),
        NATIVE(destroy_all_surfaces),
        NATIVE(primary_is_written_back),
        NATIVE(primary_keeps_data_bottom_up),
        NATIVE(primary_of_16_bits),
        NATIVE(releases_come_at_once),
        NATIVE(full_release_ring_loses_nothing),
        NATIVE(out_of_memory_flushes),
        NATIVE(tells_of_room_in_the_ring),
        NATIVE(monitors_follow_the_guest),
        NATIVE(client_asks_for_heads),
        NATIVE(cursor_shapes),
        NATIVE(cursor_moves),
        TEST(every_async_ends_with_an_interrupt),
        TEST(interrupt_follows_the_mask),
        TEST(sync_commands_work_too),
        TEST(first_drivers_set_a_mode),
        NATIVE(empty_area_is_no_error),
        cmocka_unit_test_setup_teardown(old_revision_leaves_native_on_vga_access, setup_old,
                                        teardown),
        NATIVE(new_revision_stays_native),
        NATIVE(machine_reset_starts_over),
        NATIVE(survives_save_and_load),
        NATIVE(bad_addresses),
        NATIVE(bad_slots),
        NATIVE(cyclic_chunks),
        NATIVE(impossible_pictures),
        NATIVE(impossible_commands),
        NATIVE(impossible_surfaces),
        NATIVE(broken_rings),
        NATIVE(memory_changes_under_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

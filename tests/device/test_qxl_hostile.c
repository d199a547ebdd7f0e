/* test_qxl_hostile.c - drivers that break the rules of QXL: the error state or nothing, and a reset makes it well. */
#include <pthread.h>
#include <unistd.h>

#include "tests/device/qxl_oracle.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        NATIVE(bad_addresses),       NATIVE(bad_slots),
        NATIVE(cyclic_chunks),       NATIVE(impossible_pictures),
        NATIVE(impossible_commands), NATIVE(impossible_surfaces),
        NATIVE(broken_rings),        NATIVE(memory_changes_under_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * qxl_oracle.h - what the tests of QXL share: a device that is started, and a picture worked out pixel by pixel beside it.
 */
#ifndef TESTS_QXL_ORACLE_H
#define TESTS_QXL_ORACLE_H

#include "tests/device/qxl_driver.h"

#define WIDTH  320
#define HEIGHT 200

static uint32_t oracle[WIDTH * HEIGHT];
static uint32_t seed = 1;

static inline uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static inline int setup_revision(void **state, unsigned revision)
{
    seed = 1;
    memset(oracle, 0, sizeof(oracle));
    *state = driver_create(revision, "/dev/null"); /* recording must not mind what drivers do */
    return 0;
}

static inline int setup(void **state)
{
    return setup_revision(state, 0);
}

/* The device, started, with a primary surface of WIDTH x HEIGHT. */
static inline int setup_native(void **state)
{
    setup(state);
    driver_start(*state);
    driver_create_primary(*state, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    return 0;
}

static inline int setup_old(void **state)
{
    return setup_revision(state, 4);
}

static inline int setup_v10(void **state)
{
    return setup_revision(state, 3);
}

static inline int setup_v06(void **state)
{
    return setup_revision(state, 2);
}

static inline int teardown(void **state)
{
    driver_destroy(*state);
    return 0;
}

static inline void check_picture(struct driver *d)
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

static inline bool in_bug(struct driver *d)
{
    /* In the error state a good command has no effect; the interrupt bit tells more directly. */
    return shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_ERROR;
}

static inline void expect_bug(struct driver *d)
{
    driver_wait_irq(d, QXL_INTERRUPT_ERROR);
}

static inline void oracle_put(const uint32_t *pixels, int x, int y, int width, int height,
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

static inline void random_clips(QXLRect *clips, unsigned n, int x, int y, int width, int height)
{
    for (unsigned i = 0; i < n; i++) {
        clips[i].left = x + (int)(rnd() % width);
        clips[i].top = y + (int)(rnd() % height);
        clips[i].right = clips[i].left + 1 + rnd() % 20;
        clips[i].bottom = clips[i].top + 1 + rnd() % 20;
    }
}

/* A copy of random pixels, some of it outside, from chunks or direct, upside down or not, clipped or not. */
static inline void random_copy(struct driver *d)
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

static inline void driver_fill(struct driver *d, const struct rect *r, uint32_t color)
{
    uint64_t addr;
    QXLDrawable *p = driver_drawable(
        d, QXL_DRAW_FILL, 0,
        (QXLRect){.left = r->left, .top = r->top, .right = r->right, .bottom = r->bottom}, &addr);

    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = color};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    driver_push(d, QXL_CMD_DRAW, addr);
    for (int32_t y = r->top; y < MIN(r->bottom, HEIGHT); y++)
        for (int32_t x = r->left; x < MIN(r->right, WIDTH); x++)
            oracle[y * WIDTH + x] = color & 0xffffff;
}

static inline void random_fill(struct driver *d)
{
    unsigned width = 1 + rnd() % 64, height = 1 + rnd() % 64;
    int x = rnd() % WIDTH, y = rnd() % HEIGHT;

    driver_fill(d, &(struct rect){x, y, x + width, y + height}, rnd());
}

/* r comes from (dx, dy) beside it, as far as that is on the screen. */
static inline void driver_move(struct driver *d, const struct rect *r, int32_t dx, int32_t dy)
{
    static uint32_t before[WIDTH * HEIGHT];
    uint64_t addr;
    QXLDrawable *p = driver_drawable(
        d, QXL_COPY_BITS, 0,
        (QXLRect){.left = r->left, .top = r->top, .right = r->right, .bottom = r->bottom}, &addr);

    p->u.copy_bits.src_pos = (QXLPoint){r->left + dx, r->top + dy};
    driver_push(d, QXL_CMD_DRAW, addr);
    memcpy(before, oracle, sizeof(before));
    for (int32_t y = MAX(r->top, -dy); y < MIN(r->bottom, HEIGHT - dy); y++)
        for (int32_t x = MAX(r->left, -dx); x < MIN(r->right, WIDTH - dx); x++)
            oracle[y * WIDTH + x] = before[(y + dy) * WIDTH + x + dx];
}

static inline void random_copy_bits(struct driver *d)
{
    unsigned width = 1 + rnd() % 64, height = 1 + rnd() % 64;
    int from_x = rnd() % (WIDTH - 64), from_y = rnd() % (HEIGHT - 64);
    int x = from_x + (int)(rnd() % 40) - 20, y = from_y + (int)(rnd() % 40) - 20;

    x = CLAMP(x, 0, WIDTH - 64);
    y = CLAMP(y, 0, HEIGHT - 64);
    driver_move(d, &(struct rect){x, y, x + width, y + height}, from_x - x, from_y - y);
}

static inline uint64_t surface_command(struct driver *d, uint32_t id, unsigned type, uint32_t width,
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

static inline uint64_t surface_image(struct driver *d, uint32_t id, uint32_t width, uint32_t height)
{
    uint64_t addr;
    QXLImage *image = driver_alloc(d, sizeof(QXLImageDescriptor) + sizeof(QXLSurfaceId), &addr);

    image->descriptor =
        (QXLImageDescriptor){.type = SPICE_IMAGE_TYPE_SURFACE, .width = width, .height = height};
    image->surface_image.surface_id = id;
    return addr;
}

static inline uint64_t nop(struct driver *d)
{
    uint64_t addr;

    driver_drawable(d, QXL_DRAW_NOP, 0, (QXLRect){0}, &addr);
    return addr;
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define NATIVE(name) cmocka_unit_test_setup_teardown(name, setup_native, teardown)

#endif

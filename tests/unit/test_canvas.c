/* The canvas against pixel-by-pixel oracles: thousands of random operations, all compared. */
#include "canvas/canvas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 61, HEIGHT = 47, ROUNDS = 3000 };

static uint32_t seed = 1;

static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static int between(int lo, int hi)
{
    return lo + (int)(rnd() % (uint32_t)(hi - lo + 1));
}

/* One pixel of any format up to 32 bits, as its raw value. */
static uint32_t get(pixman_image_t *image, int x, int y)
{
    const uint8_t *row =
        (uint8_t *)pixman_image_get_data(image) + (ptrdiff_t)y * pixman_image_get_stride(image);

    switch (PIXMAN_FORMAT_BPP(pixman_image_get_format(image))) {
    case 32:
        return ((const uint32_t *)row)[x];
    case 16:
        return ((const uint16_t *)row)[x];
    case 8:
        return row[x];
    default:
        return row[x >> 3] >> (x & 7) & 1;
    }
}

static uint32_t value_mask(pixman_image_t *image)
{
    int bpp = PIXMAN_FORMAT_BPP(pixman_image_get_format(image));

    /* The x bits of xRGB and x555 mean nothing. */
    if (pixman_image_get_format(image) == PIXMAN_x8r8g8b8)
        return 0xffffff;
    if (pixman_image_get_format(image) == PIXMAN_x1r5g5b5)
        return 0x7fff;
    return bpp == 32 ? ~0u : (1u << bpp) - 1;
}

static pixman_image_t *noise(pixman_format_code_t format, int width, int height)
{
    pixman_image_t *image = pixman_image_create_bits(format, width, height, NULL, 0);
    uint8_t *p = (uint8_t *)pixman_image_get_data(image);
    size_t size = (size_t)height * (size_t)pixman_image_get_stride(image);

    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)rnd();
    return image;
}

/* A canvas of noise beside a table of the pixels it must have. */
struct fixture {
    struct canvas *c;
    uint32_t want[HEIGHT][WIDTH];
};

static void fixture_open(struct fixture *f, uint32_t format)
{
    assert_int_equal(canvas_create(&f->c, format, WIDTH, HEIGHT), 0);
    for (size_t i = 0; i < (size_t)f->c->stride * HEIGHT; i++)
        f->c->pixels[i] = (uint8_t)rnd();
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            f->want[y][x] = get(f->c->image, x, y);
}

static void fixture_compare(struct fixture *f)
{
    uint32_t mask = value_mask(f->c->image);

    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            if ((get(f->c->image, x, y) ^ f->want[y][x]) & mask)
                fail_msg("pixel %d,%d is %08x, should be %08x", x, y, get(f->c->image, x, y),
                         f->want[y][x]);
}

static struct rect random_box(int max)
{
    struct rect r = {between(-10, WIDTH), between(-10, HEIGHT)};

    r.right = r.left + between(1, max);
    r.bottom = r.top + between(1, max);
    return r;
}

/* A target with or without clip and mask, and what it lets through. */
struct target {
    struct canvas_target t;
    pixman_region32_t clip;
};

static void random_target(struct target *t, int max)
{
    struct rect rects[4];
    size_t n = (size_t)between(0, 4);

    *t = (struct target){.t.box = random_box(max)};
    for (size_t i = 0; i < n; i++)
        rects[i] = random_box(30);
    assert_int_equal(canvas_region(&t->clip, rects, n), 0);
    if (rnd() % 2)
        t->t.clip = &t->clip;
    if (rnd() % 3 == 0) {
        t->t.mask = noise(PIXMAN_a1, between(1, 80), between(1, 80));
        t->t.mask_x = between(-5, 5);
        t->t.mask_y = between(-5, 5);
    }
}

static void close_target(struct target *t)
{
    pixman_region32_fini(&t->clip);
    if (t->t.mask)
        pixman_image_unref(t->t.mask);
}

static bool lets_through(const struct target *t, int x, int y)
{
    const struct rect *b = &t->t.box;
    int mx = x - b->left + t->t.mask_x, my = y - b->top + t->t.mask_y;

    if (x < b->left || x >= b->right || y < b->top || y >= b->bottom)
        return false;
    if (t->t.clip && !pixman_region32_contains_point((pixman_region32_t *)t->t.clip, x, y, NULL))
        return false;
    if (!t->t.mask)
        return true;
    return mx >= 0 && my >= 0 && mx < pixman_image_get_width(t->t.mask) &&
           my < pixman_image_get_height(t->t.mask) && get(t->t.mask, mx, my);
}

static uint32_t rop_oracle(uint16_t rop, uint32_t a, uint16_t invers_a, uint32_t b,
                           uint16_t invers_b, uint32_t below)
{
    uint32_t r;

    a = rop & invers_a ? ~a : a;
    b = rop & invers_b ? ~b : b;
    if (rop & SPICE_ROPD_OP_PUT)
        r = a;
    else if (rop & SPICE_ROPD_OP_OR)
        r = a | b;
    else if (rop & SPICE_ROPD_OP_AND)
        r = a & b;
    else if (rop & SPICE_ROPD_OP_XOR)
        r = a ^ b;
    else
        return rop & SPICE_ROPD_OP_BLACKNESS ? 0 : rop & SPICE_ROPD_OP_WHITENESS ? ~0u : ~below;
    return rop & SPICE_ROPD_INVERS_RES ? ~r : r;
}

static uint16_t random_rop(void)
{
    uint16_t rop = (uint16_t)(SPICE_ROPD_OP_PUT << between(0, 6));

    rop |= rnd() % 8;
    return rnd() % 4 ? rop : rop | SPICE_ROPD_INVERS_RES;
}

static uint32_t rop3_oracle(uint8_t code, uint32_t p, uint32_t s, uint32_t d)
{
    uint32_t r = 0;

    for (int bit = 0; bit < 32; bit++) {
        int i = (int)((p >> bit & 1) << 2 | (s >> bit & 1) << 1 | (d >> bit & 1));

        r |= (uint32_t)(code >> i & 1) << bit;
    }
    return r;
}

struct brush {
    struct canvas_brush b;
};

static void random_brush(struct brush *b, pixman_format_code_t format)
{
    *b = (struct brush){{SPICE_BRUSH_TYPE_SOLID, .color = rnd() << 8 ^ rnd()}};
    if (rnd() % 2)
        b->b = (struct canvas_brush){SPICE_BRUSH_TYPE_PATTERN,
                                     .pattern = noise(format, between(1, 17), between(1, 17)),
                                     .x = between(-9, 9), .y = between(-9, 9)};
}

static uint32_t brush_at(const struct brush *b, int x, int y)
{
    int w, h;

    if (b->b.type == SPICE_BRUSH_TYPE_SOLID)
        return b->b.color;
    w = pixman_image_get_width(b->b.pattern);
    h = pixman_image_get_height(b->b.pattern);
    return get(b->b.pattern, ((x - b->b.x) % w + w) % w, ((y - b->b.y) % h + h) % h);
}

static void close_brush(struct brush *b)
{
    if (b->b.pattern)
        pixman_image_unref(b->b.pattern);
}

/* A source of the target's size somewhere in a larger picture. */
static struct canvas_source random_source(const struct target *t, pixman_format_code_t format)
{
    int w = t->t.box.right - t->t.box.left, h = t->t.box.bottom - t->t.box.top;
    int x = between(0, 9), y = between(0, 9);

    return (struct canvas_source){noise(format, x + w + between(0, 9), y + h + between(0, 9)),
                                  {x, y, x + w, y + h}};
}

static uint32_t source_at(const struct canvas_source *s, const struct target *t, int x, int y)
{
    return get(s->image, x - t->t.box.left + s->area.left, y - t->t.box.top + s->area.top);
}

static const uint32_t all_formats[] = {SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_32_ARGB,
                                       SPICE_SURFACE_FMT_16_565,  SPICE_SURFACE_FMT_16_555,
                                       SPICE_SURFACE_FMT_8_A,     SPICE_SURFACE_FMT_1_A};

#define EACH_PIXEL(t)                                                                              \
    for (int y = 0; y < HEIGHT; y++)                                                               \
        for (int x = 0; x < WIDTH; x++)                                                            \
            if (lets_through(t, x, y))

static void test_fill(void **state UNUSED)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct fixture f;
        struct target t;
        struct brush b;
        uint16_t rop = random_rop();

        fixture_open(&f, all_formats[rnd() % 6]);
        random_target(&t, 60);
        random_brush(&b, pixman_image_get_format(f.c->image));
        assert_int_equal(canvas_fill(f.c, &t.t, &b.b, rop), 0);
        EACH_PIXEL(&t)
        f.want[y][x] = rop_oracle(rop, brush_at(&b, x, y), SPICE_ROPD_INVERS_BRUSH, f.want[y][x],
                                  SPICE_ROPD_INVERS_DEST, f.want[y][x]);
        fixture_compare(&f);
        close_brush(&b);
        close_target(&t);
        canvas_destroy(f.c);
    }
}

static void test_copy(void **state UNUSED)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct fixture f;
        struct target t;
        struct canvas_source s;
        uint16_t rop = random_rop();

        fixture_open(&f, all_formats[rnd() % 6]);
        random_target(&t, 60);
        s = random_source(&t, pixman_image_get_format(f.c->image));
        assert_int_equal(canvas_copy(f.c, &t.t, &s, rop), 0);
        EACH_PIXEL(&t)
        f.want[y][x] = rop_oracle(rop, source_at(&s, &t, x, y), SPICE_ROPD_INVERS_SRC, f.want[y][x],
                                  SPICE_ROPD_INVERS_DEST, f.want[y][x]);
        fixture_compare(&f);
        pixman_image_unref(s.image);
        close_target(&t);
        canvas_destroy(f.c);
    }
}

static void test_opaque(void **state UNUSED)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct fixture f;
        struct target t;
        struct brush b;
        struct canvas_source s;
        uint16_t rop = random_rop();

        fixture_open(&f, all_formats[rnd() % 6]);
        random_target(&t, 60);
        random_brush(&b, pixman_image_get_format(f.c->image));
        s = random_source(&t, pixman_image_get_format(f.c->image));
        assert_int_equal(canvas_opaque(f.c, &t.t, &s, &b.b, rop), 0);
        EACH_PIXEL(&t)
        f.want[y][x] =
            rop_oracle(rop, brush_at(&b, x, y), SPICE_ROPD_INVERS_BRUSH, source_at(&s, &t, x, y),
                       SPICE_ROPD_INVERS_SRC, source_at(&s, &t, x, y));
        fixture_compare(&f);
        pixman_image_unref(s.image);
        close_brush(&b);
        close_target(&t);
        canvas_destroy(f.c);
    }
}

static void test_rop3(void **state UNUSED)
{
    for (int code = 0; code < 256; code++) {
        struct fixture f;
        struct target t;
        struct brush b;
        struct canvas_source s;

        fixture_open(&f, all_formats[code % 6]);
        random_target(&t, 60);
        random_brush(&b, pixman_image_get_format(f.c->image));
        s = random_source(&t, pixman_image_get_format(f.c->image));
        assert_int_equal(canvas_rop3(f.c, &t.t, &s, &b.b, (uint8_t)code), 0);
        EACH_PIXEL(&t)
        f.want[y][x] =
            rop3_oracle((uint8_t)code, brush_at(&b, x, y), source_at(&s, &t, x, y), f.want[y][x]);
        fixture_compare(&f);
        pixman_image_unref(s.image);
        close_brush(&b);
        close_target(&t);
        canvas_destroy(f.c);
    }
}

static void test_copy_bits(void **state UNUSED)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct fixture f;
        struct target t;
        uint32_t before[HEIGHT][WIDTH];
        int sx, sy;

        fixture_open(&f, all_formats[rnd() % 6]);
        memcpy(before, f.want, sizeof(before));
        random_target(&t, 60);
        sx = t.t.box.left + between(-20, 20);
        sy = t.t.box.top + between(-20, 20);
        assert_int_equal(canvas_copy_bits(f.c, &t.t, sx, sy), 0);
        EACH_PIXEL(&t)
        {
            int ox = x - t.t.box.left + sx, oy = y - t.t.box.top + sy;

            if (ox >= 0 && oy >= 0 && ox < WIDTH && oy < HEIGHT)
                f.want[y][x] = before[oy][ox];
        }
        fixture_compare(&f);
        close_target(&t);
        canvas_destroy(f.c);
    }
}

/* What a step of a series draws beside the rectangle: pixels that the next moves may bring in. */
static void draw_beside(struct canvas *c, const struct rect *to, uint32_t colour, struct rect box)
{
    const struct canvas_brush brush = {.type = SPICE_BRUSH_TYPE_SOLID, .color = colour};
    const struct canvas_target t = {.box = box};
    const struct rect both = rect_intersect(&box, to);

    if (rect_empty(&both))
        assert_int_equal(canvas_fill(c, &t, &brush, SPICE_ROPD_OP_PUT), 0);
}

static void move_once(struct canvas *c, const struct rect *to, struct canvas_point from)
{
    const struct canvas_target t = {.box = *to};

    assert_int_equal(canvas_copy_bits(c, &t, to->left + from.x, to->top + from.y), 0);
}

static void move_again(struct canvas *c, const struct rect *to, struct canvas_point from, uint32_t left, bool first)
{
    struct canvas_target t = {.box = *to};
    pixman_region32_t region;

    canvas_move_again(&region, to, from, left, first);
    t.clip = &region;
    if (pixman_region32_not_empty(&region))
        assert_int_equal(
            canvas_copy_bits(c, &t, to->left + from.x * (int32_t)left, to->top + from.y * (int32_t)left), 0);
    pixman_region32_fini(&region);
}

static struct rect random_rect(int32_t right, int32_t bottom)
{
    struct rect r = {between(0, right - 1), between(0, bottom - 1), 0, 0};

    r.right = between(r.left + 1, right);
    r.bottom = between(r.top + 1, bottom);
    return r;
}

/* A move that repeats, with something drawn between: step by step, and each pixel only once. */
static void test_move_again(void **state UNUSED)
{
    struct canvas *plain, *once;

    assert_int_equal(canvas_create(&plain, SPICE_SURFACE_FMT_32_xRGB, WIDTH, HEIGHT), 0);
    assert_int_equal(canvas_create(&once, SPICE_SURFACE_FMT_32_xRGB, WIDTH, HEIGHT), 0);
    for (int i = 0; i < ROUNDS; i++) {
        const struct rect to = random_rect(WIDTH, HEIGHT);
        const struct canvas_point from = {between(-to.left, WIDTH - to.right), between(-to.top, HEIGHT - to.bottom)};
        uint32_t steps = (uint32_t)between(1, 6);

        for (size_t k = 0; k < (size_t)plain->stride * HEIGHT; k++)
            plain->pixels[k] = (uint8_t)rnd();
        memcpy(once->pixels, plain->pixels, (size_t)plain->stride * HEIGHT);
        for (uint32_t left = steps; left > 0; left--) {
            const struct rect beside = random_rect(WIDTH, HEIGHT);
            uint32_t colour = rnd();

            move_once(plain, &to, from);
            move_again(once, &to, from, left, left == steps);
            draw_beside(plain, &to, colour, beside);
            draw_beside(once, &to, colour, beside);
        }
        assert_memory_equal(once->pixels, plain->pixels, (size_t)plain->stride * HEIGHT);
    }
    canvas_destroy(plain);
    canvas_destroy(once);
}

static void test_copy_from_itself(void **state UNUSED)
{
    struct fixture f;
    struct canvas_target t = {.box = {5, 5, 45, 35}};
    struct canvas_source s;
    uint32_t before[HEIGHT][WIDTH];

    fixture_open(&f, SPICE_SURFACE_FMT_32_xRGB);
    memcpy(before, f.want, sizeof(before));
    s = (struct canvas_source){f.c->image, {2, 3, 42, 33}};
    assert_int_equal(canvas_copy(f.c, &t, &s, SPICE_ROPD_OP_PUT), 0);
    for (int y = 5; y < 35; y++)
        memcpy(&f.want[y][5], &before[y - 2][2], 40 * sizeof(uint32_t));
    fixture_compare(&f);
    canvas_destroy(f.c);
}

/* Doubling by nearest gives each pixel four times. */
static void test_scale_nearest(void **state UNUSED)
{
    struct fixture f;
    struct canvas_target t = {.box = {3, 4, 23, 24}};
    struct canvas_source s = {
        noise(PIXMAN_x8r8g8b8, 16, 16), {2, 3, 12, 13}, SPICE_IMAGE_SCALE_MODE_NEAREST};

    fixture_open(&f, SPICE_SURFACE_FMT_32_xRGB);
    assert_int_equal(canvas_copy(f.c, &t, &s, SPICE_ROPD_OP_PUT), 0);
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++)
            f.want[4 + y][3 + x] = get(s.image, 2 + x / 2, 3 + y / 2);
    fixture_compare(&f);
    pixman_image_unref(s.image);
    canvas_destroy(f.c);
}

static void test_convert(void **state UNUSED)
{
    struct fixture f;
    struct canvas_target t = {.box = {0, 0, 1, 1}};
    struct canvas_source s = {noise(PIXMAN_r5g6b5, 1, 1), {0, 0, 1, 1}};

    fixture_open(&f, SPICE_SURFACE_FMT_32_ARGB);
    *(uint16_t *)pixman_image_get_data(s.image) = 0xf800;
    assert_int_equal(canvas_copy(f.c, &t, &s, SPICE_ROPD_OP_PUT), 0);
    f.want[0][0] = 0xffff0000;
    fixture_compare(&f);
    pixman_image_unref(s.image);
    canvas_destroy(f.c);
}

static void test_impossible(void **state UNUSED)
{
    static const struct rect bad[] = {{0, 0, 0, 4},         {-1, 0, 3, 4}, {0, -1, 4, 3},
                                      {5, 0, 9, 4},         {0, 5, 4, 9},  {INT32_MIN, 0, 4, 4},
                                      {0, 0, INT32_MAX, 4}, {4, 4, 0, 0}};
    static const struct rect boxes[] = {{INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX},
                                        {INT32_MIN, 0, 10, 10},
                                        {0, 0, INT32_MAX, 10},
                                        {INT32_MAX - 4, 0, INT32_MAX, 4}};
    struct canvas *c;
    pixman_image_t *image = noise(PIXMAN_x8r8g8b8, 8, 8);

    assert_int_equal(canvas_create(&c, 77, 1, 1), -EINVAL);
    assert_int_equal(canvas_create(&c, SPICE_SURFACE_FMT_32_xRGB, 0, 1), -EINVAL);
    assert_int_equal(canvas_create(&c, SPICE_SURFACE_FMT_32_xRGB, 1, CANVAS_MAX_SIZE + 1), -EINVAL);
    assert_int_equal(canvas_create(&c, SPICE_SURFACE_FMT_32_xRGB, 10, 10), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(canvas_copy(c, &(struct canvas_target){.box = {0, 0, 4, 4}},
                                     &(struct canvas_source){image, bad[i]}, SPICE_ROPD_OP_PUT),
                         -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(boxes); i++) {
        struct canvas_target t = {.box = boxes[i]};

        assert_int_equal(
            canvas_copy(c, &t, &(struct canvas_source){image, {0, 0, 8, 8}}, SPICE_ROPD_OP_PUT),
            -EINVAL);
        assert_int_equal(
            canvas_fill(c, &t, &(struct canvas_brush){SPICE_BRUSH_TYPE_SOLID}, SPICE_ROPD_OP_PUT),
            0);
        canvas_copy_bits(c, &t, INT32_MIN, INT32_MAX);
        canvas_copy_bits(c, &t, INT32_MAX, 0);
        canvas_copy_bits(c, &t, t.box.left, 3);
    }
    assert_int_equal(
        canvas_fill(c, &(struct canvas_target){.box = {0, 0, 4, 4}}, NULL, SPICE_ROPD_OP_PUT),
        -EINVAL);
    pixman_image_unref(image);
    canvas_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),          cmocka_unit_test(test_copy),
        cmocka_unit_test(test_opaque),        cmocka_unit_test(test_rop3),
        cmocka_unit_test(test_copy_bits),     cmocka_unit_test(test_copy_from_itself),
        cmocka_unit_test(test_scale_nearest), cmocka_unit_test(test_convert),
        cmocka_unit_test(test_impossible),    cmocka_unit_test(test_move_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

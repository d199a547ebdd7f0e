/* Text, lines, blending and picture formats against simple oracles of their own. */
#include "canvas/canvas.h"
#include "canvas/path.h"
#include "canvas/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <spice/enums.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 50, HEIGHT = 40, ROUNDS = 500 };

static uint32_t seed = 7;

static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static int between(int lo, int hi)
{
    return lo + (int)(rnd() % (uint32_t)(hi - lo + 1));
}

static uint32_t color(void)
{
    return (rnd() << 8 ^ rnd()) & 0xffffff;
}

struct fixture {
    struct canvas *c;
    uint32_t want[HEIGHT][WIDTH];
};

static uint32_t pixel(const struct canvas *c, int x, int y)
{
    return ((const uint32_t *)(c->pixels + (size_t)y * c->stride))[x] & 0xffffff;
}

static void fixture_open(struct fixture *f)
{
    assert_int_equal(canvas_create(&f->c, SPICE_SURFACE_FMT_32_xRGB, WIDTH, HEIGHT), 0);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            f->want[y][x] = ((uint32_t *)(f->c->pixels + (size_t)y * f->c->stride))[x] = color();
}

/* Blending may round either way. */
static bool near(uint32_t a, uint32_t b, int slack)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (abs((int)(a >> shift & 0xff) - (int)(b >> shift & 0xff)) > slack)
            return false;
    return true;
}

static void fixture_close(struct fixture *f, int slack)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            if (!near(pixel(f->c, x, y), f->want[y][x], slack))
                fail_msg("pixel %d,%d is %06x, should be %06x", x, y, pixel(f->c, x, y),
                         f->want[y][x]);
    canvas_destroy(f->c);
}

/* over: alpha 0..255 of a colour that is not premultiplied */
static uint32_t over(uint32_t src, uint32_t dest, uint32_t alpha)
{
    uint32_t out = 0;

    for (int shift = 0; shift < 24; shift += 8) {
        uint32_t s = src >> shift & 0xff, d = dest >> shift & 0xff;

        out |= (s * alpha + d * (255 - alpha) + 127) / 255 << shift;
    }
    return out;
}

static bool inside(const struct rect *r, int x, int y)
{
    return x >= r->left && x < r->right && y >= r->top && y < r->bottom;
}

/* ---- text ---- */

static uint32_t glyph_coverage(const struct canvas_text *t, const struct canvas_glyph *g, int gx,
                               int gy)
{
    size_t stride = (g->width * t->bits + 7) / 8;
    const uint8_t *row = g->bits + (size_t)(t->top_down ? gy : (int)g->height - 1 - gy) * stride;

    if (t->bits == 1)
        return row[gx / 8] >> (7 - gx % 8) & 1 ? 255 : 0;
    if (t->bits == 4)
        return (gx % 2 ? row[gx / 2] & 0x0f : row[gx / 2] >> 4) * 16u;
    return row[gx];
}

static uint32_t text_coverage(const struct canvas_text *t, int x, int y)
{
    uint32_t most = 0;

    for (size_t i = 0; i < t->count; i++) {
        const struct canvas_glyph *g = &t->glyphs[i];
        int gx = x - g->x, gy = y - g->y;

        if (gx >= 0 && gy >= 0 && gx < (int)g->width && gy < (int)g->height)
            most = MAX(most, glyph_coverage(t, g, gx, gy));
    }
    return most;
}

static void test_text(void **state UNUSED)
{
    static const unsigned bits[] = {1, 4, 8};

    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        uint8_t data[3][20 * 20];
        struct canvas_glyph glyphs[3];
        struct canvas_text text = {glyphs, 3, bits[round % 3], round % 2};
        struct canvas_brush brush = {SPICE_BRUSH_TYPE_SOLID, .color = color()};
        struct canvas_target t = {
            .box = {between(-5, 20), between(-5, 20), between(21, 60), between(21, 60)}};

        fixture_open(&f);
        for (int i = 0; i < 3; i++) {
            for (size_t k = 0; k < sizeof(data[i]); k++)
                data[i][k] = (uint8_t)rnd();
            glyphs[i] =
                (struct canvas_glyph){between(-15, WIDTH), between(-15, HEIGHT),
                                      (uint32_t)between(0, 20), (uint32_t)between(0, 20), data[i]};
        }
        assert_int_equal(canvas_text(f.c, &t, &text, &brush, SPICE_ROPD_OP_PUT), 0);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                if (inside(&t.box, x, y))
                    f.want[y][x] = over(brush.color, f.want[y][x], text_coverage(&text, x, y));
        fixture_close(&f, text.bits == 1 ? 0 : 1);
    }
}

/* ---- blending ---- */

static void test_alpha_blend(void **state UNUSED)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        uint32_t src[12][12], *flat = &src[0][0], alpha = (uint32_t)between(0, 255), mine;
        pixman_image_t *image = pixman_image_create_bits(PIXMAN_a8r8g8b8, 12, 12, &src[0][0], 48);
        struct canvas_source s = {image, {0, 0, 12, 12}};
        int left = between(-5, WIDTH), top = between(-5, HEIGHT);
        struct canvas_target t = {.box = {left, top, left + 12, top + 12}};

        fixture_open(&f);
        for (int i = 0; i < 144; i++) {
            mine = (uint32_t)between(0, 255);
            /* premultiplied */
            flat[i] = mine << 24 | over(color(), 0, mine);
        }
        assert_int_equal(canvas_alpha_blend(f.c, &t, &s, (uint8_t)alpha, false), 0);
        for (int y = MAX(0, top); y < MIN(HEIGHT, top + 12); y++)
            for (int x = MAX(0, left); x < MIN(WIDTH, left + 12); x++) {
                uint32_t p = src[y - top][x - left], d = f.want[y][x], sum = 0;

                for (int shift = 0; shift < 24; shift += 8)
                    sum |= MIN((p >> shift & 0xff) * alpha / 255 +
                                   (d >> shift & 0xff) * (255 - (p >> 24) * alpha / 255) / 255,
                               255u)
                           << shift;
                f.want[y][x] = sum;
            }
        fixture_close(&f, 2);
        pixman_image_unref(image);
    }
}

static void test_transparent(void **state UNUSED)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        uint32_t src[10][10], *flat = &src[0][0], key = color();
        pixman_image_t *image = pixman_image_create_bits(PIXMAN_x8r8g8b8, 10, 10, &src[0][0], 40);
        struct canvas_source s = {image, {2, 1, 9, 10}};
        struct canvas_target t = {.box = {30, 20, 37, 29}};

        fixture_open(&f);
        for (int i = 0; i < 100; i++)
            flat[i] = (rnd() % 2 ? key : color()) | rnd() << 24;
        assert_int_equal(canvas_transparent(f.c, &t, &s, key), 0);
        for (int y = 20; y < 29; y++)
            for (int x = 30; x < 37; x++)
                if ((src[y - 20 + 1][x - 30 + 2] & 0xffffff) != key)
                    f.want[y][x] = src[y - 20 + 1][x - 30 + 2] & 0xffffff;
        fixture_close(&f, 0);
        pixman_image_unref(image);
    }
}

/* ADD of a repeating picture through an A8 mask */
static void test_composite(void **state UNUSED)
{
    struct fixture f;
    uint32_t src[3][3], *flat = &src[0][0], mask_bits[8][2] = {0};
    uint8_t *mask = (uint8_t *)mask_bits;
    struct canvas_layer s = {.image =
                                 pixman_image_create_bits(PIXMAN_x8r8g8b8, 3, 3, &src[0][0], 12),
                             .x = 1,
                             .y = 2,
                             .repeat = PIXMAN_REPEAT_NORMAL};
    struct canvas_layer m = {.image =
                                 pixman_image_create_bits(PIXMAN_a8, 8, 8, &mask_bits[0][0], 8)};
    struct canvas_target t = {.box = {10, 10, 30, 30}};

    fixture_open(&f);
    for (int i = 0; i < 9; i++)
        flat[i] = color();
    for (int i = 0; i < 64; i++)
        mask[i] = rnd() % 2 ? 255 : 0;
    assert_int_equal(canvas_composite(f.c, &t, PIXMAN_OP_ADD, &s, &m, true), 0);
    for (int y = 10; y < 18; y++)
        for (int x = 10; x < 18; x++)
            for (int shift = 0; mask[(y - 10) * 8 + x - 10] && shift < 24; shift += 8) {
                uint32_t sum = (src[(y - 10 + 2) % 3][(x - 10 + 1) % 3] >> shift & 0xff) +
                               (f.want[y][x] >> shift & 0xff);

                f.want[y][x] = (f.want[y][x] & ~(0xffu << shift)) | MIN(sum, 255u) << shift;
            }
    assert_int_equal(canvas_composite(f.c, &t, 0x99, &s, &m, true), -EINVAL);
    s.filter = 7;
    assert_int_equal(canvas_composite(f.c, &t, PIXMAN_OP_ADD, &s, &m, true), -EINVAL);
    pixman_image_unref(s.image);
    pixman_image_unref(m.image);
    fixture_close(&f, 0);
}

/* ---- lines ---- */

/* Bresenham step by step, with the X server's error terms and biases. */
static void line_oracle(struct fixture *f, struct canvas_point a, struct canvas_point b,
                        uint32_t value, uint32_t *step, const uint8_t *dashes, size_t dash_count)
{
    int sx = b.x < a.x ? -1 : 1, sy = b.y < a.y ? -1 : 1;
    int dx = abs(b.x - a.x), dy = abs(b.y - a.y);
    bool steep = dy > dx;
    int major = steep ? dy : dx, minor = steep ? dx : dy;
    bool biased = (sy < 0 && steep) || (sx < 0 && !steep) || (sx < 0 && sy < 0);
    int e = -major - (biased ? 1 : 0), x = a.x, y = a.y;

    for (int i = 0; i < major; i++, (*step)++) {
        uint32_t at = *step, n = 0;

        while (dash_count && at >= dashes[n % dash_count])
            at -= dashes[n++ % dash_count];
        if (n % 2 == 0 && x >= 0 && y >= 0 && x < WIDTH && y < HEIGHT)
            f->want[y][x] ^= value;
        e += 2 * minor;
        if (e >= 0) {
            e -= 2 * major;
            steep ? (x += sx) : (y += sy);
        }
        steep ? (y += sy) : (x += sx);
    }
}

static void test_stroke(void **state UNUSED)
{
    static const uint8_t dashes[] = {3, 2, 1, 4, 2};

    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        struct canvas_point points[5];
        struct canvas_line line = {points, 5, dashes, (size_t)(round % 3 ? 0 : between(2, 5)), 0};
        struct canvas_brush brush = {SPICE_BRUSH_TYPE_SOLID, .color = color()};
        struct canvas_target t = {.box = {0, 0, WIDTH, HEIGHT}};
        uint32_t step = 0;

        fixture_open(&f);
        for (int i = 0; i < 5; i++)
            points[i] = (struct canvas_point){between(-60, 110), between(-60, 100)};
        assert_int_equal(canvas_stroke(f.c, &t, &line, &brush, SPICE_ROPD_OP_XOR), 0);
        for (int i = 0; i < 4; i++)
            line_oracle(&f, points[i], points[i + 1], brush.color, &step, dashes, line.dash_count);
        fixture_close(&f, 0);
    }
}

/* Lengths in turn, drawn and left out, or left out and drawn. */
static void test_style(void **state UNUSED)
{
    for (int round = 0; round < ROUNDS; round++) {
        int32_t lengths[6];
        uint8_t dashes[CANVAS_MAX_DASHES];
        struct fixture f;
        struct canvas_line line = {(const struct canvas_point[]){{0, 5}, {WIDTH, 5}}, 2};
        struct canvas_brush brush = {SPICE_BRUSH_TYPE_SOLID, .color = color()};
        struct canvas_target t = {.box = {0, 0, WIDTH, HEIGHT}};
        size_t count = (size_t)between(1, ARRAY_SIZE(lengths)), at = 0;
        bool gap = round % 2, on = !gap;

        for (size_t i = 0; i < count; i++)
            lengths[i] = between(1, 9) << 4;
        fixture_open(&f);
        canvas_line_style(&line, dashes, lengths, count, gap);
        assert_int_equal(canvas_stroke(f.c, &t, &line, &brush, SPICE_ROPD_OP_PUT), 0);
        for (int x = 0; x < WIDTH; at++, on = !on)
            for (int i = 0; i < lengths[at % count] >> 4 && x < WIDTH; i++, x++)
                if (on)
                    f.want[5][x] = brush.color;
        fixture_close(&f, 0);
    }
}

/* A line from one end of the world to the other costs no more than the canvas is wide. */
static void test_long_lines(void **state UNUSED)
{
    struct fixture f;
    struct canvas_point points[1000];
    struct canvas_line line = {points, ARRAY_SIZE(points)};
    struct canvas_brush brush = {SPICE_BRUSH_TYPE_SOLID};
    struct canvas_target t = {.box = {0, 0, WIDTH, HEIGHT}};

    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_SIZE(points); i++)
        points[i] = (struct canvas_point){i % 2 ? 1 << 26 : -(1 << 26), (int32_t)i};
    assert_int_equal(canvas_stroke(f.c, &t, &line, &brush, SPICE_ROPD_OP_PUT), 0);
    points[3].x = INT32_MIN;
    assert_int_equal(canvas_stroke(f.c, &t, &line, &brush, SPICE_ROPD_OP_PUT), -EINVAL);
    canvas_destroy(f.c);
}

static void test_path(void **state UNUSED)
{
    struct path p = {0};
    struct canvas_point flat[3] = {{100 * 16, 0}, {200 * 16, 0}, {300 * 16, 0}};
    struct canvas_point round[3] = {{0, 400 * 16}, {400 * 16, 400 * 16}, {400 * 16, 0}};
    struct canvas_point wild[3] = {
        {INT32_MAX, INT32_MIN}, {INT32_MIN, INT32_MAX}, {INT32_MAX, INT32_MAX}};

    assert_int_equal(path_add_curve(&p, flat), -EINVAL);
    assert_int_equal(path_add(&p, 8, 9), 0);
    assert_int_equal(p.points[0].x, 0);
    assert_int_equal(p.points[0].y, 1);
    p.points[0].y = 0;
    assert_int_equal(path_add_curve(&p, flat), 0);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.points[1].x, 300);
    path_clear(&p);
    assert_int_equal(path_add(&p, 0, 0), 0);
    assert_int_equal(path_add_curve(&p, round), 0);
    assert_true(p.count > 8 && p.count < 200);
    for (size_t i = 1; i < p.count; i++)
        assert_true(p.points[i].x >= p.points[i - 1].x && p.points[i].y <= 300);
    for (int i = 0; i < 100; i++)
        if (path_add_curve(&p, wild) == -E2BIG)
            break;
    assert_true(p.count <= PATH_MAX_POINTS);
    path_fini(&p);
}

static double distance(struct canvas_point from, struct canvas_point to, double x, double y)
{
    double dx = to.x - from.x, dy = to.y - from.y, square = dx * dx + dy * dy;
    double at = square > 0 ? ((x - from.x) * dx + (y - from.y) * dy) / square : 0;

    at = fmin(fmax(at, 0), 1);
    return hypot(x - from.x - at * dx, y - from.y - at * dy);
}

static double bezier(int32_t start, int32_t c0, int32_t c1, int32_t end, double t)
{
    return ((1 - t) * (1 - t) * (1 - t) * start + 3 * (1 - t) * (1 - t) * t * c0 + 3 * (1 - t) * t * t * c1 + t * t * t * end) /
           16;
}

/* The lines go along the curve in its direction, never more than a pixel and a half away, and are few. */
static void check_curve(const struct canvas_point p[4])
{
    struct path path = {0};
    size_t line = 1;

    assert_int_equal(path_add(&path, p[0].x, p[0].y), 0);
    assert_int_equal(path_add_curve(&path, p + 1), 0);
    for (int i = 0; i <= 4000; i++) {
        double x = bezier(p[0].x, p[1].x, p[2].x, p[3].x, i / 4000.0), y = bezier(p[0].y, p[1].y, p[2].y, p[3].y, i / 4000.0);

        while (distance(path.points[line - 1], path.points[line], x, y) > 1.5)
            assert_true(++line < path.count);
    }
    assert_true(line + 1 >= path.count - 1 && path.count < 300);
    path_fini(&path);
}

static void test_curves(void **state UNUSED)
{
    static const struct canvas_point shapes[][4] = {
        {{160, 160}, {1600, 160}, {160, 1600}, {160, 160}}, /* a loop */
        {{160, 160}, {1600, 160}, {1600, 160}, {160, 160}}, /* there and back */
        {{160, 160}, {-800, 160}, {2400, 160}, {320, 160}}, /* beyond both of its ends */
        {{160, 160}, {160, 160}, {160, 160}, {160, 160}},
    };

    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
        check_curve(shapes[i]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct canvas_point p[4];

        for (int i = 0; i < 4; i++) /* it begins on a pixel */
            p[i] = (struct canvas_point){between(-8000, 12000) & ~15, between(-8000, 12000) & ~15};
        check_curve(p);
    }
}

/* ---- pictures ---- */

static void test_bitmaps(void **state UNUSED)
{
    static const uint32_t colors[] = {0x112233, 0x445566};
    static const struct palette palette = {colors, 2};
    uint8_t be[2][4] = {{0x80}, {0x7f, 0xff}}, mono_le[2][4] = {{0x01}, {0xfe, 0xff}};
    uint8_t rgb16[4] = {0x00, 0x7c, 0x1f, 0x00}, rgb24[8] = {1, 2, 3, 4, 5, 6};
    struct image image = {&be[0][0], 10, 2, 4, SPICE_BITMAP_FMT_1BIT_BE};
    pixman_image_t *p;

    assert_int_equal(picture_from_bitmap(&image, true, &palette, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[0] & 0xffffff, 0x445566);
    assert_int_equal(pixman_image_get_data(p)[1] & 0xffffff, 0x112233);
    pixman_image_unref(p);
    assert_int_equal(picture_from_bitmap(&image, false, &palette, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[0] & 0xffffff, 0x112233);
    pixman_image_unref(p);
    image = (struct image){&mono_le[0][0], 10, 2, 4, SPICE_BITMAP_FMT_1BIT_LE};
    assert_int_equal(picture_from_bitmap(&image, true, &palette, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[0] & 0xffffff, 0x445566);
    pixman_image_unref(p);
    image = (struct image){rgb16, 2, 1, 4, SPICE_BITMAP_FMT_16BIT};
    assert_int_equal(picture_from_bitmap(&image, true, NULL, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[0] & 0xffffff, 0xff0000);
    assert_int_equal(pixman_image_get_data(p)[1] & 0xffffff, 0x0000ff);
    pixman_image_unref(p);
    image = (struct image){rgb24, 2, 1, 6, SPICE_BITMAP_FMT_24BIT};
    assert_int_equal(picture_from_bitmap(&image, true, NULL, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[1] & 0xffffff, 0x060504);
    pixman_image_unref(p);
    image.stride = 5;
    assert_int_equal(picture_from_bitmap(&image, true, NULL, &p), -EINVAL);
}

static void test_masks(void **state UNUSED)
{
    uint8_t bits[2][4] = {{0x80, 0x40}, {0x00, 0x01}};
    struct image image = {&bits[0][0], 16, 2, 4, SPICE_BITMAP_FMT_1BIT_BE};
    pixman_image_t *p;

    assert_int_equal(picture_mask(&image, true, false, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[0], 1u << 0 | 1u << 9);
    assert_int_equal(pixman_image_get_data(p)[1], 1u << 15);
    pixman_image_unref(p);
    assert_int_equal(picture_mask(&image, false, true, &p), 0);
    assert_int_equal(pixman_image_get_data(p)[0] & 0xffff, 0x7fff);
    pixman_image_unref(p);
    image.format = SPICE_BITMAP_FMT_8BIT;
    assert_int_equal(picture_mask(&image, true, false, &p), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),        cmocka_unit_test(test_alpha_blend),
        cmocka_unit_test(test_transparent), cmocka_unit_test(test_composite),
        cmocka_unit_test(test_stroke),      cmocka_unit_test(test_style),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_curves),        cmocka_unit_test(test_bitmaps),
        cmocka_unit_test(test_masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

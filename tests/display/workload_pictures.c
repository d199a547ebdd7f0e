#include "tests/display/workload_pictures.h"

#include "tests/lib/pictures.h"

#include <math.h>
#include <stdlib.h>

#define LETTERS       64
#define LETTER_WIDTH  9
#define LETTER_HEIGHT 14
#define LINE_HEIGHT   20
#define MAX_SIDE      4096
#define NOISE         2 /* each way */

static uint32_t seed;

void random_start(uint32_t s)
{
    seed = s;
}

int32_t random_between(int32_t low, int32_t high)
{
    return low + (int32_t)(picture_random(&seed) % (uint32_t)(high - low + 1));
}

uint32_t random_color(void)
{
    return picture_random(&seed) & 0xffffff;
}

/* --- text --- */

static uint16_t letters[LETTERS][LETTER_HEIGHT]; /* a bit a pixel */

static void add_stroke(uint16_t *letter)
{
    int x = random_between(1, 7), y = random_between(2, 11), length = random_between(4, 9);
    int dx = random_between(-1, 1), dy = dx ? random_between(-1, 1) : 1;

    for (int i = 0; i < length && x >= 1 && x <= 7 && y >= 2 && y < LETTER_HEIGHT; i++, x += dx, y += dy)
        letter[y] |= 1 << x;
}

static void make_letters(void)
{
    uint32_t before = seed;

    random_start(7);
    for (int i = 0; i < LETTERS; i++)
        for (int strokes = random_between(2, 4); strokes; strokes--)
            add_stroke(letters[i]);
    seed = before;
}

/* A quarter, or two, of the way from a to b. */
static uint32_t blend(uint32_t a, uint32_t b, int quarters)
{
    uint32_t mixed = 0;

    for (int shift = 0; shift < 24; shift += 8)
        mixed |= ((a >> shift & 255) * (4 - quarters) + (b >> shift & 255) * quarters) / 4 << shift;
    return mixed;
}

static void draw_letter(uint32_t *to, int stride, int rows, uint32_t paper, uint32_t ink)
{
    const uint16_t *letter = letters[random_between(0, LETTERS - 1)];

    for (int y = 0; y < MIN(LETTER_HEIGHT, rows); y++)
        for (int x = 0; x < LETTER_WIDTH; x++) {
            int edges = (letter[y] << 1 >> x & 1) + (letter[y] >> 1 >> x & 1);

            if (letter[y] >> x & 1)
                to[y * stride + x] = ink;
            else if (edges)
                to[y * stride + x] = blend(paper, ink, edges);
        }
}

void draw_text(uint32_t *pixels, int width, int height, uint32_t paper, uint32_t ink)
{
    if (!letters[0][2])
        make_letters();
    for (int i = 0; i < width * height; i++)
        pixels[i] = paper;
    for (int top = 0; top + LETTER_HEIGHT <= height; top += LINE_HEIGHT) {
        int end = width - random_between(4, width / 3);

        for (int x = random_between(4, 16); x + LETTER_WIDTH < end; x += LETTER_WIDTH)
            if (random_between(0, 5) == 0)
                x -= LETTER_WIDTH / 2; /* a gap between words */
            else
                draw_letter(pixels + (top + 3) * width + x, width, height - top - 3, paper, ink);
    }
}

/* --- photographs and video --- */

struct wave {
    float frequency, phase, height;
};

static struct wave random_wave(float height)
{
    return (struct wave){(float)random_between(20, 90) / 10000 * 6.28f, (float)random_between(0, 628) / 100, height};
}

static void sample(float *to, int count, const struct wave *w, int shift, float base, float slope)
{
    for (int i = 0; i < count; i++)
        to[i] = base + slope * (float)i + w->height * sinf((float)(i + shift) * w->frequency + w->phase);
}

static float across[3][MAX_SIDE], down[3][MAX_SIDE];

static uint32_t noisy_pixel(int x, int y, bool inside)
{
    uint32_t noise = picture_random(&seed), pixel = 0;

    for (int c = 0; c < 3; c++) {
        int v = (int)(across[c][x] + down[c][y]) + (int)((noise >> (8 * c) & 255) % (2 * NOISE + 1)) - NOISE;

        if (inside)
            v = 255 - v / 2;
        pixel |= (uint32_t)CLAMP(v, 0, 255) << (8 * c);
    }
    return pixel;
}

void draw_photo(uint32_t *pixels, int width, int height)
{
    for (int c = 0; c < 3; c++) {
        struct wave x = random_wave(30), y = random_wave(30);

        sample(across[c], width, &x, 0, 0, (float)random_between(-60, 60) / (float)width);
        sample(down[c], height, &y, 0, (float)random_between(90, 165), (float)random_between(-60, 60) / (float)height);
    }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            pixels[y * width + x] = noisy_pixel(x, y, false);
}

void draw_frame(uint32_t *pixels, int width, int height, int number)
{
    int cx = width / 2 + (int)((float)width / 3 * sinf((float)number * 0.05f));
    int cy = height / 2 + (int)((float)height / 4 * cosf((float)number * 0.07f));
    const int radius = 60;

    random_start(4242); /* the same background for all */
    for (int c = 0; c < 3; c++) {
        struct wave x = random_wave(45), y = random_wave(45);

        sample(across[c], width, &x, 2 * number, 0, 0);
        sample(down[c], height, &y, number, 128, 0);
    }
    random_start(9000 + number);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            pixels[y * width + x] =
                noisy_pixel(x, y, (x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius);
}

/* --- icons --- */

static bool in_shape(int kind, int dx, int dy, int radius)
{
    if (kind == 0)
        return dx * dx + dy * dy < radius * radius;
    if (kind == 1)
        return abs(dx) < radius && abs(dy) < radius;
    return abs(dx) + abs(dy) < radius;
}

void draw_icon(uint32_t *pixels, int size)
{
    uint32_t top = random_color(), bottom = random_color();
    int kind = random_between(0, 2);

    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++)
            pixels[y * size + x] = in_shape(kind, x - size / 2, y - size / 2, size / 2 - 3)
                                       ? blend(top, bottom, y * 4 / size)
                                       : 0xececec;
}

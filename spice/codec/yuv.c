#include "spice/codec/yuv.h"

/* Fixed point, 16 bits after the point. */
#define ONE     65536
#define HALF    (ONE / 2)
#define SD_ROWS 576

struct matrix {
    int y_r, y_g, y_b, u_r, u_g, u_b, v_r, v_g, v_b; /* of red, green, blue */
    int r_v, g_u, g_v, b_u;                          /* and back, of what is over 128 */
};

#define FIXED(x) ((int)((x)*ONE + ((x) < 0 ? -0.5 : 0.5)))
/* By the weights of red and blue in brightness. */
#define MATRIX(kr, kb)                                                                             \
    {                                                                                              \
        .y_r = FIXED((kr)*219 / 255), .y_g = FIXED((1 - (kr) - (kb)) * 219 / 255),                 \
        .y_b = FIXED((kb)*219 / 255), .u_r = FIXED(-(kr) / (1 - (kb)) * 112 / 255),                \
        .u_g = FIXED(-(1 - (kr) - (kb)) / (1 - (kb)) * 112 / 255), .u_b = FIXED(112 / 255.0),      \
        .v_r = FIXED(112 / 255.0), .v_g = FIXED(-(1 - (kr) - (kb)) / (1 - (kr)) * 112 / 255),      \
        .v_b = FIXED(-(kb) / (1 - (kr)) * 112 / 255), .r_v = FIXED(2 * (1 - (kr)) * 255 / 224),    \
        .g_u = FIXED(-2 * (1 - (kb)) * (kb) / (1 - (kr) - (kb)) * 255 / 224),                      \
        .g_v = FIXED(-2 * (1 - (kr)) * (kr) / (1 - (kr) - (kb)) * 255 / 224),                      \
        .b_u = FIXED(2 * (1 - (kb)) * 255 / 224),                                                  \
    }
#define LUMA FIXED(255.0 / 219)

static const struct matrix bt601 = MATRIX(0.299, 0.114), bt709 = MATRIX(0.2126, 0.0722);

static const struct matrix *matrix_of(const struct image *image)
{
    return image->height > SD_ROWS ? &bt709 : &bt601;
}

/* --- to planes --- */

static void row_to_y(uint8_t *to, const uint8_t *bgr, uint32_t width, const struct matrix *m)
{
    for (uint32_t x = 0; x < width; x++, bgr += 4)
        to[x] = (uint8_t)((m->y_r * bgr[2] + m->y_g * bgr[1] + m->y_b * bgr[0] + 16 * ONE + HALF) >>
                          16);
}

/* One value of each plane for four pixels; the sums are of all four. */
static inline void put_colour(uint8_t *u, uint8_t *v, int b, int g, int r, const struct matrix *m)
{
    *u = (uint8_t)((m->u_r * r + m->u_g * g + m->u_b * b + 4 * (128 * ONE + HALF)) >> 18);
    *v = (uint8_t)((m->v_r * r + m->v_g * g + m->v_b * b + 4 * (128 * ONE + HALF)) >> 18);
}

static void rows_to_uv(uint8_t *u, uint8_t *v, const uint8_t *a, const uint8_t *b, uint32_t width,
                       const struct matrix *m)
{
    for (uint32_t x = 0; x < width / 2; x++, a += 8, b += 8)
        put_colour(u + x, v + x, a[0] + a[4] + b[0] + b[4], a[1] + a[5] + b[1] + b[5],
                   a[2] + a[6] + b[2] + b[6], m);
    if (width % 2)
        put_colour(u + width / 2, v + width / 2, 2 * (a[0] + b[0]), 2 * (a[1] + b[1]),
                   2 * (a[2] + b[2]), m);
}

void yuv_from_image(const struct yuv *to, const struct image *from)
{
    const struct matrix *m = matrix_of(from);

    for (uint32_t y = 0; y < from->height; y++)
        row_to_y(to->planes[0] + (ptrdiff_t)y * to->strides[0], image_row(from, y), from->width, m);
    for (uint32_t y = 0; y < from->height; y += 2)
        rows_to_uv(to->planes[1] + (ptrdiff_t)(y / 2) * to->strides[1],
                   to->planes[2] + (ptrdiff_t)(y / 2) * to->strides[2], image_row(from, y),
                   image_row(from, MIN(y + 1, from->height - 1)), from->width, m);
}

/* --- and back --- */

static inline uint8_t clamp_byte(int v)
{
    return (uint8_t)CLAMP(v, 0, 255);
}

/* shift: of the columns, for their colour */
static inline void row_to_bgr(uint8_t *to, const uint8_t *y, const uint8_t *u, const uint8_t *v, uint32_t width,
                              int shift, const struct matrix *m)
{
    for (uint32_t x = 0; x < width; x++, to += 4) {
        int light = (y[x] - 16) * LUMA + HALF, cb = u[x >> shift] - 128, cr = v[x >> shift] - 128;

        to[0] = clamp_byte((light + m->b_u * cb) >> 16);
        to[1] = clamp_byte((light + m->g_u * cb + m->g_v * cr) >> 16);
        to[2] = clamp_byte((light + m->r_v * cr) >> 16);
        to[3] = 0;
    }
}

void yuv_to_image(const struct image *to, const struct yuv *from)
{
    const struct matrix *m = matrix_of(to);

    for (uint32_t y = 0; y < to->height; y++) {
        uint32_t row = from->full ? y : y / 2;
        const uint8_t *light = from->planes[0] + (ptrdiff_t)y * from->strides[0];
        const uint8_t *u = from->planes[1] + (ptrdiff_t)row * from->strides[1];
        const uint8_t *v = from->planes[2] + (ptrdiff_t)row * from->strides[2];

        if (from->full) /* two loops, each with a shift that the compiler knows */
            row_to_bgr(image_row(to, y), light, u, v, to->width, 0, m);
        else
            row_to_bgr(image_row(to, y), light, u, v, to->width, 1, m);
    }
}

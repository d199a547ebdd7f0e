#include "spice/server/video_measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH_LOOKS   3
#define ENOUGH_CHANGES 2 /* fewer are likely of something else beside it */

static_assert(STRIP == TILE_ROWS, "bands have as many lines along each edge");

enum { LEFT, RIGHT, ABOVE, BELOW, BANDS };

/* The outermost tiles. */
static void place_bands(struct video_measure *m, const struct display_surface *s)
{
    const struct rect all = {m->tiles.left * STRIP, m->tiles.top * TILE_ROWS,
                             MIN(m->tiles.right * STRIP, (int32_t)s->width),
                             MIN(m->tiles.bottom * TILE_ROWS, (int32_t)s->height)};

    for (int i = 0; i < BANDS; i++)
        m->bands[i].where = all;
    m->bands[LEFT].where.right = MIN(all.left + STRIP, all.right);
    m->bands[RIGHT].where.left = (m->tiles.right - 1) * STRIP;
    m->bands[ABOVE].where.bottom = MIN(all.top + TILE_ROWS, all.bottom);
    m->bands[BELOW].where.top = (m->tiles.bottom - 1) * TILE_ROWS;
}

static size_t pixels_of(const struct rect *r)
{
    return (size_t)(r->right - r->left) * (size_t)(r->bottom - r->top);
}

int video_measure_start(struct video_measure *m, const struct rect *tiles,
                        const struct display_surface *s)
{
    size_t size = 0;

    video_measure_stop(m);
    *m = (struct video_measure){.tiles = *tiles};
    place_bands(m, s);
    for (int i = 0; i < BANDS; i++)
        size += pixels_of(&m->bands[i].where);
    m->pixels = calloc(size, sizeof(*m->pixels));
    if (!m->pixels) {
        video_measure_stop(m);
        return -ENOMEM;
    }
    video_measure_look(m, s);
    for (int i = 0; i < BANDS; i++)
        memset(m->bands[i].changes, 0, sizeof(m->bands[i].changes));
    m->looks = 0;
    return 0;
}

void video_measure_stop(struct video_measure *m)
{
    free(m->pixels);
    *m = (struct video_measure){0};
}

/* The lines of a band that changed, as bits. */
static uint32_t look_at_band(const struct rect *where, bool across, uint32_t *was,
                             const struct display_surface *s)
{
    int32_t width = where->right - where->left;
    uint32_t lines = 0;

    for (int32_t y = where->top; y < where->bottom; y++, was += width) {
        const uint32_t *is = surface_row(s, y) + where->left;

        for (int32_t i = 0; i < width; i++)
            if ((was[i] ^ is[i]) & 0xffffff)
                lines |= 1u << (across ? y - where->top : i);
        memcpy(was, is, (size_t)width * sizeof(*is));
    }
    return lines;
}

bool video_measure_look(struct video_measure *m, const struct display_surface *s)
{
    uint32_t *was = m->pixels;

    for (int i = 0; i < BANDS; i++) {
        struct video_band *band = &m->bands[i];
        uint32_t lines = look_at_band(&band->where, i >= ABOVE, was, s);

        was += pixels_of(&band->where);
        for (int k = 0; k < TILE_ROWS; k++)
            band->changes[k] += lines >> k & 1;
    }
    return ++m->looks >= ENOUGH_LOOKS;
}

/* The first line of a band that belongs to the video, and the one after the last; if none does, they are its ends. */
static int32_t first_line(const struct video_band *b)
{
    int32_t i = 0;

    while (i < TILE_ROWS && b->changes[i] < ENOUGH_CHANGES)
        i++;
    return i;
}

static int32_t end_line(const struct video_band *b)
{
    int32_t i = TILE_ROWS;

    while (i > 0 && b->changes[i - 1] < ENOUGH_CHANGES)
        i--;
    return i;
}

struct rect video_measure_result(const struct video_measure *m)
{
    const struct video_band *b = m->bands;

    return (struct rect){
        b[LEFT].where.left + first_line(&b[LEFT]),
        b[ABOVE].where.top + first_line(&b[ABOVE]),
        b[RIGHT].where.left + end_line(&b[RIGHT]),
        b[BELOW].where.top + end_line(&b[BELOW]),
    };
}

#include "spice/codec/glz_dictionary.h"

#include "base/bytes.h"
#include "spice/codec/glz_encode.h"

#include <errno.h>
#include <stdlib.h>

int glz_dictionary_init(struct glz_dictionary *d, uint32_t window)
{
    static_assert(GLZ_ENCODER_MAX_PIXELS <= 1 << GLZ_PLACE_BITS, "each place has a number");
    d->window = MIN(window, (uint32_t)GLZ_ENCODER_MAX_PIXELS);
    d->size = (uint32_t)d->window;
    d->ring = calloc(d->size + GLZ_RING_SLACK, sizeof(*d->ring));
    if (!d->ring)
        return -ENOMEM;
    return 0;
}

void glz_dictionary_fini(struct glz_dictionary *d)
{
    free(d->ring);
}

void glz_dictionary_reset(struct glz_dictionary *d)
{
    d->head = 0;
    d->used = d->oldest = d->next = 0;
    memset(d->sources, 0, sizeof(d->sources));
}

static uint64_t cost_of(const struct glz_source *s)
{
    return MAX(s->pixels, (uint32_t)GLZ_MIN_COST);
}

static void drop_oldest(struct glz_dictionary *d)
{
    d->used -= cost_of(glz_source(d, d->oldest));
    d->oldest++;
}

static bool is_empty(const struct glz_dictionary *d)
{
    return d->oldest == d->next;
}

static bool overlaps(const struct glz_source *a, const struct glz_source *b)
{
    return a->start < b->start + b->pixels && b->start < a->start + a->pixels;
}

/* Find the place for a picture: behind the newest, or at the ring's begin if there is no room up to its end. */
static void make_room(struct glz_dictionary *d, struct glz_source *s)
{
    if (d->size - d->head < s->pixels) {
        while (!is_empty(d) && glz_source(d, d->oldest)->start >= d->head)
            drop_oldest(d);
        d->head = 0;
    }
    s->start = d->head;
    while (!is_empty(d) && (overlaps(s, glz_source(d, d->oldest)) ||
                            d->next - d->oldest == GLZ_SOURCES || d->used + cost_of(s) > d->window))
        drop_oldest(d);
}

static void copy_rows(uint32_t *to, const struct image *image)
{
    for (uint32_t y = 0; y < image->height; y++, to += image->width)
        image_row_to_rgb32((uint8_t *)to, image_row(image, y), image->format, image->width, NULL);
}

int glz_dictionary_add(struct glz_dictionary *d, const struct image *image)
{
    struct glz_source s = {.pixels = image->width * image->height,
                           .width = image->width,
                           .alpha = image->format == SPICE_BITMAP_FMT_RGBA};

    if (cost_of(&s) > d->window)
        return -E2BIG;
    make_room(d, &s);
    copy_rows(d->ring + s.start, image);
    d->sources[d->next++ % GLZ_SOURCES] = s;
    d->head = s.start + s.pixels;
    d->used += cost_of(&s);
    return 0;
}

void glz_dictionary_drop_newest(struct glz_dictionary *d)
{
    const struct glz_source *s = glz_source(d, --d->next);

    d->head = s->start;
    d->used -= cost_of(s);
}

uint64_t glz_dictionary_find(const struct glz_dictionary *d, uint32_t place)
{
    uint64_t low = d->oldest, high = d->next; /* it is at low or after, and before high */
    uint32_t tail = glz_source(d, low)->start;

    if (low == high)
        return d->next;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint32_t start = glz_source(d, middle)->start;

        /* Places below the oldest picture's come after the ring's end. */
        if ((start < tail) == (place < tail) ? start <= place : place < tail)
            low = middle;
        else
            high = middle;
    }
    return place - glz_source(d, low)->start < glz_source(d, low)->pixels ? low : d->next;
}

/*
 * glz_dictionary.h - what a GLZ stream may refer to: a ring with the pixels of the pictures encoded last.
 *
 * The pixels are private copies in the form that a decoder has them, a word each: 0xaarrggbb, the alpha 0 but for RGBA.
 *
 * Places in the table of hashes are not taken out when pictures go. A stale one leads to other words than were meant:
 * what is found there is compared, and then looked up, before it is used.
 */
#ifndef SPICE_CODEC_GLZ_DICTIONARY_H
#define SPICE_CODEC_GLZ_DICTIONARY_H

#include "spice/codec/image.h"

#define GLZ_RING_SLACK 16   /* words past the ring that may be read */
#define GLZ_SOURCES    4096 /* pictures kept at most */
#define GLZ_MIN_COST   64   /* pixels that a tiny picture counts for */
#define GLZ_HASH_BITS  16
#define GLZ_WAYS       2
#define GLZ_PLACE_BITS 22

struct glz_source {
    uint32_t start; /* its first word in the ring */
    uint32_t pixels, width;
    bool alpha;
};

struct glz_dictionary {
    uint32_t *ring;
    uint32_t size;         /* words */
    uint32_t head;         /* where the next picture goes, if there is room */
    uint64_t window, used; /* pixels that the client keeps, and those of [oldest, next) */
    uint64_t oldest, next; /* ids */
    struct glz_source sources[GLZ_SOURCES]; /* by id modulo their number */
    /* Hash of the next pixels -> where they were last, and in the bits above it some more of the hash. */
    uint32_t table[1 << GLZ_HASH_BITS][GLZ_WAYS];
};

/* window: pixels. -ENOMEM */
int glz_dictionary_init(struct glz_dictionary *d, uint32_t window);
void glz_dictionary_fini(struct glz_dictionary *d);
/* Forget all pictures. */
void glz_dictionary_reset(struct glz_dictionary *d);
/* Copy a picture in as number d->next and count on, letting go of the oldest as needed. -E2BIG: larger than the window. */
int glz_dictionary_add(struct glz_dictionary *d, const struct image *image);
/* Forget the newest picture: its id is given out again. */
void glz_dictionary_drop_newest(struct glz_dictionary *d);
/* The id of the picture that has the word at `place`; d->next if it is nobody's. */
uint64_t glz_dictionary_find(const struct glz_dictionary *d, uint32_t place);

static inline const struct glz_source *glz_source(const struct glz_dictionary *d, uint64_t id)
{
    return &d->sources[id % GLZ_SOURCES];
}

#endif

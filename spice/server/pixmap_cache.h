/*
 * pixmap_cache.h - the server's books of the pictures that a client keeps (SPICE_IMAGE_FLAGS_CACHE_ME).
 *
 * The client stores what it is told to, under a number, until it is told to forget it: the server decides what goes when
 * there is no room. A picture's number is the hash of its content, so that content which comes again is found, whatever drew it.
 *
 * The least recently used goes first, unless that turns out to be wrong: where more goes round than there is room for, each
 * picture would go just before it is needed. Pictures that come again soon after they went are noticed, and then what came
 * last goes first, and a part of what goes round stays.
 */
#ifndef SPICE_SERVER_PIXMAP_CACHE_H
#define SPICE_SERVER_PIXMAP_CACHE_H

#include "base/base.h"

#include <sys/queue.h>

#define PIXMAP_CACHE_MAX_PIXELS (8u << 20) /* of a client, whatever it offers */
#define PIXMAP_CACHE_MAX_COUNT  1024
#define PIXMAP_CACHE_BUCKETS    256
#define PIXMAP_CACHE_GONE       4096 /* of so many that went the numbers are known */

struct pixmap_entry;

struct pixmap_cache {
    uint64_t room, used; /* pixels; room 0: nothing is kept */
    size_t count;
    unsigned regrets;                  /* how much what comes is what went, of late */
    uint64_t gone[PIXMAP_CACHE_GONE]; /* by their numbers; 0: none */
    TAILQ_HEAD(pixmap_ages, pixmap_entry) ages; /* the least recently used first; while the last goes first, what is used comes first */
    LIST_HEAD(, pixmap_entry) buckets[PIXMAP_CACHE_BUCKETS];
};

/* pixels: what the client offers. */
void pixmap_cache_init(struct pixmap_cache *c, int64_t pixels);
void pixmap_cache_fini(struct pixmap_cache *c);
/* Whether the client has it; it is the most recently used then. */
bool pixmap_cache_use(struct pixmap_cache *c, uint64_t id);
/*
 * The client shall keep this one, which it does not have; false if it is too large or there is no memory. The first
 * *count of `gone` it must be told to forget before.
 */
bool pixmap_cache_add(struct pixmap_cache *c, uint64_t id, uint64_t pixels,
                      uint64_t gone[PIXMAP_CACHE_MAX_COUNT], size_t *count);

#endif

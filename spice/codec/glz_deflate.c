#include "spice/codec/glz_deflate.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#define TINY_BYTES 100 /* of a stream that is not worth the time */
/* Higher levels save less than one part in a hundred on screens. */
#define LEVEL 1

/* Of a large stream some parts are tried before all of it: noise would cost a second for each 30 MB. */
#define PROBES      4
#define PROBE_BYTES 4096
#define WORTH_IT    15 / 16 /* of the bytes, at most, must be left of them */

struct glz_deflate {
    struct libdeflate_compressor *zlib;
};

struct glz_deflate *glz_deflate_create(void)
{
    struct glz_deflate *d = malloc(sizeof(*d));

    if (!d)
        return NULL;
    d->zlib = libdeflate_alloc_compressor(LEVEL);
    if (d->zlib)
        return d;
    free(d);
    return NULL;
}

void glz_deflate_destroy(struct glz_deflate *d)
{
    if (!d)
        return;
    libdeflate_free_compressor(d->zlib);
    free(d);
}

static bool is_worth_it(struct glz_deflate *d, const uint8_t *glz, size_t size)
{
    uint8_t probes[PROBES * PROBE_BYTES], scrap[sizeof(probes) * WORTH_IT];

    if (size < 4 * sizeof(probes))
        return true;
    for (size_t i = 0; i < PROBES; i++)
        memcpy(probes + i * PROBE_BYTES, glz + size / PROBES * i + size / (2 * PROBES), PROBE_BYTES);
    return libdeflate_zlib_compress(d->zlib, probes, sizeof(probes), scrap, sizeof(scrap)) != 0;
}

int glz_deflate(struct glz_deflate *d, struct writer *w, const void *glz, size_t size)
{
    size_t start = w->size, room = MIN(size - (size != 0), w->max - start), used;
    uint8_t *to;

    if (size < TINY_BYTES || size > INT32_MAX || !is_worth_it(d, glz, size))
        return -ENOSPC;
    to = writer_extend(w, room);
    if (!to) {
        w->bad = false;
        return -ENOMEM;
    }
    used = libdeflate_zlib_compress(d->zlib, glz, size, to, room);
    w->size = start + used;
    return used ? 0 : -ENOSPC;
}

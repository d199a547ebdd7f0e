#include "spice/codec/glz_deflate.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define TINY_BYTES 100 /* of a stream that is not worth the time */
/* Higher levels save one part in a hundred on screens, and take a fifth more time. */
#define LEVEL Z_BEST_SPEED

struct glz_deflate {
    z_stream zlib;
};

struct glz_deflate *glz_deflate_create(void)
{
    struct glz_deflate *d = calloc(1, sizeof(*d));

    if (d && deflateInit(&d->zlib, LEVEL) != Z_OK) {
        free(d);
        return NULL;
    }
    return d;
}

void glz_deflate_destroy(struct glz_deflate *d)
{
    if (!d)
        return;
    deflateEnd(&d->zlib);
    free(d);
}

int glz_deflate(struct glz_deflate *d, struct writer *w, const void *glz, size_t size)
{
    z_stream *z = &d->zlib;
    size_t start = w->size, room = MIN(size - (size != 0), w->max - start);
    uint8_t *to;

    if (size < TINY_BYTES || size > INT32_MAX)
        return -ENOSPC;
    to = writer_extend(w, room);
    if (!to) {
        w->bad = false;
        return -ENOMEM;
    }
    deflateReset(z);
    z->next_in = (Bytef *)(uintptr_t)glz;
    z->avail_in = (uInt)size;
    z->next_out = to;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_FINISH) != Z_STREAM_END) {
        w->size = start;
        return -ENOSPC;
    }
    w->size = start + room - z->avail_out;
    return 0;
}

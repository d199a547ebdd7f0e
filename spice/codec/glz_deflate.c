#include "spice/codec/glz_deflate.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define TINY_BYTES 100 /* of a stream that is not worth the time */
/* Higher levels save one part in a hundred on screens, and take a fifth more time. */
#define LEVEL Z_BEST_SPEED

/* Of a large stream some parts are tried before all of it: noise would cost a second for each 30 MB. */
#define PROBES      4
#define PROBE_BYTES 4096
#define WORTH_IT    15 / 16 /* of the bytes, at most, must be left of them */

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

static void begin(z_stream *z, uint8_t *to, size_t room)
{
    deflateReset(z);
    z->next_out = to;
    z->avail_out = (uInt)room;
}

static int feed(z_stream *z, const uint8_t *from, size_t size, int flush)
{
    z->next_in = (Bytef *)(uintptr_t)from;
    z->avail_in = (uInt)size;
    return deflate(z, flush);
}

static bool is_worth_it(z_stream *z, const uint8_t *glz, size_t size)
{
    uint8_t scrap[PROBES * PROBE_BYTES * WORTH_IT];
    int result = Z_OK;

    if (size < 4 * PROBES * PROBE_BYTES)
        return true;
    begin(z, scrap, sizeof(scrap));
    for (size_t i = 0; i < PROBES && result == Z_OK; i++)
        result = feed(z, glz + size / PROBES * i + size / (2 * PROBES), PROBE_BYTES,
                      i + 1 < PROBES ? Z_NO_FLUSH : Z_FINISH);
    return result == Z_STREAM_END;
}

int glz_deflate(struct glz_deflate *d, struct writer *w, const void *glz, size_t size)
{
    z_stream *z = &d->zlib;
    size_t start = w->size, room = MIN(size - (size != 0), w->max - start);
    uint8_t *to;

    if (size < TINY_BYTES || size > INT32_MAX || !is_worth_it(z, glz, size))
        return -ENOSPC;
    to = writer_extend(w, room);
    if (!to) {
        w->bad = false;
        return -ENOMEM;
    }
    begin(z, to, room);
    if (feed(z, glz, size, Z_FINISH) != Z_STREAM_END) {
        w->size = start;
        return -ENOSPC;
    }
    w->size = start + room - z->avail_out;
    return 0;
}

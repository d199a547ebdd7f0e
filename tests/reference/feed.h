/*
 * feed.h - hand pictures to libspice-server as a guest's draws, one at a time, and see what it puts on the wire.
 */
#ifndef TESTS_REFERENCE_FEED_H
#define TESTS_REFERENCE_FEED_H

#include "spice/codec/image.h"

struct feed_options {
    int port;
    int compression; /* SPICE_IMAGE_COMPRESSION_* */
    bool jpeg, zlib; /* always */
    uint32_t window; /* pixels of the client's GLZ window; 0: 4 million */
    bool chunks;     /* the guest's memory has the rows in pieces */
};

/* What the server made of one picture. */
struct feed_result {
    uint8_t type;   /* SPICE_IMAGE_TYPE_* */
    uint32_t extra; /* JPEG_ALPHA: bytes of the JPEG; ZLIB_GLZ_RGB: bytes of the GLZ stream */
    const uint8_t *data;
    uint32_t size;
};

/*
 * Call got() for each picture in order. The server lives in the calling process and cannot be stopped: fork before.
 * Returns the CPU seconds that the server's threads took.
 */
double feed_run(const struct feed_options *options, const struct image *pictures, size_t count,
                const struct palette *palette,
                void (*got)(void *opaque, size_t index, const struct feed_result *result),
                void *opaque);

#endif

/* glz_window.h - the pictures that GLZ streams may refer to. */
#ifndef SPICE_CODEC_GLZ_WINDOW_H
#define SPICE_CODEC_GLZ_WINDOW_H

#include "spice/codec/glz.h"
#include "spice/codec/sink.h"

#include <sys/queue.h>
#include <zlib.h>

#define GLZ_SLOTS 4096
#define GLZ_SLACK 4 /* pixels past a picture that copying may touch */

struct glz_picture {
    uint64_t id;
    uint64_t oldest; /* the first id that its own and later streams may use */
    uint32_t pixels;
    uint32_t room; /* for so many */
    STAILQ_ENTRY(glz_picture) by_age;
    LIST_ENTRY(glz_picture) by_id;
    uint8_t data[]; /* four bytes a pixel, rows in the stream's order */
};

struct glz_window {
    uint64_t max_pixels, pixels;
    uint64_t next; /* all ids from the first one seen up to this have come */
    bool begun;
    STAILQ_HEAD(, glz_picture) ages;
    LIST_HEAD(, glz_picture) slots[GLZ_SLOTS];
    struct glz_picture *spare; /* the last one let go: fresh memory costs more than decoding into it */
    struct scratch inflated;
    z_stream zlib;
    bool zlib_ready;
};

/* Memory for a picture, its content undefined. NULL without. */
struct glz_picture *glz_window_picture(struct glz_window *window, uint32_t pixels);
/* Give back one that was not added. */
void glz_window_discard(struct glz_window *window, struct glz_picture *picture);
struct glz_picture *glz_window_find(const struct glz_window *window, uint64_t id);
/* Keep a decoded picture, which the window owns from now on, and let go of what no stream may use any more. */
void glz_window_add(struct glz_window *window, struct glz_picture *picture);

#endif

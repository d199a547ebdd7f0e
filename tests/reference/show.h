/*
 * show.h - draw coded pictures in spice-gtk, which lives in the same program.
 *
 * A thread is a SPICE server as small as can be: link, main channel, SHOW_CHANNELS display channels with a primary surface
 * (ARGB) of SHOW_SIDE x SHOW_SIDE each.
 */
#ifndef TESTS_REFERENCE_SHOW_H
#define TESTS_REFERENCE_SHOW_H

#include "base/bytes.h"

#define SHOW_CHANNELS 2
#define SHOW_SIDE     2048

/* A DRAW_COPY at the top left. */
struct shown {
    uint8_t type; /* SPICE_IMAGE_TYPE_*; BITMAP: of 32BIT without padding */
    uint32_t width, height;
    const uint8_t *data;
    uint32_t size;
    uint32_t part; /* JPEG_ALPHA: bytes of the JPEG; ZLIB_GLZ_RGB: bytes of the GLZ stream */
    const uint32_t *colors; /* LZ_PLT: 256 entries */
    bool hidden;            /* clipped away */
};

/* Have the thread send it, after the one before. The data may go when this returns. */
void show_picture(unsigned channel, const struct shown *picture);
/* Connect spice-gtk and run its loop: ready() once it has the surfaces, drawn() after each picture. Ends by show_end(). */
void show_run(void (*ready)(void), void (*drawn)(unsigned channel, uint32_t width, uint32_t height),
              unsigned seconds);
void show_end(void);
/* The client's surface: its first row and the bytes of a row. */
const uint8_t *show_screen(unsigned channel, size_t *stride);

#endif

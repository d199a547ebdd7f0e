/*
 * device.h - libspice-server with a QXL device whose guest is this program: commands are handed over where they are, through
 * two rings as long as a device's, and guest memory is the program's. One in a program.
 *
 * Thread: the server is started in the loop's; commands may come from another one.
 */
#ifndef TESTS_REFERENCE_DEVICE_H
#define TESTS_REFERENCE_DEVICE_H

#include "base/loop.h"

#include <spice.h>

struct device_settings {
    const char *host;
    int port, compression, jpeg, zlib, streaming; /* SPICE_IMAGE_COMPRESSION_*, spice_wan_compression_t, SPICE_STREAM_VIDEO_* */
    const char *codecs;                           /* of video; NULL: the server's own choice */
    unsigned surfaces;                            /* ids are below */
    void (*scancode)(uint8_t code);               /* the keyboard's; NULL: nobody listens */
    bool one_by_one;                              /* the server sees a command when it is done with the one before */
};

#define DEVICE_USAGE \
    "[--host ADDRESS] [--port N] [--compression C] [--jpeg W] [--zlib W] [--streaming S] [--codecs C]"

#define DEVICE_OPTIONS                                                                                    \
    {"host", 1, NULL, 'h'}, {"port", 1, NULL, 'P'}, {"compression", 1, NULL, 'c'}, {"jpeg", 1, NULL, 'j'}, \
        {"zlib", 1, NULL, 'z'}, {"streaming", 1, NULL, 's'}, {"codecs", 1, NULL, 'C'}

/* Lossless, without streams, as libspice-server comes. */
void device_settings_init(struct device_settings *s);
/* Takes an option of DEVICE_OPTIONS; false if it is none of them. Ends the program if its value is wrong. */
bool device_option(struct device_settings *s, int c, const char *value);
/* Ends the program if the server does not start. */
QXLInstance *device_start(struct loop *loop, const struct device_settings *settings);
/* For further devices. */
SpiceServer *device_server(void);

/* A QXLDrawable, QXLSurfaceCmd or QXLCursorCmd: waits for room. */
void device_push(uint32_t type, const void *command);
void device_push_cursor(const QXLCursorCmd *command);
/* Have all that was pushed drawn, and the surface's memory be what it shows. The box lies in the surface. */
void device_update(uint32_t surface, uint32_t width, uint32_t height);
/* A primary in this memory, instead of the one before; stride < 0: its last row comes first. */
void device_primary(uint32_t width, uint32_t height, int32_t stride, uint32_t format, void *memory);
/* Wait until so many clients have had a display channel. */
void device_wait_for_clients(unsigned count);

#endif

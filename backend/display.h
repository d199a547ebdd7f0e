/*
 * display.h - the seam between a display device and whoever shows its picture.
 *
 * A device owns a `struct display` and its loop (the display thread). It draws into its primary surface, host memory that
 * no guest can touch, and tells every sink what changed. Sinks are the SPICE server, a screenshot, a recorder, a
 * test; a machine without any draws all the same.
 *
 * Thread: everything here runs in display->loop's thread; display_call_wait() style access from elsewhere goes through
 * base/loop.h. Sinks read the surface only inside that thread.
 */
#ifndef BACKEND_DISPLAY_H
#define BACKEND_DISPLAY_H

#include "base/loop.h"
#include "base/rect.h"

#include <sys/queue.h>

#define DISPLAY_MAX_WIDTH 8192
#define DISPLAY_MAX_HEIGHT 8192
#define DISPLAY_MAX_HEADS 16
#define DISPLAY_MAX_ADDRESS 32
#define DISPLAY_MAX_CURSOR 512 /* width and height */

/* The screen's pixels: 32 bits each, bytes B G R x, the first row on top. */
struct display_surface {
    uint32_t width, height; /* 1..DISPLAY_MAX_* */
    uint32_t stride;        /* bytes, a multiple of 4 */
    const uint8_t *pixels;
};

enum display_cursor_type {
    DISPLAY_CURSOR_ALPHA, /* width * height ARGB, premultiplied, bytes B G R A */
    DISPLAY_CURSOR_MONO,  /* AND mask, then XOR mask; one bit a pixel, rows of (width + 7) / 8 bytes */
};

struct display_cursor {
    enum display_cursor_type type;
    uint32_t width, height; /* 1..DISPLAY_MAX_CURSOR */
    uint32_t hot_x, hot_y;
    const uint8_t *data;
    size_t size; /* of data, as the type demands */
};

struct display_head {
    uint32_t id;
    int32_t x, y; /* in the primary surface, for SPICE's monitors config */
    uint32_t width, height;
};

struct display_sink;

/* Any member may be NULL. */
struct display_sink_ops {
    /* The primary was replaced: another size or memory; NULL: there is no picture now. The whole of it is damaged. */
    void (*surface)(struct display_sink *sink, const struct display_surface *surface);
    /* These pixels of the primary may have changed; rectangles lie inside it. Called after drawing. */
    void (*damage)(struct display_sink *sink, const struct rect *rects, size_t count);
    /* The guest has asked for more than was drawn: display_draw() before looking. Without that it is drawn soon, too. */
    void (*waiting)(struct display_sink *sink);
    /*
     * These pixels came from (dx, dy) before them, all at once, and nothing else changed since the last report: a hint for
     * who can use it. Without this member it is damage.
     */
    void (*moved)(struct display_sink *sink, const struct rect *to, int32_t dx, int32_t dy);
    /* The shape; NULL: no cursor. The data is valid during the call. */
    void (*cursor)(struct display_sink *sink, const struct display_cursor *cursor);
    /* The hot spot's place and whether the cursor shows. */
    void (*cursor_move)(struct display_sink *sink, int32_t x, int32_t y, bool visible);
    /* How many there may be is display->max_heads by now. */
    void (*heads)(struct display_sink *sink, const struct display_head *heads, size_t count);
    /* Whether the guest does what client_heads() asks for. */
    void (*takes_heads)(struct display_sink *sink, bool on);
};

struct display_sink {
    const struct display_sink_ops *ops;
    TAILQ_ENTRY(display_sink) link;
};

/* What a sink may ask of the device; any member may be NULL. */
struct display_device_ops {
    /* Somebody looks (on) or nobody does: a device that must scan memory for changes does so only then. */
    void (*watched)(void *device, bool on);
    /* Draw what the guest has asked for until now, so that the surface is the guest's picture. */
    void (*update)(void *device);
    /* Draw what sinks were told of as waiting; they hear of the damage meanwhile. */
    void (*draw)(void *device);
    /*
     * The user wants these heads, at most DISPLAY_MAX_HEADS; one without a size is to be off. QXL's client_monitors_config.
     * Returns false if the guest does not listen.
     */
    bool (*client_heads)(void *device, const struct display_head *heads, size_t count);
    /* What a client's display channel can do (SPICE_DISPLAY_CAP_*), 58 bytes as QXLRom.client_capabilities. */
    void (*client_capabilities)(void *device, bool present, const uint8_t caps[58]);
};

struct display {
    struct loop *loop;
    const struct display_device_ops *ops;
    void *device;
    unsigned id; /* 0 is the first display */
    char address[DISPLAY_MAX_ADDRESS]; /* of the device in the guest, as "pci/0000/02.0"; "": not known */
    unsigned outputs; /* that the device has; at least 1 */
    /* Kept for sinks that join later: */
    struct display_surface surface; /* pixels == NULL: none */
    struct display_head heads[DISPLAY_MAX_HEADS];
    size_t head_count;
    size_t max_heads; /* that the guest could have; at least 1 */
    bool takes_heads;
    struct display_cursor cursor; /* data owned; data == NULL: none */
    int32_t cursor_x, cursor_y;
    bool cursor_visible;
    TAILQ_HEAD(, display_sink) sinks;
};

void display_init(struct display *d, struct loop *loop, unsigned id, const struct display_device_ops *ops,
                  void *device);
void display_fini(struct display *d);

/* For sinks. Adding one replays the present state into it. */
void display_add_sink(struct display *d, struct display_sink *sink);
void display_remove_sink(struct display *d, struct display_sink *sink);
void display_draw(struct display *d);

/* For devices: remember and hand on. */
void display_set_surface(struct display *d, const struct display_surface *surface);
void display_damage(struct display *d, const struct rect *rects, size_t count);
void display_waiting(struct display *d);
/* Both `to` and where it came from lie inside the primary. */
void display_moved(struct display *d, const struct rect *to, int32_t dx, int32_t dy);
void display_set_cursor(struct display *d, const struct display_cursor *cursor);
void display_move_cursor(struct display *d, int32_t x, int32_t y, bool visible);
/* max: how many there could be. */
void display_set_heads(struct display *d, const struct display_head *heads, size_t count, size_t max);
void display_set_takes_heads(struct display *d, bool on);

#endif

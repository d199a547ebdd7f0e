/*
 * screen.h - what the session shows and whoever looks (the window, a screenshot) reads; the only thing they share.
 *
 * The session's thread draws into the primary surface and sets the rest; the window's thread reads. Both hold the lock
 * meanwhile. After a change the session calls wake(), which the window turns into an event of its own.
 */
#ifndef CLIENT_SCREEN_H
#define CLIENT_SCREEN_H

#include "canvas/canvas.h"
#include "client/status.h"

#include <pthread.h>

#define SCREEN_MAX_CURSOR 512 /* width and height */

/* Pixels 0xAARRGGBB, premultiplied. */
struct cursor_shape {
    uint32_t width, height; /* 0: no shape */
    uint32_t hot_x, hot_y;
    uint32_t *pixels; /* owned */
};

struct screen {
    pthread_mutex_t lock;
    struct canvas *primary;                 /* the display channel's; NULL: no picture */
    bool marked;                            /* the server said that the picture is complete */
    unsigned primary_serial, cursor_serial; /* changed when the object was replaced */
    pixman_region32_t damage;               /* of the primary, since last taken */
    struct cursor_shape cursor;
    int32_t cursor_x, cursor_y; /* of the hot spot; server mouse mode */
    bool cursor_visible;
    bool client_mouse; /* the guest has an absolute pointer */
    char name[128];    /* of the machine */
    struct client_status status;
    void (*wake)(void *opaque); /* may be NULL; any thread; several calls may become one event */
    void *opaque;
};

void screen_init(struct screen *s);
void screen_fini(struct screen *s);
void screen_lock(struct screen *s);
void screen_unlock(struct screen *s);
/* Say how it stands, and wake the window; not under the lock. Text may be NULL. */
void screen_set_status(struct screen *s, enum client_state state, const char *text);
/* Tell the window; not under the lock. */
void screen_wake(struct screen *s);

/* The rest is called under the lock. */
void screen_set_primary(struct screen *s, struct canvas *primary);
void screen_add_damage(struct screen *s, const pixman_region32_t *region);
void screen_add_damage_rect(struct screen *s, const struct rect *r);
/* Move the damage to `region` (initialised); it lies inside the primary. */
void screen_take_damage(struct screen *s, pixman_region32_t *region);
/* Takes over the pixels. */
void screen_set_cursor(struct screen *s, const struct cursor_shape *shape);

#endif

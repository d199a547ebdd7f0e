/*
 * screen.h - what the session shows and whoever looks (the window, a screenshot) reads; the only thing they share.
 *
 * The session's thread draws into the primary surfaces and sets the rest; the window's thread reads. Both hold the lock
 * meanwhile. After a change the session calls wake(), which the window turns into an event of its own.
 */
#ifndef CLIENT_SCREEN_H
#define CLIENT_SCREEN_H

#include "canvas/canvas.h"
#include "client/outbox.h"
#include "client/status.h"
#include "client/tempo.h"

#include <pthread.h>

#define SCREEN_MAX_CURSOR   512 /* width and height */
#define SCREEN_MAX_DISPLAYS 16  /* channels; those with higher ids are not opened */
#define SCREEN_MAX_HEADS    16  /* of a display */

/* Pixels 0xAARRGGBB, premultiplied. */
struct cursor_shape {
    uint32_t width, height; /* 0: no shape */
    uint32_t hot_x, hot_y;
    uint32_t *pixels; /* owned */
};

/* A monitor: a part of its display's primary. */
struct screen_head {
    uint32_t id;
    struct rect area; /* not empty */
};

/* What a display channel shows, with the cursor channel of the same id. */
struct screen_display {
    struct canvas *primary;                 /* the display channel's; NULL: no picture */
    bool marked;                            /* the server said that the picture is complete */
    unsigned primary_serial, cursor_serial; /* changed when the object was replaced */
    pixman_region32_t damage;               /* of the primary, since last taken */
    struct screen_head heads[SCREEN_MAX_HEADS];
    unsigned head_count; /* 0: the server says nothing of monitors, the primary is one */
    struct cursor_shape cursor;
    int32_t cursor_x, cursor_y; /* of the hot spot; server mouse mode */
    bool cursor_visible;
};

/* What the user wants the guest's monitors to be, by their numbers; those without a size are off. */
struct screen_layout {
    struct rect monitors[SCREEN_MAX_HEADS];
    unsigned count; /* 0: whatever they are */
};

/* What of the user's voice a guest gets that records. */
enum microphone_state {
    MICROPHONE_UNUSED, /* nobody records */
    MICROPHONE_ASKED,  /* the user is to say whether it may be used */
    MICROPHONE_OPEN,
    MICROPHONE_SHUT, /* the user has said no: the guest hears silence */
};

struct screen {
    pthread_mutex_t lock;
    struct screen_display displays[SCREEN_MAX_DISPLAYS]; /* by the id of their channels */
    unsigned display_count;                              /* display channels that are open */
    bool client_mouse;                                   /* the guest has an absolute pointer */
    bool agent;                                          /* somebody in the guest does what layouts say */
    unsigned locks;                                      /* SPICE_KEYBOARD_MODIFIER_FLAGS_* of the guest's keyboard */
    unsigned locks_serial;                               /* changed when the server told them */
    struct screen_layout wanted;                         /* the window's; USER_MONITORS tells of a new one */
    char name[128];                                      /* of the machine */
    struct client_status status;
    struct outbox_progress outbox;
    struct tempo tempo;
    enum microphone_state microphone;
    bool over; /* nothing follows: the window is to go */
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
void screen_set_primary(struct screen_display *d, struct canvas *primary);
/* As before a session: nothing to be seen. */
void screen_clear_display(struct screen_display *d);
void screen_add_damage(struct screen_display *d, const pixman_region32_t *region);
void screen_add_damage_rect(struct screen_display *d, const struct rect *r);
/* Move the damage to `region` (initialised); it lies inside the primary. */
void screen_take_damage(struct screen_display *d, pixman_region32_t *region);
/* Takes over the pixels. */
void screen_set_cursor(struct screen_display *d, const struct cursor_shape *shape);
/*
 * The monitors that can be seen now: those of the heads that lie inside the primary, or the whole of it. Returns how
 * many; 0 without a primary.
 */
unsigned screen_monitors(const struct screen_display *d, struct screen_head heads[SCREEN_MAX_HEADS]);
/* The first display that has a picture, else the first of all. */
struct screen_display *screen_first_picture(struct screen *s);

#endif

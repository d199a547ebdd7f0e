/*
 * window_parts.h - what the files behind window.h share: the window as a whole, and its monitors, each of which is a
 * window of SDL's. Thread: main.
 *
 *   window.c    create, run, look at the screen            monitors.c  which monitors there are, their sizes, full
 * screen
 *   monitor.c   one window: its picture                    pointer.c   cursors, mouse, touch
 *   keyboard.c  keys, hotkeys, locks, grabs                overlay.c, notice.c   the bar; the words
 *   sending.c   files on their way                         voice.c     whether the guest hears the microphone
 */
#ifndef CLIENT_WINDOW_PARTS_H
#define CLIENT_WINDOW_PARTS_H

#include "client/keymap.h"
#include "client/notice.h"
#include "client/overlay.h"
#include "client/screen.h"
#include "client/sending.h"
#include "client/voice.h"
#include "client/window.h"

#include <stdatomic.h>

#define WINDOW_MAX_MONITORS 16
#define FRAME_MS            16 /* pictures come no faster where the display does not say */

/* A display's cursor, as of the last look. */
struct cursor {
    SDL_Surface *shape; /* NULL: there is none; premultiplied */
    unsigned serial;
    int hot_x, hot_y, x, y; /* in the surface */
    bool visible;
};

struct monitor {
    struct window *owner;
    unsigned display; /* the channel's id */
    uint32_t head;
    bool bound;       /* display and head are known: of the first window only when there was a picture */
    bool present;     /* the guest has it */
    bool closed;      /* by the user; opens again when it has been away */
    uint64_t gone_at; /* NEVER: it is present */
    SDL_Window *sdl;  /* NULL: closed */
    SDL_Renderer *renderer;
    SDL_Texture *texture; /* NULL: there was no picture yet */
    struct rect area;     /* of the display's primary */
    unsigned primary_serial;
    struct view view;
    bool dirty; /* what is shown is not what the screen has */
    uint64_t shown_at;
    unsigned frame_ms;
    bool placed;       /* has its first picture's size; after that it is the user's */
    struct size set;   /* the size that we gave it; another is the user's */
    struct size was;   /* ... and the one before that, then */
    uint64_t set_at;
    double density; /* then */
    bool asked;        /* the user has chosen the size: the guest is asked for it */
    uint64_t asked_at; /* ... and was, then */
    SDL_Texture *cursor;
    unsigned cursor_serial;
    struct overlay overlay;
};

struct keyboard {
    struct monitor *focus; /* or NULL */
    bool grabbed;
    bool chord; /* the release hotkey is down, and no key else was */
    uint64_t chord_at, locks_at;
    bool swallowed[SDL_NUM_SCANCODES]; /* went down as a hotkey */
    uint16_t sent[SDL_NUM_SCANCODES];  /* the key that the guest was told is down */
};

struct pointer {
    bool grabbed; /* relative motion */
    struct monitor *over;
    SDL_Cursor *system; /* made of the display's cursor... */
    unsigned display, serial;
    double scale;
    uint32_t held;       /* buttons that went to the guest, as bits of SDL's numbers */
    float wheel;         /* parts of a notch that were not sent */
    SDL_FingerID finger; /* the one that is the pointer */
    bool touching;
};

struct window {
    struct screen *screen;
    struct viewer *viewer;
    const struct window_options *options;
    uint32_t wake_event;
    atomic_bool wake_pending;
    bool ended;
    struct monitor *monitors[WINDOW_MAX_MONITORS]; /* the first is always there */
    unsigned count;
    bool full_screen;
    unsigned percent;    /* view.h */
    uint64_t layout_due; /* ask the guest then; NEVER */
    struct text *text;
    struct keyboard keyboard;
    struct pointer pointer;
    struct notice notice;
    struct sending sending;
    struct voice voice;
    /* Copies of the screen's, as of the last look: */
    struct cursor cursors[SCREEN_MAX_DISPLAYS];
    bool client_mouse, agent;
    unsigned display_count, locks, locks_serial;
    char name[128];
    /* With --stats: */
    uint64_t tempo_due, tempo_frames; /* look at it again then, NEVER: when something was drawn; as of the last look */
    char tempo_text[64];
};

/* window.c */
void window_post(struct window *w, const struct user_event *event); /* nothing with --view-only */
void window_redraw(struct window *w);
void window_set_titles(struct window *w);
struct monitor *window_monitor(struct window *w, uint32_t sdl_id); /* NULL: none */
void window_notice_action(struct window *w, enum notice_action action);

/* monitor.c */
struct monitor *monitor_create(struct window *w, unsigned display, uint32_t head, bool bound);
void monitor_destroy(struct monitor *m);
/* The user has closed it, or wants it back. */
void monitor_close(struct monitor *m);
int monitor_open(struct monitor *m);
/* Under the screen's lock: its part of the primary may have another size, or be all new. */
void monitor_set_picture(struct monitor *m, const struct screen_display *d, const struct rect *area);
void monitor_upload(struct monitor *m, const struct canvas *c, const pixman_region32_t *damage);
/* The window has another size. */
void monitor_measure(struct monitor *m);
double monitor_density(const struct monitor *m);
/* When to show what has changed. */
uint64_t monitor_due(const struct monitor *m);
void monitor_show(struct monitor *m);
/* There is no picture, and that for a while. */
bool monitor_is_off(const struct monitor *m);

/* monitors.c */
/* Under the screen's lock: open and close windows as monitors come and go, take over what has changed in them. */
void monitors_look(struct window *w);
/* There is a connection again. */
void monitors_connected(struct window *w);
uint64_t monitors_due(const struct window *w);
void monitors_tick(struct window *w, uint64_t now);
void monitors_resized(struct monitor *m, int width, int height);
/* The window may be on a display of another density: the size that we gave it is another in points then. */
void monitors_moved(struct monitor *m);
void monitors_toggle_full_screen(struct window *w);
void monitors_set_scale(struct window *w, unsigned percent);
void monitors_zoom(struct window *w, int direction);
/* The guest is asked for what the windows are, when nothing has changed for a moment. */
void monitors_ask(struct window *w);

/* pointer.c */
void pointer_look(struct window *w); /* under the screen's lock */
void pointer_apply(struct window *w);
void pointer_grab(struct window *w, bool on);
void pointer_draw(struct monitor *m, const struct rect *place);
void pointer_motion(struct monitor *m, const SDL_MouseMotionEvent *e);
void pointer_button(struct monitor *m, const SDL_MouseButtonEvent *e);
void pointer_wheel(struct monitor *m, const SDL_MouseWheelEvent *e);
void pointer_finger(struct monitor *m, const SDL_TouchFingerEvent *e);
void pointer_fini(struct window *w);

/* keyboard.c */
void keyboard_key(struct monitor *m, const SDL_KeyboardEvent *e);
void keyboard_focus(struct window *w, struct monitor *m); /* NULL: lost */
void keyboard_grab(struct window *w, bool on);
void keyboard_release(struct window *w); /* give mouse and keyboard back */
void keyboard_locks(struct window *w);   /* the guest's locks have changed */
void keyboard_send(struct window *w, unsigned combo);
uint64_t keyboard_due(const struct window *w);
void keyboard_tick(struct window *w, uint64_t now);

#endif

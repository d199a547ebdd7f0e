/*
 * overlay.h - the bar at the top edge of a monitor's window: the machine's name, how to get the mouse back, and
 * buttons. It slides in when the pointer rests at the top edge in full screen, and while the release hotkey is held.
 */
#ifndef CLIENT_OVERLAY_H
#define CLIENT_OVERLAY_H

#include "client/button.h"

#define OVERLAY_BUTTONS 24

enum overlay_action {
    OVERLAY_NONE,
    OVERLAY_FULL_SCREEN,
    OVERLAY_SCALE,
    OVERLAY_KEYS, /* shows the row of key combinations */
    OVERLAY_CLOSE,
    OVERLAY_SEND, /* + which one of combos.h */
};

struct overlay {
    bool open, keys;      /* keys: with the second row */
    uint64_t opened_at;   /* SDL_GetTicks64(), as all these */
    uint64_t hide_at;     /* NEVER while it is in use */
    uint64_t rests_since; /* the pointer at the top edge; NEVER: it does not */
    struct button buttons[OVERLAY_BUTTONS];
    unsigned count;
    SDL_Rect at;
    int hot; /* the button under the pointer, or -1 */
};

#define NEVER UINT64_MAX

struct monitor;

void overlay_init(struct overlay *o);
/* Slide in, and stay so long. */
void overlay_show(struct monitor *m, uint64_t stay_ms);
/* The pointer, in the window's pixels; `down`: a click. True: it was on the bar; *action is what was clicked. */
bool overlay_pointer(struct monitor *m, int x, int y, bool down, int *action);
/* The pointer has left the window. */
void overlay_leave(struct monitor *m);
/* When it next has something to do by itself; do it. */
uint64_t overlay_due(const struct monitor *m);
void overlay_tick(struct monitor *m, uint64_t now);
void overlay_draw(struct monitor *m);

#endif

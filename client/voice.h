/*
 * voice.h - what the first window says of the microphone: whether the guest may hear it is asked in a strip at the upper
 * edge, and as long as it is open a red mark in the corner says so, on which a click shuts it.
 */
#ifndef CLIENT_VOICE_H
#define CLIENT_VOICE_H

#include "client/button.h"
#include "client/screen.h"

struct voice {
    enum microphone_state state; /* as of the last look at the screen */
    struct button buttons[2];    /* where they were drawn last */
    unsigned count;
};

struct monitor;
struct window;

/* Under the screen's lock. */
void voice_look(struct window *w);
/* The hotkey: open it, or shut it, if the guest records. */
void voice_toggle(struct window *w);
void voice_draw(struct monitor *m);
/* A click, in the window's pixels; true: it was on a button. */
bool voice_click(struct monitor *m, int x, int y);

#endif

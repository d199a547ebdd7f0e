/*
 * sending.h - files dropped on a window are sent to the guest; a strip at the lower edge of the first window says how
 * far they are, with a button to cancel, and for a while how it ended.
 */
#ifndef CLIENT_SENDING_H
#define CLIENT_SENDING_H

#include "client/button.h"
#include "client/outbox.h"

struct sending {
    struct outbox_progress progress; /* as of the last look at the screen */
    char words[500];                   /* "": nothing is shown */
    bool under_way;
    uint64_t hide_at; /* SDL_GetTicks64(); NEVER while files are under way */
    struct button cancel;
};

struct monitor;
struct window;

/* A file was dropped: path is UTF-8. */
void sending_drop(struct window *w, const char *path);
/* Under the screen's lock. */
void sending_look(struct window *w);
/* When the strip goes by itself; let it. */
uint64_t sending_due(const struct sending *s);
void sending_tick(struct window *w, uint64_t now);
void sending_draw(struct monitor *m);
/* A click, in the window's pixels; true: it was on the button. */
bool sending_click(struct monitor *m, int x, int y);

#endif

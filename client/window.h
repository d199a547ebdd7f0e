/*
 * window.h - what the user sees and touches: a window of SDL's for each of the guest's monitors, keyboard, mouse,
 * touch.
 *
 * How it stands with the server is said in the window in words (status.h); what the user answers goes to the viewer.
 * In client mouse mode the guest's cursor is the pointer; in server mode a click takes the mouse, and the cursor is
 * drawn where the guest has it. The release hotkey gives mouse and keyboard back. Losing the focus releases all keys.
 * Thread: main, the one that SDL belongs to.
 */
#ifndef CLIENT_WINDOW_H
#define CLIENT_WINDOW_H

#include "client/viewer.h"

struct window;

/* Not to be seen yet, but the session may begin: it wakes the window from now on. -errno with fail_text(). The options
 * outlive it. */
int window_create(struct window **window, struct screen *screen, struct viewer *viewer,
                  const struct window_options *options);
/* -ENODEV with fail_text(): SDL has no display to show it on. */
int window_open(struct window *window);
/* Until the user closes it, or errands say that it is over (screen->over). */
void window_run(struct window *window);
/* The session's thread must have ended: it would wake the window. */
void window_destroy(struct window *window);

#endif

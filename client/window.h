/*
 * window.h - the SDL window: shows the screen, takes keyboard and mouse.
 *
 * It has the guest's size; the user may resize it, then the picture is scaled. A click grabs the keyboard, and in server
 * mouse mode the pointer, until Ctrl+Alt (left ones, nothing else) are pressed and let go. In client mouse mode the guest's cursor is the
 * pointer; in server mode it is drawn where the guest has it. Losing the focus releases all keys.
 * Thread: main, the one that SDL belongs to.
 */
#ifndef CLIENT_WINDOW_H
#define CLIENT_WINDOW_H

#include "client/viewer.h"

struct window;

/* -ENODEV with fail_text(): SDL has no display to show it on. */
int window_create(struct window **window, struct screen *screen, struct viewer *viewer);
/* Until the user closes it or the session ends. */
void window_run(struct window *window);
/* The session's thread must have ended: it would wake the window. */
void window_destroy(struct window *window);

#endif

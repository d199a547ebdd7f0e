/*
 * desktop.h - an X11 session, as its agent sees it: what is copied there (clipboard/x11.h), its monitors by RandR, its
 * pointer by XTEST.
 *
 *   desktop.c          monitors
 *   desktop_pointer.c  the client's pointer, where the daemon can make no device for it
 *
 * Thread: the loop's. Replies of the X server are waited for.
 */
#ifndef GUEST_AGENT_DESKTOP_H
#define GUEST_AGENT_DESKTOP_H

#include "clipboard/x11.h"
#include "guest/agent/link.h"

typedef void desktop_changed_fn(void *opaque, const struct link_screen *screen);

struct desktop {
    struct x11 x11;
    uint8_t randr_event;
    uint32_t buttons; /* VD_AGENT_*BUTTON_MASK that are down */
    desktop_changed_fn *changed;
    void (*lost)(void *opaque); /* the X server has gone: the session is over */
    void *opaque;
};

/* As x11_open(); the monitors are told at once, and whenever they change. */
int desktop_open(struct desktop *d, struct loop *loop, const char *display, struct clipboard *clipboard,
                 desktop_changed_fn *changed, void (*lost)(void *opaque), void *opaque);
void desktop_close(struct desktop *d);
/* As the client wishes (VD_AGENT_MONITORS_CONFIG); what the X server cannot do is left as it is, and said. */
void desktop_set_monitors(struct desktop *d, const uint8_t *body, uint32_t size);

void desktop_move_pointer(struct desktop *d, const VDAgentMouseState *state, const struct link_screen *screen);
void desktop_release_buttons(struct desktop *d);

#endif

/*
 * desktop.h - an X11 session, as its agent sees it: what is copied there (clipboard/x11.h), and its monitors, by RandR.
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

#endif

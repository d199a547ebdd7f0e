/*
 * pointer.h - the client's pointer as a device of the guest's: an absolute one, by Linux' uinput.
 *
 * Its axes have POINTER_RANGE steps over the whole desktop, whatever size that has: so the device stays when that
 * changes. A pixel is told by its middle, which an X server or a compositor maps back to that pixel.
 */
#ifndef GUEST_AGENT_POINTER_H
#define GUEST_AGENT_POINTER_H

#include "guest/agent/link.h"

#include <linux/input.h>

#define POINTER_DEVICE     "/dev/uinput"
#define POINTER_RANGE      65536
#define POINTER_MAX_EVENTS 12 /* that one state makes */

struct pointer {
    int fd;           /* -1: there is no device */
    uint32_t buttons; /* VD_AGENT_*BUTTON_MASK that are down */
};

/*
 * What a client's state means to a guest that had `buttons` down; returns how many, 0 for a monitor that there is not.
 */
unsigned pointer_events(const VDAgentMouseState *state, uint32_t buttons, const struct link_screen *screen,
                        struct input_event events[POINTER_MAX_EVENTS]);

/* Makes the device; 0 or -errno with fail_text(), and pointer->fd -1. */
int pointer_open(struct pointer *p, const char *path);
void pointer_close(struct pointer *p);
void pointer_move(struct pointer *p, const VDAgentMouseState *state, const struct link_screen *screen);
/* Nobody holds a button any more. */
void pointer_release(struct pointer *p);

#endif

/*
 * selections.h - what is copied on the user's desktop and in the guest: one clipboard, and one primary selection, for both
 * (clipboard/). The user's desktop is an X server; where there is none, nothing is shared.
 *
 * Content crosses when somebody pastes it, not before. Thread: the session's loop.
 */
#ifndef CLIENT_SELECTIONS_H
#define CLIENT_SELECTIONS_H

#include "clipboard/header.h"
#include "clipboard/x11.h"

struct agent;

/* Ways that content may go. */
#define SELECTIONS_TO_GUEST   1u
#define SELECTIONS_FROM_GUEST 2u

struct selections {
    unsigned ways;
    bool open;
    struct clipboard clipboard;
    struct x11 x11;
    struct clipboard_header header;
    struct agent *agent; /* NULL: there is none that shares */
};

/* -errno with fail_text(): nothing is shared, and all else is fine to call. */
int selections_open(struct selections *s, struct loop *loop, unsigned ways);
/* Before the loop ends. */
void selections_close(struct selections *s);

/* For the agent. */
/* It is there, and can this; or it has gone (NULL). */
void selections_set_agent(struct selections *s, struct agent *a, uint32_t caps);
/* A message for which clipboard_is(). */
void selections_hear(struct selections *s, uint32_t type, const uint8_t *body, uint32_t size);

#endif

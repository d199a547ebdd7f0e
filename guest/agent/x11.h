/*
 * x11.h - an X11 session, as its agent sees it: selections both ways, the screen, the pointer. By XCB, XFixes, RandR,
 * XTEST.
 *
 *   x11.c           the connection and its events
 *   x11_fetch.c     what others have copied, for the client
 *   x11_offer.c     what the client has copied, for others
 *   x11_monitors.c  the monitors that the client wishes
 *   x11_pointer.c   the client's pointer, where there is no device for it
 *
 * Thread: the loop's. Replies of the X server are waited for; those of its clients are not, and have TIMEOUT seconds.
 */
#ifndef GUEST_AGENT_X11_H
#define GUEST_AGENT_X11_H

#include "base/loop.h"
#include "guest/agent/clipboard.h"
#include "guest/agent/link.h"

#include <xcb/xcb.h>

#define X11_TIMEOUT    10 /* seconds without progress of a transfer to or from another client of the X server */
#define X11_MAX_ASKING 32 /* clients that wait for the same content */
#define X11_MAX_SLOW   8  /* that take it in pieces (INCR) */

enum x11_atom {
    ATOM_CLIPBOARD,
    ATOM_PRIMARY,
    ATOM_TARGETS,
    ATOM_TIMESTAMP,
    ATOM_INCR,
    ATOM_ATOM,
    ATOM_INTEGER,
    ATOM_UTF8_STRING,
    ATOM_TEXT_UTF8,
    ATOM_TEXT_PLAIN,
    ATOM_STRING,
    ATOM_TEXT,
    ATOM_PNG,
    ATOM_BMP,
    ATOM_X_BMP,
    ATOM_MS_BMP,
    ATOM_TIFF,
    ATOM_JPEG,
    ATOM_OURS, /* properties of our window: what is fetched from CLIPBOARD, ... */
    ATOM_OURS_PRIMARY,
    ATOM_COUNT,
};

/* What a selection of another client's has that the client has asked for. One conversion at a time. */
struct x11_fetch {
    bool busy, incremental;
    xcb_timestamp_t since;  /* when the owner took it */
    enum x11_atom target;   /* asked for now */
    uint32_t type;          /* VD_AGENT_CLIPBOARD_*, as which; NONE: its targets */
    uint32_t wanted;        /* bits of types that wait */
    enum x11_atom best[32]; /* the target for each type */
    struct writer data;
    unsigned age; /* seconds without progress */
};

/* A client of the X server that wants what the client has. */
struct x11_asking {
    xcb_window_t window;
    xcb_atom_t selection_atom, target, property;
    xcb_timestamp_t time;
    unsigned selection, age;
    uint32_t type; /* NONE: the place is free */
};

/* One that takes it in pieces. */
struct x11_slow {
    xcb_window_t window; /* 0: the place is free */
    xcb_atom_t target, property;
    uint8_t *data;
    size_t size, sent;
    unsigned age;
};

struct x11_offer {
    bool owned[CLIPBOARD_SHARED];
    uint32_t types[CLIPBOARD_SHARED];
    xcb_timestamp_t since[CLIPBOARD_SHARED];
    struct x11_asking asking[X11_MAX_ASKING];
    struct x11_slow slow[X11_MAX_SLOW];
};

typedef void x11_screen_fn(void *opaque, const struct link_screen *screen);

struct x11 {
    xcb_connection_t *c;
    xcb_screen_t *screen;
    xcb_window_t window; /* never shown */
    xcb_atom_t atoms[ATOM_COUNT];
    uint8_t xfixes_event, randr_event;
    size_t max_piece; /* bytes of a property that one request sets */
    struct clipboard *clipboard;
    struct x11_fetch fetch[CLIPBOARD_SHARED];
    struct x11_offer offer;
    uint32_t buttons; /* VD_AGENT_*BUTTON_MASK that are down */
    x11_screen_fn *screen_changed;
    void (*lost)(void *opaque); /* the X server has gone: its session is over */
    void *opaque;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_timer_t clock;
};

/* To `display`; NULL: that of the environment. 0 or -errno with fail_text(). The screen is told at once. */
int x11_open(struct x11 *x, struct loop *loop, const char *display, struct clipboard *clipboard,
             x11_screen_fn *screen_changed,
             void (*lost)(void *opaque), void *opaque);
void x11_close(struct x11 *x);

/* --- between the files of x11 --- */

extern const struct clipboard_display x11_display;

/* The type of a target, of either direction; VD_AGENT_CLIPBOARD_NONE: of no use. */
uint32_t x11_type_of(enum x11_atom target);
/* ATOM_COUNT: not one of ours. */
enum x11_atom x11_find_atom(const struct x11 *x, xcb_atom_t atom);
static inline xcb_atom_t x11_selection(const struct x11 *x, unsigned selection)
{
    return x->atoms[selection == VD_AGENT_CLIPBOARD_SELECTION_PRIMARY ? ATOM_PRIMARY : ATOM_CLIPBOARD];
}

void x11_fetch_init(struct x11 *x);
void x11_fetch_fini(struct x11 *x);
/* Somebody else has taken it, or nobody has it. */
void x11_fetch_owner(struct x11 *x, unsigned selection, xcb_window_t owner, xcb_timestamp_t since);
void x11_fetch_cancel(struct x11 *x, unsigned selection);
void x11_fetch_want(struct x11 *x, unsigned selection, uint32_t type);
void x11_fetch_notify(struct x11 *x, const xcb_selection_notify_event_t *e);
void x11_fetch_property(struct x11 *x, const xcb_property_notify_event_t *e);
void x11_fetch_tick(struct x11 *x);

void x11_offer_fini(struct x11 *x);
void x11_offer_own(struct x11 *x, unsigned selection, uint32_t types);
void x11_offer_disown(struct x11 *x, unsigned selection);
void x11_offer_lost(struct x11 *x, unsigned selection);
void x11_offer_supply(struct x11 *x, unsigned selection, uint32_t type, const uint8_t *data, uint32_t size);
void x11_offer_request(struct x11 *x, const xcb_selection_request_event_t *e);
void x11_offer_property(struct x11 *x, const xcb_property_notify_event_t *e);
void x11_offer_window_gone(struct x11 *x, xcb_window_t window);
void x11_offer_tick(struct x11 *x);

/* The monitors as they are. */
void x11_read_screen(struct x11 *x, struct link_screen *screen);
/* As the client wishes; what the X server cannot do is left as it is, and said. */
void x11_set_monitors(struct x11 *x, const uint8_t *body, uint32_t size);

void x11_move_pointer(struct x11 *x, const VDAgentMouseState *state, const struct link_screen *screen);
void x11_release_buttons(struct x11 *x);

#endif

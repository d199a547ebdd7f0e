#include "guest/agent/x11.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <xcb/randr.h>
#include <xcb/xfixes.h>

#define MAX_PIECE KIB(256)
#define TICK      1000 /* ms */

static const char *const atom_names[ATOM_COUNT] = {
    [ATOM_CLIPBOARD] = "CLIPBOARD",
    [ATOM_PRIMARY] = "PRIMARY",
    [ATOM_TARGETS] = "TARGETS",
    [ATOM_TIMESTAMP] = "TIMESTAMP",
    [ATOM_INCR] = "INCR",
    [ATOM_ATOM] = "ATOM",
    [ATOM_INTEGER] = "INTEGER",
    [ATOM_UTF8_STRING] = "UTF8_STRING",
    [ATOM_TEXT_UTF8] = "text/plain;charset=utf-8",
    [ATOM_TEXT_PLAIN] = "text/plain",
    [ATOM_STRING] = "STRING",
    [ATOM_TEXT] = "TEXT",
    [ATOM_PNG] = "image/png",
    [ATOM_BMP] = "image/bmp",
    [ATOM_X_BMP] = "image/x-bmp",
    [ATOM_MS_BMP] = "image/x-MS-bmp",
    [ATOM_TIFF] = "image/tiff",
    [ATOM_JPEG] = "image/jpeg",
    [ATOM_OURS] = "MINIVM_AGENT_CLIPBOARD",
    [ATOM_OURS_PRIMARY] = "MINIVM_AGENT_PRIMARY",
};

uint32_t x11_type_of(enum x11_atom target)
{
    switch (target) {
    case ATOM_UTF8_STRING:
    case ATOM_TEXT_UTF8:
    case ATOM_TEXT_PLAIN:
    case ATOM_STRING:
    case ATOM_TEXT:
        return VD_AGENT_CLIPBOARD_UTF8_TEXT;
    case ATOM_PNG:
        return VD_AGENT_CLIPBOARD_IMAGE_PNG;
    case ATOM_BMP:
    case ATOM_X_BMP:
    case ATOM_MS_BMP:
        return VD_AGENT_CLIPBOARD_IMAGE_BMP;
    case ATOM_TIFF:
        return VD_AGENT_CLIPBOARD_IMAGE_TIFF;
    case ATOM_JPEG:
        return VD_AGENT_CLIPBOARD_IMAGE_JPG;
    default:
        return VD_AGENT_CLIPBOARD_NONE;
    }
}

enum x11_atom x11_find_atom(const struct x11 *x, xcb_atom_t atom)
{
    enum x11_atom i = 0;

    while (i < ATOM_COUNT && x->atoms[i] != atom)
        i++;
    return i;
}

/* --- events --- */

/* -1: not one that is shared. */
static int selection_of(const struct x11 *x, xcb_atom_t atom)
{
    return atom == x->atoms[ATOM_CLIPBOARD] ? VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD
           : atom == x->atoms[ATOM_PRIMARY] ? VD_AGENT_CLIPBOARD_SELECTION_PRIMARY
                                            : -1;
}

static void on_owner(struct x11 *x, const xcb_xfixes_selection_notify_event_t *e)
{
    int selection = selection_of(x, e->selection);

    if (selection < 0)
        return;
    if (e->owner == x->window)
        x->offer.since[selection] = e->selection_timestamp;
    else
        x11_fetch_owner(x, (unsigned)selection, e->owner, e->selection_timestamp);
}

static void tell_screen(struct x11 *x)
{
    struct link_screen screen;

    x11_read_screen(x, &screen);
    x->screen_changed(x->opaque, &screen);
}

static void on_property(struct x11 *x, const xcb_property_notify_event_t *e)
{
    if (e->window == x->window)
        x11_fetch_property(x, e);
    else
        x11_offer_property(x, e);
}

static void on_clear(struct x11 *x, const xcb_selection_clear_event_t *e)
{
    int selection = selection_of(x, e->selection);

    if (selection >= 0)
        x11_offer_lost(x, (unsigned)selection);
}

static void on_event(struct x11 *x, xcb_generic_event_t *e)
{
    uint8_t type = e->response_type & 0x7f;

    if (type == XCB_SELECTION_NOTIFY)
        x11_fetch_notify(x, (xcb_selection_notify_event_t *)e);
    else if (type == XCB_PROPERTY_NOTIFY)
        on_property(x, (xcb_property_notify_event_t *)e);
    else if (type == XCB_SELECTION_REQUEST)
        x11_offer_request(x, (xcb_selection_request_event_t *)e);
    else if (type == XCB_SELECTION_CLEAR)
        on_clear(x, (xcb_selection_clear_event_t *)e);
    else if (type == XCB_DESTROY_NOTIFY)
        x11_offer_window_gone(x, ((xcb_destroy_notify_event_t *)e)->window);
    else if (type == x->xfixes_event + XCB_XFIXES_SELECTION_NOTIFY)
        on_owner(x, (xcb_xfixes_selection_notify_event_t *)e);
    else if (type == x->randr_event + XCB_RANDR_SCREEN_CHANGE_NOTIFY || type == x->randr_event + XCB_RANDR_NOTIFY)
        tell_screen(x);
}

static void pump(struct x11 *x)
{
    xcb_generic_event_t *e;

    while ((e = xcb_poll_for_event(x->c))) {
        on_event(x, e);
        free(e);
    }
    xcb_flush(x->c);
    if (!xcb_connection_has_error(x->c))
        return;
    uv_poll_stop(&x->poll);
    uv_prepare_stop(&x->prepare);
    x->lost(x->opaque);
}

static void on_readable(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    pump(poll->data);
}

/* What came while a reply was waited for is in the library, where poll does not see it. */
static void before_waiting(uv_prepare_t *prepare)
{
    pump(prepare->data);
}

static void on_clock(uv_timer_t *clock)
{
    x11_fetch_tick(clock->data);
    x11_offer_tick(clock->data);
}

/* --- life --- */

static int intern_atoms(struct x11 *x)
{
    xcb_intern_atom_cookie_t cookies[ATOM_COUNT];
    int err = 0;

    for (int i = 0; i < ATOM_COUNT; i++)
        cookies[i] = xcb_intern_atom(x->c, false, (uint16_t)strlen(atom_names[i]), atom_names[i]);
    for (int i = 0; i < ATOM_COUNT; i++) {
        xcb_intern_atom_reply_t *r = xcb_intern_atom_reply(x->c, cookies[i], NULL);

        if (!r)
            err = fail(-EIO, "the X server does not answer");
        x->atoms[i] = r ? r->atom : 0;
        free(r);
    }
    return err;
}

static int find_extensions(struct x11 *x)
{
    const xcb_query_extension_reply_t *xfixes = xcb_get_extension_data(x->c, &xcb_xfixes_id);
    const xcb_query_extension_reply_t *randr = xcb_get_extension_data(x->c, &xcb_randr_id);
    xcb_xfixes_query_version_reply_t *xfixes_version;
    xcb_randr_query_version_reply_t *randr_version;
    bool there;

    if (!xfixes || !xfixes->present || !randr || !randr->present)
        return fail(-ENOTSUP, "the X server has no XFixes or no RandR");
    x->xfixes_event = xfixes->first_event;
    x->randr_event = randr->first_event;
    xfixes_version = xcb_xfixes_query_version_reply(x->c, xcb_xfixes_query_version(x->c, 5, 0), NULL);
    randr_version = xcb_randr_query_version_reply(x->c, xcb_randr_query_version(x->c, 1, 3), NULL);
    there = xfixes_version && randr_version && randr_version->minor_version >= 2;
    free(xfixes_version);
    free(randr_version);
    return there ? 0 : fail(-ENOTSUP, "the X server's XFixes or RandR is too old");
}

static void select_events(struct x11 *x)
{
    const uint32_t events = XCB_EVENT_MASK_PROPERTY_CHANGE;
    const uint32_t changes = XCB_XFIXES_SELECTION_EVENT_MASK_SET_SELECTION_OWNER |
                             XCB_XFIXES_SELECTION_EVENT_MASK_SELECTION_WINDOW_DESTROY |
                             XCB_XFIXES_SELECTION_EVENT_MASK_SELECTION_CLIENT_CLOSE;

    x->window = xcb_generate_id(x->c);
    xcb_create_window(x->c, XCB_COPY_FROM_PARENT, x->window, x->screen->root, -1, -1, 1, 1, 0,
                      XCB_WINDOW_CLASS_INPUT_ONLY,
                      XCB_COPY_FROM_PARENT, XCB_CW_EVENT_MASK, &events);
    for (unsigned i = 0; i < CLIPBOARD_SHARED; i++)
        xcb_xfixes_select_selection_input(x->c, x->window, x11_selection(x, i), changes);
    xcb_randr_select_input(x->c, x->window,
                           XCB_RANDR_NOTIFY_MASK_SCREEN_CHANGE | XCB_RANDR_NOTIFY_MASK_CRTC_CHANGE |
                               XCB_RANDR_NOTIFY_MASK_OUTPUT_CHANGE);
}

/* What somebody has copied before we came. */
static void look_at_owners(struct x11 *x)
{
    for (unsigned i = 0; i < CLIPBOARD_SHARED; i++) {
        xcb_get_selection_owner_cookie_t cookie = xcb_get_selection_owner(x->c, x11_selection(x, i));
        xcb_get_selection_owner_reply_t *r = xcb_get_selection_owner_reply(x->c, cookie, NULL);

        if (r && r->owner != XCB_NONE)
            x11_fetch_owner(x, i, r->owner, XCB_CURRENT_TIME);
        free(r);
    }
}

static int connect_display(struct x11 *x, const char *display)
{
    int number;
    xcb_screen_iterator_t screens;

    x->c = xcb_connect(display, &number);
    if (xcb_connection_has_error(x->c))
        return fail(-ECONNREFUSED, "X11: no connection to display '%s'; is DISPLAY set, and is it yours?",
                    display ? display : getenv("DISPLAY") ? getenv("DISPLAY") : "");
    screens = xcb_setup_roots_iterator(xcb_get_setup(x->c));
    while (number-- > 0)
        xcb_screen_next(&screens);
    x->screen = screens.data;
    x->max_piece = MIN((size_t)xcb_get_maximum_request_length(x->c) * 4 - 64, MAX_PIECE);
    return 0;
}

static void watch(struct x11 *x, struct loop *loop)
{
    uv_poll_init(&loop->uv, &x->poll, xcb_get_file_descriptor(x->c));
    uv_prepare_init(&loop->uv, &x->prepare);
    uv_timer_init(&loop->uv, &x->clock);
    x->poll.data = x->prepare.data = x->clock.data = x;
    uv_poll_start(&x->poll, UV_READABLE, on_readable);
    uv_prepare_start(&x->prepare, before_waiting);
    uv_timer_start(&x->clock, on_clock, TICK, TICK);
}

int x11_open(struct x11 *x, struct loop *loop, const char *display, struct clipboard *clipboard,
             x11_screen_fn *screen_changed,
             void (*lost)(void *opaque), void *opaque)
{
    int err;

    *x = (struct x11){.clipboard = clipboard, .screen_changed = screen_changed, .lost = lost, .opaque = opaque};
    x11_fetch_init(x);
    err = connect_display(x, display);
    if (!err)
        err = find_extensions(x);
    if (!err)
        err = intern_atoms(x);
    if (err) {
        xcb_disconnect(x->c);
        x->c = NULL;
        return err;
    }
    select_events(x);
    clipboard_set_display(clipboard, &x11_display, x);
    watch(x, loop);
    look_at_owners(x);
    tell_screen(x);
    return 0;
}

void x11_close(struct x11 *x)
{
    if (!x->c)
        return;
    uv_close((uv_handle_t *)&x->poll, NULL);
    uv_close((uv_handle_t *)&x->prepare, NULL);
    uv_close((uv_handle_t *)&x->clock, NULL);
    x11_fetch_fini(x);
    x11_offer_fini(x);
    xcb_disconnect(x->c);
}

/* --- what the clipboard asks for --- */

static void own(void *opaque, unsigned selection, uint32_t types)
{
    x11_fetch_cancel(opaque, selection);
    x11_offer_own(opaque, selection, types);
}

static void disown(void *opaque, unsigned selection)
{
    x11_offer_disown(opaque, selection);
}

static void fetch(void *opaque, unsigned selection, uint32_t type)
{
    x11_fetch_want(opaque, selection, type);
}

static void supply(void *opaque, unsigned selection, uint32_t type, const uint8_t *data, uint32_t size)
{
    x11_offer_supply(opaque, selection, type, data, size);
}

const struct clipboard_display x11_display = {own, disown, fetch, supply};

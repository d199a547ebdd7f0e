/*
 * What other clients of the X server have copied: asked of them by ConvertSelection, in pieces where it is long (INCR).
 */
#include "guest/agent/latin1.h"
#include "guest/agent/x11.h"

#include "base/log.h"

#include <stdlib.h>

#define MAX_TARGETS 1024
#define MAX_WORDS   (MESSAGE_MAX_CLIPBOARD / 4)

void x11_fetch_init(struct x11 *x)
{
    for (unsigned i = 0; i < CLIPBOARD_SHARED; i++)
        writer_init(&x->fetch[i].data, MESSAGE_MAX_CLIPBOARD);
}

void x11_fetch_fini(struct x11 *x)
{
    for (unsigned i = 0; i < CLIPBOARD_SHARED; i++)
        writer_fini(&x->fetch[i].data);
}

static xcb_atom_t our_property(const struct x11 *x, unsigned selection)
{
    return x->atoms[ATOM_OURS + selection];
}

static void convert(struct x11 *x, unsigned selection, uint32_t type, enum x11_atom target)
{
    struct x11_fetch *f = &x->fetch[selection];

    f->busy = true;
    f->incremental = false;
    f->age = 0;
    f->type = type;
    f->target = target;
    writer_trim(&f->data, KIB(64));
    xcb_delete_property(x->c, x->window, our_property(x, selection));
    xcb_convert_selection(x->c, x->window, x11_selection(x, selection), x->atoms[target], our_property(x, selection),
                          f->since);
}

static void go_on(struct x11 *x, unsigned selection)
{
    struct x11_fetch *f = &x->fetch[selection];
    uint32_t type = f->wanted ? (uint32_t)__builtin_ctz(f->wanted) : 0;

    f->busy = false;
    if (!f->wanted)
        return;
    f->wanted &= ~(1u << type);
    convert(x, selection, type, f->best[type]);
}

/* --- the end of one --- */

static void finish_text(struct x11 *x, unsigned selection, struct x11_fetch *f)
{
    size_t size;
    uint8_t *text = latin1_to_utf8(f->data.data, f->data.size, &size);

    if (text)
        clipboard_fetched(x->clipboard, selection, f->type, text, size);
    free(text);
}

static void finish(struct x11 *x, unsigned selection, bool good)
{
    struct x11_fetch *f = &x->fetch[selection];

    if (f->data.bad)
        log_warn("what was copied is longer than %u MiB", (unsigned)(MESSAGE_MAX_CLIPBOARD >> 20));
    if (!good || f->data.bad)
        clipboard_fetched(x->clipboard, selection, VD_AGENT_CLIPBOARD_NONE, NULL, 0);
    else if (f->target == ATOM_STRING)
        finish_text(x, selection, f);
    else
        clipboard_fetched(x->clipboard, selection, f->type, f->data.data, f->data.size);
    writer_trim(&f->data, KIB(64));
    go_on(x, selection);
}

/* Which types there are, each by the target that we like best: the one that is named first. */
static void take_targets(struct x11 *x, unsigned selection, const xcb_atom_t *targets, size_t count)
{
    struct x11_fetch *f = &x->fetch[selection];
    uint32_t types = 0;

    for (size_t i = 0; i < count; i++) {
        enum x11_atom target = x11_find_atom(x, targets[i]);
        uint32_t type = x11_type_of(target);

        if (!type || target == ATOM_TEXT || (types >> type & 1 && f->best[type] <= target))
            continue;
        f->best[type] = target;
        types |= 1u << type;
    }
    clipboard_grabbed(x->clipboard, selection, types);
    for (uint32_t gone = f->wanted & ~types; gone; gone &= gone - 1)
        clipboard_fetched(x->clipboard, selection, VD_AGENT_CLIPBOARD_NONE, NULL, 0);
    f->wanted &= types;
    go_on(x, selection);
}

/* --- properties --- */

static xcb_get_property_reply_t *take_property(struct x11 *x, unsigned selection)
{
    return xcb_get_property_reply(x->c,
                                  xcb_get_property(x->c, true, x->window, our_property(x, selection),
                                                   XCB_GET_PROPERTY_TYPE_ANY,
                                                   0, MAX_WORDS + 1),
                                  NULL);
}

static void append(struct x11_fetch *f, const xcb_get_property_reply_t *r)
{
    writer_bytes(&f->data, xcb_get_property_value(r), (size_t)xcb_get_property_value_length(r));
    if (r->bytes_after)
        f->data.bad = true;
}

void x11_fetch_notify(struct x11 *x, const xcb_selection_notify_event_t *e)
{
    unsigned selection = e->selection == x->atoms[ATOM_PRIMARY];
    struct x11_fetch *f = &x->fetch[selection];
    xcb_get_property_reply_t *r;

    if (!f->busy || f->incremental || e->target != x->atoms[f->target] || e->requestor != x->window)
        return;
    r = e->property == XCB_NONE ? NULL : take_property(x, selection);
    if (r && r->type == x->atoms[ATOM_INCR] && f->type) {
        f->incremental = true; /* that it is deleted has the owner begin */
        f->age = 0;
    } else if (f->type) {
        if (r)
            append(f, r);
        finish(x, selection, r && r->format == 8);
    } else {
        bool good = r && r->format == 32;

        take_targets(x, selection, good ? xcb_get_property_value(r) : NULL,
                     good ? MIN((size_t)xcb_get_property_value_length(r) / 4, MAX_TARGETS) : 0);
    }
    free(r);
}

void x11_fetch_property(struct x11 *x, const xcb_property_notify_event_t *e)
{
    unsigned selection = e->atom == our_property(x, 1);
    struct x11_fetch *f = &x->fetch[selection];
    xcb_get_property_reply_t *r;

    if (!f->incremental || e->state != XCB_PROPERTY_NEW_VALUE || e->atom != our_property(x, selection))
        return;
    r = take_property(x, selection);
    if (!r)
        return;
    f->age = 0;
    if (xcb_get_property_value_length(r) == 0) {
        f->incremental = false;
        finish(x, selection, true);
    } else {
        append(f, r);
    }
    free(r);
}

/* --- begin and give up --- */

void x11_fetch_cancel(struct x11 *x, unsigned selection)
{
    struct x11_fetch *f = &x->fetch[selection];

    if (f->busy && f->type)
        clipboard_fetched(x->clipboard, selection, VD_AGENT_CLIPBOARD_NONE, NULL, 0);
    for (; f->wanted; f->wanted &= f->wanted - 1)
        clipboard_fetched(x->clipboard, selection, VD_AGENT_CLIPBOARD_NONE, NULL, 0);
    f->busy = f->incremental = false;
}

void x11_fetch_owner(struct x11 *x, unsigned selection, xcb_window_t owner, xcb_timestamp_t since)
{
    x11_fetch_cancel(x, selection);
    x->fetch[selection].since = since;
    if (owner == XCB_NONE)
        clipboard_released(x->clipboard, selection);
    else
        convert(x, selection, VD_AGENT_CLIPBOARD_NONE, ATOM_TARGETS);
}

void x11_fetch_want(struct x11 *x, unsigned selection, uint32_t type)
{
    struct x11_fetch *f = &x->fetch[selection];

    f->wanted |= 1u << type;
    if (!f->busy)
        go_on(x, selection);
}

void x11_fetch_tick(struct x11 *x)
{
    for (unsigned i = 0; i < CLIPBOARD_SHARED; i++) {
        struct x11_fetch *f = &x->fetch[i];

        if (!f->busy || ++f->age <= X11_TIMEOUT)
            continue;
        log_info("the program that has copied something does not answer");
        f->incremental = false;
        if (f->type)
            finish(x, i, false);
        else
            go_on(x, i);
    }
}

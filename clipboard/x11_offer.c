/* What the peer has copied: other clients of the X server ask us for it, and wait until the peer has answered. */
#include "clipboard/latin1.h"
#include "clipboard/x11.h"

#include "base/log.h"

#include <stdlib.h>

/* What a type is offered as. */
static const enum x11_atom offered[] = {ATOM_UTF8_STRING, ATOM_TEXT_UTF8, ATOM_TEXT_PLAIN, ATOM_STRING, ATOM_TEXT,
                                        ATOM_PNG, ATOM_BMP, ATOM_X_BMP, ATOM_MS_BMP, ATOM_TIFF, ATOM_JPEG};

static void answer(struct x11 *x, const struct x11_asking *a, bool good)
{
    const xcb_selection_notify_event_t e = {.response_type = XCB_SELECTION_NOTIFY,
                                            .time = a->time,
                                            .requestor = a->window,
                                            .selection = a->selection_atom,
                                            .target = a->target,
                                            .property = good ? a->property : XCB_NONE};

    xcb_send_event(x->c, false, a->window, XCB_EVENT_MASK_NO_EVENT, (const char *)&e);
}

static void refuse_all(struct x11 *x, unsigned selection)
{
    for (int i = 0; i < X11_MAX_ASKING; i++) {
        struct x11_asking *a = &x->offer.asking[i];

        if (!a->type || a->selection != selection)
            continue;
        answer(x, a, false);
        a->type = 0;
    }
}

/* --- whose it is --- */

void x11_offer_own(struct x11 *x, unsigned selection, uint32_t types)
{
    refuse_all(x, selection);
    x->offer.owned[selection] = true;
    x->offer.types[selection] = types;
    xcb_set_selection_owner(x->c, x->window, x11_selection(x, selection), XCB_CURRENT_TIME);
}

void x11_offer_lost(struct x11 *x, unsigned selection)
{
    refuse_all(x, selection);
    x->offer.owned[selection] = false;
}

void x11_offer_disown(struct x11 *x, unsigned selection)
{
    if (!x->offer.owned[selection])
        return;
    x11_offer_lost(x, selection);
    xcb_set_selection_owner(x->c, XCB_NONE, x11_selection(x, selection), x->offer.since[selection]);
}

/* --- in pieces --- */

static void forget(struct x11 *x, struct x11_slow *s)
{
    const uint32_t no_events = 0;

    xcb_change_window_attributes(x->c, s->window, XCB_CW_EVENT_MASK, &no_events);
    free(s->data);
    *s = (struct x11_slow){0};
}

static void give_piece(struct x11 *x, struct x11_slow *s)
{
    size_t n = MIN(s->size - s->sent, x->max_piece);

    xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, s->window, s->property, s->target, 8, (uint32_t)n,
                        s->data + s->sent);
    s->sent += n;
    s->age = 0;
    if (n == 0)
        forget(x, s);
}

void x11_offer_property(struct x11 *x, const xcb_property_notify_event_t *e)
{
    for (int i = 0; i < X11_MAX_SLOW; i++) {
        struct x11_slow *s = &x->offer.slow[i];

        if (s->window && s->window == e->window && s->property == e->atom && e->state == XCB_PROPERTY_DELETE)
            give_piece(x, s);
    }
}

void x11_offer_window_gone(struct x11 *x, xcb_window_t window)
{
    for (int i = 0; i < X11_MAX_SLOW; i++)
        if (x->offer.slow[i].window == window)
            forget(x, &x->offer.slow[i]);
}

static bool begin_pieces(struct x11 *x, const struct x11_asking *a, xcb_atom_t type, const uint8_t *data, uint32_t size)
{
    const uint32_t events = XCB_EVENT_MASK_PROPERTY_CHANGE | XCB_EVENT_MASK_STRUCTURE_NOTIFY;
    struct x11_slow *s = x->offer.slow;
    uint8_t *copy = malloc(size);

    while (s < x->offer.slow + X11_MAX_SLOW && s->window)
        s++;
    if (s == x->offer.slow + X11_MAX_SLOW || !copy) {
        free(copy);
        return false;
    }
    memcpy(copy, data, size);
    *s = (struct x11_slow){.window = a->window, .target = type, .property = a->property, .data = copy, .size = size};
    xcb_change_window_attributes(x->c, a->window, XCB_CW_EVENT_MASK, &events);
    xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, a->window, a->property, x->atoms[ATOM_INCR], 32, 1, &size);
    return true;
}

/* --- content --- */

static bool give(struct x11 *x, const struct x11_asking *a, const uint8_t *data, uint32_t size)
{
    xcb_atom_t type = a->target == x->atoms[ATOM_TEXT] ? x->atoms[ATOM_UTF8_STRING] : a->target;

    if (size > x->max_piece)
        return begin_pieces(x, a, type, data, size);
    xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, a->window, a->property, type, 8, size, data);
    return true;
}

static bool give_string(struct x11 *x, const struct x11_asking *a, const uint8_t *data, uint32_t size)
{
    size_t length;
    uint8_t *text = latin1_from_utf8(data, size, &length);
    bool good = text && give(x, a, text, (uint32_t)length);

    free(text);
    return good;
}

void x11_offer_supply(struct x11 *x, unsigned selection, uint32_t type, const uint8_t *data, uint32_t size)
{
    if (type == VD_AGENT_CLIPBOARD_NONE) {
        refuse_all(x, selection);
        return;
    }
    for (int i = 0; i < X11_MAX_ASKING; i++) {
        struct x11_asking *a = &x->offer.asking[i];

        if (a->type != type || a->selection != selection)
            continue;
        answer(x, a, a->target == x->atoms[ATOM_STRING] ? give_string(x, a, data, size) : give(x, a, data, size));
        a->type = 0;
    }
}

/* --- requests --- */

static bool give_targets(struct x11 *x, const struct x11_asking *a)
{
    xcb_atom_t targets[2 + ARRAY_SIZE(offered)] = {x->atoms[ATOM_TARGETS], x->atoms[ATOM_TIMESTAMP]};
    uint32_t count = 2;

    for (size_t i = 0; i < ARRAY_SIZE(offered); i++)
        if (x->offer.types[a->selection] >> x11_type_of(offered[i]) & 1)
            targets[count++] = x->atoms[offered[i]];
    xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, a->window, a->property, x->atoms[ATOM_ATOM], 32, count, targets);
    return true;
}

static bool give_timestamp(struct x11 *x, const struct x11_asking *a)
{
    xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, a->window, a->property, x->atoms[ATOM_INTEGER], 32, 1,
                        &x->offer.since[a->selection]);
    return true;
}

/* The peer is asked once, whoever waits for the same. */
static bool wait_for_peer(struct x11 *x, const struct x11_asking *a)
{
    struct x11_asking *place = NULL;
    bool asked = false;

    for (int i = 0; i < X11_MAX_ASKING; i++) {
        struct x11_asking *other = &x->offer.asking[i];

        if (!other->type)
            place = other;
        else
            asked |= other->selection == a->selection && other->type == a->type;
    }
    if (!place)
        return false;
    *place = *a;
    if (!asked)
        clipboard_wanted(x->clipboard, a->selection, a->type);
    return true;
}

void x11_offer_request(struct x11 *x, const xcb_selection_request_event_t *e)
{
    enum x11_atom target = x11_find_atom(x, e->target);
    struct x11_asking a = {.window = e->requestor,
                           .selection_atom = e->selection,
                           .target = e->target,
                           .property = e->property ? e->property : e->target, /* as old clients have it */
                           .time = e->time,
                           .selection = e->selection == x->atoms[ATOM_PRIMARY],
                           .type = x11_type_of(target)};

    if (e->selection != x11_selection(x, a.selection) || !x->offer.owned[a.selection])
        answer(x, &a, false);
    else if (target == ATOM_TARGETS)
        answer(x, &a, give_targets(x, &a));
    else if (target == ATOM_TIMESTAMP)
        answer(x, &a, give_timestamp(x, &a));
    else if (!a.type || !(x->offer.types[a.selection] >> a.type & 1) || !wait_for_peer(x, &a))
        answer(x, &a, false);
}

bool x11_offer_is_busy(const struct x11 *x)
{
    for (int i = 0; i < X11_MAX_ASKING; i++)
        if (x->offer.asking[i].type)
            return true;
    for (int i = 0; i < X11_MAX_SLOW; i++)
        if (x->offer.slow[i].window)
            return true;
    return false;
}

void x11_offer_tick(struct x11 *x)
{
    for (int i = 0; i < X11_MAX_ASKING; i++) {
        struct x11_asking *a = &x->offer.asking[i];

        if (!a->type || ++a->age <= X11_TIMEOUT)
            continue;
        log_info("what was copied at the other end does not come");
        answer(x, a, false);
        a->type = 0;
    }
    for (int i = 0; i < X11_MAX_SLOW; i++)
        if (x->offer.slow[i].window && ++x->offer.slow[i].age > X11_TIMEOUT)
            forget(x, &x->offer.slow[i]);
}

void x11_offer_fini(struct x11 *x)
{
    for (int i = 0; i < X11_MAX_SLOW; i++)
        free(x->offer.slow[i].data);
}

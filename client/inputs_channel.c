#include "client/inputs_channel.h"

#include "client/keymap.h"
#include "client/main_channel.h"
#include "client/session.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_UNACKNOWLEDGED (2 * SPICE_INPUT_MOTION_ACK_BUNCH)
#define MAX_STEP           30000 /* of an added up motion */

struct inputs_channel {
    struct channel base;
    uint16_t buttons; /* SPICE_MOUSE_BUTTON_MASK_* */
    unsigned unacknowledged;
    int32_t dx, dy; /* not sent yet */
    bool has_position;
    int32_t x, y;
    uint8_t display;
    bool pressed[2][0x80]; /* plain keys, those with the e0 prefix */
};

static int send_motion(struct inputs_channel *in)
{
    struct spice_msgc_inputs_mouse_motion motion = {in->dx, in->dy, in->buttons};
    struct spice_msgc_inputs_mouse_position position = {(uint32_t)in->x, (uint32_t)in->y,
                                                        in->buttons, in->display};
    int err = 0;

    if (in->dx || in->dy) {
        in->unacknowledged++;
        in->dx = in->dy = 0;
        err = channel_send(&in->base, SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    }
    if (!err && in->has_position) {
        in->unacknowledged++;
        in->has_position = false;
        err = channel_send(&in->base, SPICE_MSGC_INPUTS_MOUSE_POSITION, &position);
    }
    return err;
}

static int pace_motion(struct inputs_channel *in)
{
    return in->unacknowledged < MAX_UNACKNOWLEDGED ? send_motion(in) : 0;
}

static int handle_motion_ack(struct channel *c, const void *msg UNUSED)
{
    struct inputs_channel *in = container_of(c, struct inputs_channel, base);

    in->unacknowledged -= MIN(in->unacknowledged, (unsigned)SPICE_INPUT_MOTION_ACK_BUNCH);
    return pace_motion(in);
}

static int send_key(struct inputs_channel *in, uint16_t key, bool down)
{
    uint32_t second;
    struct spice_msgc_inputs_key m = {key_bytes(key, down, &second)};
    uint16_t id = down ? SPICE_MSGC_INPUTS_KEY_DOWN : SPICE_MSGC_INPUTS_KEY_UP;
    int err;

    if (!m.code)
        return 0;
    if (key != KEY_PAUSE)
        in->pressed[key >> 8 != 0][key & 0x7f] = down;
    err = channel_send(&in->base, id, &m);
    m.code = second;
    return err || !second ? err : channel_send(&in->base, id, &m);
}

static int send_button(struct inputs_channel *in, uint8_t button, bool down)
{
    uint16_t mask = (uint16_t)(1 << (button - SPICE_MOUSE_BUTTON_LEFT));
    struct spice_msgc_inputs_mouse_button m = {button};
    int err = send_motion(in);

    in->buttons = down ? in->buttons | mask : in->buttons & (uint16_t)~mask;
    m.buttons_state = in->buttons;
    if (err)
        return err;
    return channel_send(&in->base,
                        down ? SPICE_MSGC_INPUTS_MOUSE_PRESS : SPICE_MSGC_INPUTS_MOUSE_RELEASE, &m);
}

static void release_all(struct inputs_channel *in)
{
    for (unsigned key = 0; key < 0x80; key++) {
        if (in->pressed[0][key])
            send_key(in, (uint16_t)key, false);
        if (in->pressed[1][key])
            send_key(in, (uint16_t)(0xe000 | key), false);
    }
    for (uint8_t button = SPICE_MOUSE_BUTTON_LEFT; button <= SPICE_MOUSE_BUTTON_EXTRA; button++)
        if (in->buttons >> (button - SPICE_MOUSE_BUTTON_LEFT) & 1)
            send_button(in, button, false);
}

static void send_locks(struct inputs_channel *in, uint16_t locks)
{
    struct spice_msg_inputs_key_modifiers m = {locks};

    channel_send(&in->base, SPICE_MSGC_INPUTS_KEY_MODIFIERS, &m);
}

/* What the guest may answer with a change of its picture. */
static void note_input(struct screen *screen, const struct user_event *e)
{
    bool press = (e->kind == USER_KEY || e->kind == USER_BUTTON) && e->down;

    if (!press && e->kind != USER_MOTION && e->kind != USER_POSITION)
        return;
    screen_lock(screen);
    tempo_input(&screen->tempo, now_ns());
    screen_unlock(screen);
}

void inputs_event(struct inputs_channel *in, const struct user_event *e)
{
    note_input(in->base.session->screen, e);
    switch (e->kind) {
    case USER_KEY:
        send_key(in, e->key, e->down);
        break;
    case USER_MOTION:
        in->dx = CLAMP(in->dx + e->x, -MAX_STEP, MAX_STEP);
        in->dy = CLAMP(in->dy + e->y, -MAX_STEP, MAX_STEP);
        pace_motion(in);
        break;
    case USER_POSITION:
        in->x = e->x;
        in->y = e->y;
        in->display = e->display;
        in->has_position = true;
        pace_motion(in);
        break;
    case USER_BUTTON:
        send_button(in, e->button, e->down);
        break;
    case USER_LOCKS:
        send_locks(in, e->key);
        break;
    case USER_RELEASE_ALL:
        release_all(in);
        break;
    case USER_MONITORS:
        break; /* session_event() has it */
    }
}

void session_event(struct session *s, const struct user_event *event)
{
    struct channel *main_channel = session_find(s, SPICE_CHANNEL_MAIN, 0);

    if (event->kind == USER_MONITORS && main_channel && channel_is_up(main_channel))
        main_channel_layout_changed(main_channel);
    else if (s->inputs)
        inputs_event(s->inputs, event);
}

static int inputs_up(struct channel *c)
{
    c->session->inputs = container_of(c, struct inputs_channel, base);
    return 0;
}

static void inputs_destroy(struct channel *c)
{
    channel_fini(c);
    free(container_of(c, struct inputs_channel, base));
}

static int handle_locks(struct channel *c, const void *msg)
{
    const struct spice_msg_inputs_key_modifiers *m = msg;
    struct screen *screen = c->session->screen;

    screen_lock(screen);
    screen->locks = m->modifiers;
    screen->locks_serial++;
    screen_unlock(screen);
    screen_wake(screen);
    return 0;
}

static const struct channel_handler handlers[] = {
    {SPICE_MSG_INPUTS_INIT, handle_locks},
    {SPICE_MSG_INPUTS_KEY_MODIFIERS, handle_locks},
    {SPICE_MSG_INPUTS_MOUSE_MOTION_ACK, handle_motion_ack},
};

static const struct channel_ops ops = {
    .type = SPICE_CHANNEL_INPUTS,
    .tables = {{handlers, ARRAY_SIZE(handlers)}},
    .up = inputs_up,
    .destroy = inputs_destroy,
};

int inputs_channel_open(struct session *s, uint8_t id, struct channel **channel)
{
    struct inputs_channel *in = calloc(1, sizeof(*in));
    int err = in ? channel_connect(&in->base, s, &ops, id, -1) : -ENOMEM;

    if (err)
        free(in);
    else
        *channel = &in->base;
    return err;
}

/* The inputs channel: keys, buttons, motion, and the keyboard's LEDs back. */
#include "spice/server/agent_port.h"
#include "spice/server/migrate_data.h"
#include "spice/server/private.h"

#include <stdlib.h>

#define MAX_POSITION 32767 /* of backend/input.h */

struct inputs_channel {
    struct channel base;
    struct session *session;
    uint8_t held[2][128]; /* keys that are down, without and with the e0 prefix */
    bool prefix;          /* the last byte was e0 */
    unsigned buttons; /* held, as SPICE_MOUSE_BUTTON_MASK_*, which are backend/input.h's bits too */
    unsigned x, y, display; /* the last position */
    unsigned motions;       /* since the last acknowledgement */
    uint8_t pending[MIGRATE_MAX_PENDING]; /* scancodes that came when the guest was gone already */
    uint32_t pending_count;
    unsigned locks;         /* LEDs as they will be once the guest has seen our lock keys */
};

static_assert(SPICE_MOUSE_BUTTON_MASK_RIGHT == 1 << INPUT_RIGHT &&
                  SPICE_MOUSE_BUTTON_MASK_EXTRA == 1 << INPUT_EXTRA,
              "button bits pass through unchanged");

#define BUTTONS                                                                                    \
    (SPICE_MOUSE_BUTTON_MASK_LEFT | SPICE_MOUSE_BUTTON_MASK_MIDDLE |                               \
     SPICE_MOUSE_BUTTON_MASK_RIGHT | SPICE_MOUSE_BUTTON_MASK_SIDE | SPICE_MOUSE_BUTTON_MASK_EXTRA)

static struct input *input_of(const struct inputs_channel *in)
{
    return in->session->server->input;
}

static struct agent_port *agent_of(const struct inputs_channel *in)
{
    return in->session->server->agent;
}

/* --- keys --- */

static void press(struct inputs_channel *in, uint8_t code)
{
    if (code == 0xe0) {
        in->prefix = true;
    } else {
        in->held[in->prefix][code & 0x7f] = !(code & 0x80);
        in->prefix = false;
    }
    input_scancode(input_of(in), code);
}

/* To the guest, wherever it is. */
static void take_scancode(struct inputs_channel *in, uint8_t code)
{
    if (in->base.phase == CHANNEL_LIVE)
        press(in, code);
    else if (in->pending_count < sizeof(in->pending))
        in->pending[in->pending_count++] = code;
}

/* Up to four bytes, the first one lowest. */
static void take_key(struct inputs_channel *in, uint32_t code)
{
    for (; code & 0xff; code >>= 8)
        take_scancode(in, code & 0xff);
}

static void take_scancodes(struct inputs_channel *in, const struct spice_data *data)
{
    for (uint32_t i = 0; i < data->size; i++)
        take_scancode(in, data->data[i]);
}

/* In the place where the pointer is; wheel: -1 up, 1 down. */
static void press_buttons(struct inputs_channel *in, int wheel)
{
    if (!in->session->server->client_mouse)
        input_motion(input_of(in), 0, 0, wheel, in->buttons);
    else if (agent_port_can_point(agent_of(in)))
        agent_port_press(agent_of(in), in->buttons, wheel);
    else
        input_position(input_of(in), in->display, in->x, in->y, wheel, in->buttons);
}

/* A client that goes must leave no key stuck. */
static void release_all(struct inputs_channel *in)
{
    for (unsigned e0 = 0; e0 < 2; e0++)
        for (unsigned code = 0; code < 128; code++) {
            if (!in->held[e0][code])
                continue;
            if (e0)
                press(in, 0xe0);
            press(in, code | 0x80);
        }
    if (in->buttons) {
        in->buttons = 0;
        press_buttons(in, 0);
    }
}

/* The client's locks differ from the guest's: press the keys that make them equal. */
static void take_modifiers(struct inputs_channel *in, unsigned wanted)
{
    static const struct {
        unsigned led;
        uint8_t code;
    } locks[] = {{INPUT_LED_SCROLL, 0x46}, {INPUT_LED_NUM, 0x45}, {INPUT_LED_CAPS, 0x3a}};

    for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
        if (!((wanted ^ in->locks) & locks[i].led) || in->held[0][locks[i].code])
            continue;
        take_scancode(in, locks[i].code);
        take_scancode(in, locks[i].code | 0x80);
        in->locks ^= locks[i].led;
    }
}

static_assert((int)INPUT_LED_SCROLL == SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK &&
                  (int)INPUT_LED_NUM == SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK &&
                  (int)INPUT_LED_CAPS == SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK,
              "LED bits pass through unchanged");

void inputs_channel_send_leds(struct channel *ch, unsigned leds)
{
    struct spice_msg_inputs_key_modifiers msg = {leds};

    container_of(ch, struct inputs_channel, base)->locks = leds;
    channel_send(ch, SPICE_MSG_INPUTS_KEY_MODIFIERS, &msg);
}

static void send_init(struct inputs_channel *in)
{
    const struct spice_msg_inputs_key_modifiers msg = {input_of(in)->leds};

    in->locks = msg.modifiers;
    channel_send(&in->base, SPICE_MSG_INPUTS_INIT, &msg);
}

/* --- the mouse --- */

static void acknowledge(struct inputs_channel *in)
{
    for (; in->motions >= SPICE_INPUT_MOTION_ACK_BUNCH && in->base.phase == CHANNEL_LIVE && !in->base.closed;
         in->motions -= SPICE_INPUT_MOTION_ACK_BUNCH)
        channel_send(&in->base, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK, NULL);
}

static void acknowledge_motion(struct inputs_channel *in)
{
    in->motions = MIN(in->motions + 1, MIGRATE_MAX_UNTOLD);
    acknowledge(in);
}

static void take_motion(struct inputs_channel *in, const struct spice_msgc_inputs_mouse_motion *m)
{
    acknowledge_motion(in);
    in->buttons = m->buttons_state & BUTTONS;
    if (!in->session->server->client_mouse)
        input_motion(input_of(in), m->dx, m->dy, 0, in->buttons);
}

/* A pixel of 0..size-1 as the seam's 0..MAX_POSITION. */
static unsigned scale(uint32_t pixel, unsigned size)
{
    if (size < 2)
        return 0;
    return (uint64_t)MIN(pixel, size - 1) * MAX_POSITION / (size - 1);
}

static void take_position(struct inputs_channel *in,
                          const struct spice_msgc_inputs_mouse_position *m)
{
    const struct spice_server *server = in->session->server;
    uint32_t display = m->display_id, x = m->x, y = m->y;
    const struct display_port *port = server_locate(server, &display, &x, &y);
    const struct display_layout *layout;

    acknowledge_motion(in);
    if (!port)
        return;
    layout = display_port_layout(port);
    in->buttons = m->buttons_state & BUTTONS;
    if (server->client_mouse && agent_port_can_point(server->agent)) {
        agent_port_point(server->agent, m->display_id, m->x, m->y, in->buttons);
        return;
    }
    in->display = display;
    in->x = scale(x, layout->width);
    in->y = scale(y, layout->height);
    if (server->client_mouse)
        input_position(input_of(in), in->display, in->x, in->y, 0, in->buttons);
}

static void take_button(struct inputs_channel *in, const struct spice_msgc_inputs_mouse_button *m,
                        bool down)
{
    int wheel = !down                                  ? 0
                : m->button == SPICE_MOUSE_BUTTON_UP   ? -1
                : m->button == SPICE_MOUSE_BUTTON_DOWN ? 1
                                                       : 0;

    in->buttons = m->buttons_state & BUTTONS;
    press_buttons(in, wheel);
}

static void tell_displays(struct spice_server *server)
{
    for (size_t i = 0; i < SERVER_MAX_DISPLAYS; i++)
        if (server->ports[i])
            display_port_input(server->ports[i]);
}

static void take_message(struct channel *ch, unsigned id, const void *msg)
{
    struct inputs_channel *in = container_of(ch, struct inputs_channel, base);

    if (in->session->view_only) {
        if (id == SPICE_MSGC_INPUTS_MOUSE_MOTION || id == SPICE_MSGC_INPUTS_MOUSE_POSITION)
            acknowledge_motion(in);
        return;
    }
    tell_displays(in->session->server);
    switch (id) {
    case SPICE_MSGC_INPUTS_KEY_DOWN:
    case SPICE_MSGC_INPUTS_KEY_UP:
        take_key(in, ((const struct spice_msgc_inputs_key *)msg)->code);
        break;
    case SPICE_MSGC_INPUTS_KEY_SCANCODE:
        take_scancodes(in, msg);
        break;
    case SPICE_MSGC_INPUTS_KEY_MODIFIERS:
        take_modifiers(in, ((const struct spice_msg_inputs_key_modifiers *)msg)->modifiers);
        break;
    case SPICE_MSGC_INPUTS_MOUSE_MOTION:
        take_motion(in, msg);
        break;
    case SPICE_MSGC_INPUTS_MOUSE_POSITION:
        take_position(in, msg);
        break;
    case SPICE_MSGC_INPUTS_MOUSE_PRESS:
    case SPICE_MSGC_INPUTS_MOUSE_RELEASE:
        take_button(in, msg, id == SPICE_MSGC_INPUTS_MOUSE_PRESS);
        break;
    }
}

/* --- to and from another server --- */

static int save(struct channel *ch, struct writer *w)
{
    const struct inputs_channel *in = container_of(ch, struct inputs_channel, base);
    struct migrate_inputs state = {
        .prefix = in->prefix,
        .buttons = in->buttons,
        .x = in->x,
        .y = in->y,
        .display = in->display,
        .untold = in->motions,
        .pending_count = in->pending_count,
        .pending = in->pending,
    };

    static_assert(MIGRATE_HELD_BYTES * 8 == sizeof(in->held));
    for (unsigned i = 0; i < sizeof(in->held); i++)
        state.held[i / 8] |= in->held[i / 128][i % 128] << i % 8;
    return migrate_data_encode(SPICE_CHANNEL_INPUTS, &state, w);
}

/* What is held there is held here: the guest is the same. Who may only look holds nothing, whatever he says. */
static void restore_held(struct inputs_channel *in, const struct migrate_inputs *state)
{
    for (unsigned i = 0; i < sizeof(in->held); i++)
        in->held[i / 128][i % 128] = state->held[i / 8] >> i % 8 & 1;
    in->prefix = state->prefix;
    in->buttons = state->buttons;
    in->x = state->x;
    in->y = state->y;
    in->display = state->display;
    for (uint32_t i = 0; i < state->pending_count; i++)
        press(in, state->pending[i]);
}

static bool restore(struct channel *ch, const void *data)
{
    struct inputs_channel *in = container_of(ch, struct inputs_channel, base);
    const struct migrate_inputs *state = data;

    if (state->buttons & ~BUTTONS || state->x > MAX_POSITION || state->y > MAX_POSITION ||
        state->display >= SERVER_MAX_DISPLAYS)
        return false;
    if (!in->session->view_only)
        restore_held(in, state);
    in->motions = state->untold;
    acknowledge(in);
    if (!ch->closed)
        inputs_channel_send_leds(ch, input_of(in)->leds);
    return true;
}

void inputs_channel_arrive(struct channel *ch)
{
    struct inputs_channel *in = container_of(ch, struct inputs_channel, base);

    if (ch->phase != CHANNEL_ARRIVING)
        return;
    channel_arrive(ch);
    send_init(in);
}

static void closed(struct channel *ch)
{
    struct inputs_channel *in = container_of(ch, struct inputs_channel, base);

    if (ch->phase != CHANNEL_LEFT) /* they are held at another server now */
        release_all(in);
    in->session->inputs = NULL;
}

static void free_channel(struct channel *ch)
{
    free(container_of(ch, struct inputs_channel, base));
}

static const struct channel_ops inputs_ops = {take_message, NULL, save, restore, closed, free_channel};

void inputs_channel_create(struct session *session, const struct channel_params *params)
{
    struct inputs_channel *in = calloc(1, sizeof(*in));

    if (!in) {
        stream_close(params->stream);
        return;
    }
    in->session = session;
    if (channel_init(&in->base, &inputs_ops, session->server->loop, params)) {
        free(in);
        return;
    }
    session->inputs = &in->base;
    send_init(in);
}

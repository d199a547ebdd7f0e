#include "devices/platform/ps2.h"

#include "backend/input.h"

#include <errno.h>

enum {
    REPLY_ACK = 0xfa,
    REPLY_NAK = 0xfe,
    REPLY_PASSED = 0xaa,
};

enum {
    SCALING_1 = 0xe6,
    SCALING_2 = 0xe7,
    SET_RESOLUTION = 0xe8,
    GET_STATUS = 0xe9,
    STREAM_MODE = 0xea,
    READ_DATA = 0xeb,
    WRAP_END = 0xec,
    WRAP_MODE = 0xee,
    REMOTE_MODE = 0xf0,
    IDENTIFY = 0xf2,
    SET_RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESEND = 0xfe,
    RESET = 0xff,
};

enum { PACKET_FIXED = 0x08, PACKET_X_SIGN = 0x10, PACKET_Y_SIGN = 0x20 };
enum { STATUS_DOUBLE = 0x10, STATUS_ENABLED = 0x20, STATUS_REMOTE = 0x40 };

#define RATE_DEFAULT       100
#define RESOLUTION_DEFAULT 2
#define MOTION_MAX         (1 << 20) /* what may wait, so that sums cannot overflow */
#define WHEEL_MAX          1000
/* Motion waits and adds up while the host has this many bytes to take; changes of buttons are queued at once. */
#define QUEUE_MOTION 8
#define QUEUE_BUTTON (PS2_QUEUE_SIZE - 32)

static void set_defaults(struct ps2_mouse *mouse)
{
    mouse->resolution = RESOLUTION_DEFAULT;
    mouse->rates[2] = RATE_DEFAULT;
    mouse->enabled = mouse->remote = mouse->wrap = mouse->double_scale = false;
    mouse->dx = mouse->dy = mouse->wheel = 0;
}

void ps2_mouse_reset(struct ps2_mouse *mouse)
{
    *mouse = (struct ps2_mouse){.id = PS2_MOUSE};
    set_defaults(mouse);
}

static void answer(struct ps2_mouse *mouse, uint8_t byte)
{
    ps2_queue_put(&mouse->queue, &byte, 1);
}

/* --- packets --- */

/* Takes from *sum what fits into limit. */
static int take(int *sum, int limit)
{
    int part = CLAMP(*sum, -limit, limit);

    *sum -= part;
    return part;
}

/* Scaling 2:1: small steps stay small. */
static int scale(const struct ps2_mouse *mouse, int v)
{
    static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
    int size = v < 0 ? -v : v;

    if (!mouse->double_scale || mouse->remote)
        return v;
    size = size < (int)ARRAY_SIZE(small) ? small[size] : MIN(2 * size, 255);
    return v < 0 ? -size : size;
}

/* The fourth byte: the whole wheel, or four bits of it and two buttons. */
static uint8_t wheel_byte(struct ps2_mouse *mouse)
{
    if (mouse->id == PS2_INTELLIMOUSE)
        return (uint8_t)take(&mouse->wheel, 127);
    return (uint8_t)((take(&mouse->wheel, 7) & 15) | (mouse->buttons & 0x18) << 1);
}

static void put_packet(struct ps2_mouse *mouse)
{
    int dx = scale(mouse, take(&mouse->dx, 255)), dy = -scale(mouse, take(&mouse->dy, 255));
    uint8_t packet[4] = {
        (uint8_t)(PACKET_FIXED | (mouse->buttons & 7) | (dx < 0 ? PACKET_X_SIGN : 0) |
                  (dy < 0 ? PACKET_Y_SIGN : 0)),
        (uint8_t)dx,
        (uint8_t)dy,
    };

    if (mouse->id == PS2_MOUSE)
        mouse->wheel = 0;
    else
        packet[3] = wheel_byte(mouse);
    mouse->told_buttons = mouse->buttons;
    ps2_queue_put(&mouse->queue, packet, mouse->id == PS2_MOUSE ? 3 : 4);
}

static bool has_news(const struct ps2_mouse *mouse)
{
    return mouse->dx || mouse->dy || mouse->wheel || mouse->buttons != mouse->told_buttons;
}

void ps2_mouse_continue(struct ps2_mouse *mouse)
{
    if (!mouse->enabled || mouse->remote)
        return;
    while (has_news(mouse) &&
           mouse->queue.count <
               (mouse->buttons != mouse->told_buttons ? QUEUE_BUTTON : QUEUE_MOTION))
        put_packet(mouse);
}

static uint8_t button_bits(unsigned buttons)
{
    static const uint8_t order[] = {INPUT_LEFT, INPUT_RIGHT, INPUT_MIDDLE, INPUT_SIDE, INPUT_EXTRA};
    uint8_t bits = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(order); i++)
        if (buttons & (1u << order[i]))
            bits |= (uint8_t)(1u << i);
    return bits;
}

static int add(int sum, int delta, int limit)
{
    return CLAMP(sum + CLAMP(delta, -limit, limit), -limit, limit);
}

void ps2_mouse_motion(struct ps2_mouse *mouse, int dx, int dy, int wheel, unsigned buttons)
{
    mouse->buttons = button_bits(buttons);
    if (!mouse->enabled)
        return;
    mouse->dx = add(mouse->dx, dx, MOTION_MAX);
    mouse->dy = add(mouse->dy, dy, MOTION_MAX);
    mouse->wheel = add(mouse->wheel, wheel, WHEEL_MAX);
    ps2_mouse_continue(mouse);
}

/* --- from the host --- */

/* Two sequences of sample rates ask a wheel mouse to show itself as one. */
static void set_rate(struct ps2_mouse *mouse, uint8_t rate)
{
    static const uint8_t wheel[] = {200, 100, 80}, explorer[] = {200, 200, 80};

    mouse->rates[0] = mouse->rates[1];
    mouse->rates[1] = mouse->rates[2];
    mouse->rates[2] = rate;
    if (memcmp(mouse->rates, wheel, 3) == 0)
        mouse->id = PS2_INTELLIMOUSE;
    else if (memcmp(mouse->rates, explorer, 3) == 0)
        mouse->id = PS2_EXPLORER;
}

static void take_parameter(struct ps2_mouse *mouse, uint8_t byte)
{
    if (mouse->command == SET_RATE)
        set_rate(mouse, byte);
    else
        mouse->resolution = byte;
    mouse->command = 0;
    answer(mouse, REPLY_ACK);
}

static void tell_status(struct ps2_mouse *mouse)
{
    uint8_t buttons = mouse->buttons;
    uint8_t status[] = {
        REPLY_ACK,
        (uint8_t)((mouse->remote ? STATUS_REMOTE : 0) | (mouse->enabled ? STATUS_ENABLED : 0) |
                  (mouse->double_scale ? STATUS_DOUBLE : 0) | (buttons & 1) << 2 |
                  (buttons & 4) >> 1 | (buttons & 2) >> 1),
        mouse->resolution,
        mouse->rates[2],
    };

    ps2_queue_put(&mouse->queue, status, sizeof(status));
}

static void reset_command(struct ps2_mouse *mouse)
{
    static const uint8_t replies[] = {REPLY_ACK, REPLY_PASSED, PS2_MOUSE};
    uint8_t buttons = mouse->buttons;

    ps2_mouse_reset(mouse);
    mouse->buttons = mouse->told_buttons = buttons;
    ps2_queue_put(&mouse->queue, replies, sizeof(replies));
}

/* Commands that only set something. False: the byte is none of them. */
static bool set_mode(struct ps2_mouse *mouse, uint8_t byte)
{
    switch (byte) {
    case SCALING_1:
    case SCALING_2:
        mouse->double_scale = byte == SCALING_2;
        return true;
    case STREAM_MODE:
    case REMOTE_MODE:
        mouse->remote = byte == REMOTE_MODE;
        return true;
    case WRAP_MODE:
    case WRAP_END:
        mouse->wrap = byte == WRAP_MODE;
        return true;
    case ENABLE:
    case DISABLE:
        mouse->enabled = byte == ENABLE;
        mouse->told_buttons = mouse->buttons;
        return true;
    case DEFAULTS:
        set_defaults(mouse);
        return true;
    case SET_RESOLUTION:
    case SET_RATE:
        mouse->command = byte;
        return true;
    default:
        return false;
    }
}

static void take_command(struct ps2_mouse *mouse, uint8_t byte)
{
    switch (byte) {
    case GET_STATUS:
        tell_status(mouse);
        break;
    case READ_DATA:
        answer(mouse, REPLY_ACK);
        put_packet(mouse);
        break;
    case IDENTIFY:
        answer(mouse, REPLY_ACK);
        answer(mouse, mouse->id);
        break;
    case RESEND:
        answer(mouse, mouse->queue.last);
        break;
    case RESET:
        reset_command(mouse);
        break;
    default:
        answer(mouse, set_mode(mouse, byte) ? REPLY_ACK : REPLY_NAK);
    }
}

void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte)
{
    if (mouse->wrap && byte != WRAP_END && byte != RESET)
        answer(mouse, byte);
    else if (mouse->command)
        take_parameter(mouse, byte);
    else
        take_command(mouse, byte);
}

/* --- saved state --- */

void ps2_mouse_save(const struct ps2_mouse *mouse, struct writer *w)
{
    ps2_queue_save(&mouse->queue, w);
    writer_u8(w, mouse->command);
    writer_u8(w, mouse->id);
    writer_bytes(w, mouse->rates, sizeof(mouse->rates));
    writer_u8(w, mouse->resolution);
    writer_u8(w, mouse->enabled);
    writer_u8(w, mouse->remote);
    writer_u8(w, mouse->wrap);
    writer_u8(w, mouse->double_scale);
    writer_u8(w, mouse->told_buttons);
}

int ps2_mouse_load(struct ps2_mouse *mouse, struct reader *r)
{
    int err = ps2_queue_load(&mouse->queue, r);
    unsigned i;

    mouse->command = reader_u8(r);
    mouse->id = reader_u8(r);
    for (i = 0; i < ARRAY_SIZE(mouse->rates); i++)
        mouse->rates[i] = reader_u8(r);
    mouse->resolution = reader_u8(r);
    mouse->enabled = reader_u8(r);
    mouse->remote = reader_u8(r);
    mouse->wrap = reader_u8(r);
    mouse->double_scale = reader_u8(r);
    mouse->told_buttons = reader_u8(r);
    mouse->dx = mouse->dy = mouse->wheel = 0;
    return err || r->bad ? -EINVAL : 0;
}

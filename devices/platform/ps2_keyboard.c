#include "devices/platform/ps2.h"

#include <errno.h>

#define SET2_RELEASE 0xf0
#define SET1_RELEASE 0x80

enum {
    REPLY_ECHO = 0xee,
    REPLY_ACK = 0xfa,
    REPLY_RESEND = 0xfe,
    REPLY_PASSED = 0xaa,
};

enum {
    SET_LEDS = 0xed,
    ECHO = 0xee,
    SCAN_CODE_SET = 0xf0,
    IDENTIFY = 0xf2,
    SET_TYPEMATIC = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    ALL_KEYS_FIRST = 0xf7, /* f7-fd concern set 3 alone */
    ALL_KEYS_LAST = 0xfd,
    RESEND = 0xfe,
    RESET = 0xff,
};

#define TYPEMATIC_DEFAULT 0x2b /* 10.9 characters a second after 500 ms */

/* Room that keys leave for answers, and that presses leave for releases: better a key lost than one that sticks. */
#define ANSWER_ROOM  32
#define RELEASE_ROOM 96

static const uint8_t set1[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

uint8_t ps2_set1_of_set2(uint8_t code)
{
    return code < ARRAY_SIZE(set1) ? set1[code] : code;
}

/* The inverse. Where two codes of set 2 mean the same key, keyboards send the higher one (F7, SysRq). */
static uint8_t set2_of_set1(uint8_t code)
{
    unsigned i;

    for (i = ARRAY_SIZE(set1); i-- > 0;)
        if (set1[i] == code)
            return (uint8_t)i;
    return code;
}

void ps2_keyboard_reset(struct ps2_keyboard *keyboard)
{
    *keyboard = (struct ps2_keyboard){.set = 2, .typematic = TYPEMATIC_DEFAULT, .scanning = true};
}

static void answer(struct ps2_keyboard *keyboard, uint8_t byte)
{
    ps2_queue_put(&keyboard->queue, &byte, 1);
}

static void set_defaults(struct ps2_keyboard *keyboard)
{
    ps2_queue_clear(&keyboard->queue);
    keyboard->set = 2;
    keyboard->typematic = TYPEMATIC_DEFAULT;
}

/* --- from the host --- */

static bool set_leds(struct ps2_keyboard *keyboard, uint8_t leds)
{
    bool changed = keyboard->leds != (leds & 7);

    keyboard->leds = leds & 7;
    answer(keyboard, REPLY_ACK);
    return changed;
}

/* 0 asks for the set in use; set 3 does not exist here. */
static void choose_set(struct ps2_keyboard *keyboard, uint8_t set)
{
    if (set > 2) {
        answer(keyboard, REPLY_RESEND);
        return;
    }
    answer(keyboard, REPLY_ACK);
    if (set)
        keyboard->set = set;
    else
        answer(keyboard, keyboard->set);
}

static bool take_parameter(struct ps2_keyboard *keyboard, uint8_t byte)
{
    uint8_t command = keyboard->command;

    keyboard->command = 0;
    switch (command) {
    case SET_LEDS:
        return set_leds(keyboard, byte);
    case SCAN_CODE_SET:
        choose_set(keyboard, byte);
        return false;
    default: /* SET_TYPEMATIC; the user's side repeats keys by itself */
        keyboard->typematic = byte;
        answer(keyboard, REPLY_ACK);
        return false;
    }
}

static void identify(struct ps2_keyboard *keyboard)
{
    static const uint8_t id[] = {REPLY_ACK, 0xab, 0x83};

    ps2_queue_put(&keyboard->queue, id, sizeof(id));
}

static bool reset_command(struct ps2_keyboard *keyboard)
{
    static const uint8_t replies[] = {REPLY_ACK, REPLY_PASSED};
    bool lit = keyboard->leds != 0;

    ps2_keyboard_reset(keyboard);
    ps2_queue_put(&keyboard->queue, replies, sizeof(replies));
    return lit;
}

static bool take_command(struct ps2_keyboard *keyboard, uint8_t byte)
{
    switch (byte) {
    case SET_LEDS:
    case SCAN_CODE_SET:
    case SET_TYPEMATIC:
        keyboard->command = byte;
        answer(keyboard, REPLY_ACK);
        break;
    case ECHO:
        answer(keyboard, REPLY_ECHO);
        break;
    case IDENTIFY:
        identify(keyboard);
        break;
    case ENABLE:
        keyboard->scanning = true;
        answer(keyboard, REPLY_ACK);
        break;
    case DISABLE:
    case DEFAULTS:
        set_defaults(keyboard);
        keyboard->scanning = byte == DEFAULTS;
        answer(keyboard, REPLY_ACK);
        break;
    case ALL_KEYS_FIRST ... ALL_KEYS_LAST:
        answer(keyboard, REPLY_ACK);
        break;
    case RESEND:
        answer(keyboard, keyboard->queue.last);
        break;
    case RESET:
        return reset_command(keyboard);
    default:
        answer(keyboard, REPLY_RESEND);
    }
    return false;
}

bool ps2_keyboard_write(struct ps2_keyboard *keyboard, uint8_t byte)
{
    /* Parameters are below 0x80; anything else is a new command. */
    if (keyboard->command && byte < 0x80)
        return take_parameter(keyboard, byte);
    keyboard->command = 0;
    return take_command(keyboard, byte);
}

/* --- from the user --- */

/* Appends one code of set 1 as the keyboard's set has it. */
static unsigned convert(const struct ps2_keyboard *keyboard, uint8_t code, uint8_t *out)
{
    bool prefix = code == 0xe0 || code == 0xe1;
    unsigned n = 0;

    if (keyboard->set == 1 || prefix) {
        out[n++] = code;
        return n;
    }
    if (code & SET1_RELEASE)
        out[n++] = SET2_RELEASE;
    out[n++] = set2_of_set1(code & ~SET1_RELEASE);
    return n;
}

/* Codes before the last of a key: e0, or of Pause e1 and the first of its pair. */
static bool is_incomplete(const struct ps2_keyboard *keyboard, uint8_t code)
{
    if (keyboard->prefix_count == 0)
        return code == 0xe0 || code == 0xe1;
    return keyboard->prefix[0] == 0xe1 && keyboard->prefix_count == 1;
}

void ps2_keyboard_scancode(struct ps2_keyboard *keyboard, uint8_t code)
{
    uint8_t bytes[8];
    unsigned i, n = 0, room = PS2_QUEUE_SIZE - keyboard->queue.count;
    bool release = code & SET1_RELEASE;

    if (is_incomplete(keyboard, code)) {
        keyboard->prefix[keyboard->prefix_count++] = code;
        return;
    }
    for (i = 0; i < keyboard->prefix_count; i++)
        n += convert(keyboard, keyboard->prefix[i], bytes + n);
    n += convert(keyboard, code, bytes + n);
    keyboard->prefix_count = 0;
    if (keyboard->scanning && room >= ANSWER_ROOM + (release ? n : RELEASE_ROOM))
        ps2_queue_put(&keyboard->queue, bytes, n);
}

/* --- saved state --- */

void ps2_keyboard_save(const struct ps2_keyboard *keyboard, struct writer *w)
{
    ps2_queue_save(&keyboard->queue, w);
    writer_u8(w, keyboard->command);
    writer_u8(w, keyboard->set);
    writer_u8(w, keyboard->typematic);
    writer_u8(w, keyboard->leds);
    writer_u8(w, keyboard->scanning);
}

int ps2_keyboard_load(struct ps2_keyboard *keyboard, struct reader *r)
{
    int err = ps2_queue_load(&keyboard->queue, r);

    keyboard->command = reader_u8(r);
    keyboard->set = reader_u8(r);
    keyboard->typematic = reader_u8(r);
    keyboard->leds = reader_u8(r) & 7;
    keyboard->scanning = reader_u8(r);
    keyboard->prefix_count = 0;
    return err || r->bad ? -EINVAL : 0;
}

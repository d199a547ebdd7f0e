/*
 * input.h - the seam between input devices (PS/2, later USB) and whoever has a user: the SPICE server, control.
 *
 * A device registers a sink for what it takes; the newest sink that takes an event gets it. Thread: the main loop.
 */
#ifndef BACKEND_INPUT_H
#define BACKEND_INPUT_H

#include "base/base.h"

#include <sys/queue.h>

enum input_button {
    INPUT_LEFT,
    INPUT_MIDDLE,
    INPUT_RIGHT,
    INPUT_WHEEL_UP,
    INPUT_WHEEL_DOWN,
    INPUT_SIDE,
    INPUT_EXTRA,
};

enum { INPUT_LED_SCROLL = 1, INPUT_LED_NUM = 2, INPUT_LED_CAPS = 4 };

struct input_sink {
    /* One byte of scan code set 1, as a keyboard sends it: e0 prefixes, bit 7 for release. NULL: not a keyboard. */
    void (*scancode)(struct input_sink *sink, uint8_t code);
    /* Relative motion in pixels, wheel in notches (down positive), buttons as bits 1 << enum input_button held. */
    void (*motion)(struct input_sink *sink, int dx, int dy, int wheel, unsigned buttons);
    /* Absolute position in 0..32767 of display `display`. NULL: no absolute pointer. */
    void (*position)(struct input_sink *sink, unsigned display, unsigned x, unsigned y, int wheel, unsigned buttons);
    TAILQ_ENTRY(input_sink) link;
};

/* Told when the keyboard's LEDs or the presence of an absolute pointer change. */
struct input_listener {
    void (*leds)(struct input_listener *listener, unsigned leds); /* INPUT_LED_* */
    void (*absolute)(struct input_listener *listener, bool present);
    TAILQ_ENTRY(input_listener) link;
};

struct input {
    TAILQ_HEAD(, input_sink) sinks;
    TAILQ_HEAD(, input_listener) listeners;
    unsigned leds;
};

void input_init(struct input *input);
void input_add_sink(struct input *input, struct input_sink *sink);
void input_remove_sink(struct input *input, struct input_sink *sink);
void input_add_listener(struct input *input, struct input_listener *listener);
void input_remove_listener(struct input *input, struct input_listener *listener);
bool input_has_absolute(const struct input *input);

/* From the user's side. */
void input_scancode(struct input *input, uint8_t code);
void input_motion(struct input *input, int dx, int dy, int wheel, unsigned buttons);
void input_position(struct input *input, unsigned display, unsigned x, unsigned y, int wheel, unsigned buttons);
/* From the device's side. */
void input_set_leds(struct input *input, unsigned leds);

#endif

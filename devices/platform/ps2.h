/*
 * ps2.h - the keyboard and the mouse at the far end of the i8042's two ports.
 *
 * Each speaks the PS/2 byte protocol: the host writes commands and parameters, answers and events come back through a
 * queue. They know nothing of ports and interrupts; the controller (i8042.c) takes bytes out when it can.
 *
 * Thread: under the device lock.
 */
#ifndef DEVICES_PLATFORM_PS2_H
#define DEVICES_PLATFORM_PS2_H

#include "base/bytes.h"

#define PS2_QUEUE_SIZE 4096 /* pasted text reaches a guest that is slow to read it */

struct ps2_queue {
    uint8_t bytes[PS2_QUEUE_SIZE];
    unsigned first, count;
    uint8_t last; /* taken by the host: what a resend gives */
};

void ps2_queue_clear(struct ps2_queue *queue);
/* All of it or, without room, nothing. */
bool ps2_queue_put(struct ps2_queue *queue, const uint8_t *bytes, unsigned count);
/* There must be a byte. */
uint8_t ps2_queue_take(struct ps2_queue *queue);
void ps2_queue_save(const struct ps2_queue *queue, struct writer *w);
int ps2_queue_load(struct ps2_queue *queue, struct reader *r);

struct ps2_keyboard {
    struct ps2_queue queue;
    uint8_t command; /* that waits for its parameter, 0: none */
    uint8_t set;     /* of scan codes: 1 or 2 */
    uint8_t typematic;
    uint8_t leds; /* INPUT_LED_* */
    bool scanning;
    uint8_t prefix[2]; /* of the key being told by the user's side */
    unsigned prefix_count;
};

void ps2_keyboard_reset(struct ps2_keyboard *keyboard);
/* From the host; true if the LEDs changed. */
bool ps2_keyboard_write(struct ps2_keyboard *keyboard, uint8_t byte);
/* From the user: a byte of scan code set 1. A key that finds the queue full is lost as a whole. */
void ps2_keyboard_scancode(struct ps2_keyboard *keyboard, uint8_t code);
/* What a byte of set 2 is in set 1, as the controller translates. */
uint8_t ps2_set1_of_set2(uint8_t code);
void ps2_keyboard_save(const struct ps2_keyboard *keyboard, struct writer *w);
int ps2_keyboard_load(struct ps2_keyboard *keyboard, struct reader *r);

enum ps2_mouse_id { PS2_MOUSE = 0, PS2_INTELLIMOUSE = 3, PS2_EXPLORER = 4 };

struct ps2_mouse {
    struct ps2_queue queue;
    uint8_t command;
    uint8_t id;       /* enum ps2_mouse_id: what the host's knocking made of it */
    uint8_t rates[3]; /* the last ones set, newest last */
    uint8_t resolution;
    bool enabled, remote, wrap, double_scale;
    int dx, dy, wheel;             /* not reported yet; y grows downwards */
    uint8_t buttons, told_buttons; /* bits 0 left, 1 right, 2 middle, 3 side, 4 extra */
};

void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte);
/* Units and bits as in backend/input.h. */
void ps2_mouse_motion(struct ps2_mouse *mouse, int dx, int dy, int wheel, unsigned buttons);
/* Queue what had to wait, now that the host has taken bytes. */
void ps2_mouse_continue(struct ps2_mouse *mouse);
void ps2_mouse_save(const struct ps2_mouse *mouse, struct writer *w);
int ps2_mouse_load(struct ps2_mouse *mouse, struct reader *r);

#endif

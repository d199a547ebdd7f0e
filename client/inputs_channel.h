/*
 * inputs_channel.h - keyboard and mouse to the guest.
 *
 * Motion is paced: at most 8 messages are on their way unacknowledged; what moves meanwhile is added up and sent
 * with the acknowledgement, or before the next button.
 */
#ifndef CLIENT_INPUTS_CHANNEL_H
#define CLIENT_INPUTS_CHANNEL_H

#include "client/channel.h"

struct inputs_channel;

enum user_event_kind {
    USER_KEY,         /* key, down */
    USER_MOTION,      /* x, y: relative */
    USER_POSITION,    /* x, y: on that display, as SPICE_MSGC_INPUTS_MOUSE_POSITION has them */
    USER_BUTTON,      /* button: SPICE_MOUSE_BUTTON_*, down */
    USER_LOCKS,       /* key: SPICE_KEYBOARD_MODIFIER_FLAGS_* that are on here */
    USER_RELEASE_ALL, /* keys and buttons */
    USER_MONITORS,    /* screen->wanted has changed */
};

struct user_event {
    enum user_event_kind kind;
    uint16_t key; /* keymap.h */
    uint8_t button;
    uint8_t display;
    bool down;
    int32_t x, y;
};

int inputs_channel_open(struct session *s, uint8_t id, struct channel **channel);
/* Where it belongs; lost if the channel is not there. */
void session_event(struct session *s, const struct user_event *event);
/* The loop's thread. */
void inputs_event(struct inputs_channel *in, const struct user_event *event);

#endif

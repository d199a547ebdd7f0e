/* cursor_channel.h - the guest's cursor: its shape, its place, and a cache of shapes that the server refers to by id. */
#ifndef CLIENT_CURSOR_CHANNEL_H
#define CLIENT_CURSOR_CHANNEL_H

#include "client/channel.h"

int cursor_channel_open(struct session *s, uint8_t id, struct channel **channel);

#endif

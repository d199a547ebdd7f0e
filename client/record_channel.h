/*
 * record_channel.h - what the user speaks, for a guest that records: every 10 ms a packet, of Opus if the server knows it and
 * the rate allows it, else as it is.
 *
 * Nothing is sent, and no microphone opened, unless the user has allowed that (audio.h).
 */
#ifndef CLIENT_RECORD_CHANNEL_H
#define CLIENT_RECORD_CHANNEL_H

#include "client/channel.h"

struct record_stats {
    uint64_t packets, lost; /* lost: of what was spoken, as the server did not take it */
};

int record_channel_open(struct session *s, uint8_t id, struct channel **channel);
/* The user has said something else than before. */
void record_channel_permit(struct channel *c);
const struct record_stats *record_channel_stats(const struct channel *c);

#endif

/*
 * playback_channel.h - what the guest plays: samples as they are, or Opus, with the guest's volume.
 *
 * While it plays, what is heard says what the time is (session_heard()): pictures of films wait for their sound. Packets
 * that cannot be decoded are counted, made up for, and told of once.
 */
#ifndef CLIENT_PLAYBACK_CHANNEL_H
#define CLIENT_PLAYBACK_CHANNEL_H

#include "client/channel.h"
#include "spice/sound/jitter.h"

struct playback_stats {
    uint64_t packets, bad; /* bad: could not be decoded */
    double delay_ms;       /* of the last one, from its coming until it is heard */
    struct jitter_stats buffer;
};

int playback_channel_open(struct session *s, uint8_t id, struct channel **channel);
const struct playback_stats *playback_channel_stats(const struct channel *c);

#endif

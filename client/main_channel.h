/* main_channel.h - the first channel: the session's id, which other channels there are, mouse mode, name, agent. */
#ifndef CLIENT_MAIN_CHANNEL_H
#define CLIENT_MAIN_CHANNEL_H

#include "client/channel.h"

/* fd: a connected socket, taken over whatever happens. */
int main_channel_open(struct session *s, int fd, struct channel **channel);
/* The screen's `wanted` has changed: tell the guest's agent. */
int main_channel_layout_changed(struct channel *main_channel);
/* There may be something for the agent: files were added, or are to be cancelled. */
int main_channel_agent_go_on(struct channel *main_channel);

#endif

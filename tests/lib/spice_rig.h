/* spice_rig.h - a SPICE server with a fake display, in a loop thread, and a record of what its clients did. */
#ifndef TESTS_LIB_SPICE_RIG_H
#define TESTS_LIB_SPICE_RIG_H

#include "spice/server/server.h"
#include "tests/lib/fake_display.h"
#include "tests/lib/spice_peer.h"

struct rig {
    struct loop loop;
    struct fake_display display;
    struct input input;
    struct input_sink sink, tablet;
    struct spice_server *server;
    int port;
    char log[4096]; /* what arrived in the sinks; read it with rig_log() */
};

/* config may be NULL: any port, no password. Clients need not answer, unless it says how long they may take. */
void rig_start(struct rig *rig, const struct spice_config *config);
void rig_stop(struct rig *rig);
/* Run fn in the server's loop. */
void rig_call(struct rig *rig, void (*fn)(void *arg), void *arg);
void rig_set_tablet(struct rig *rig, bool on);
void rig_set_leds(struct rig *rig, unsigned leds);
/* Wait until the log is this text; then empty it. */
bool rig_log_is(struct rig *rig, const char *text);

/* Link a main channel and read its INIT; returns the session id. */
uint32_t rig_main(struct rig *rig, struct peer *p);
/* Link a further channel of the session. */
void rig_join(struct rig *rig, struct peer *p, unsigned channel, uint32_t session);
/* What a display peer keeps (DISPLAY_INIT). */
void rig_send_init(struct peer *p);
/* Both of a display channel. */
void rig_join_display(struct rig *rig, struct peer *p, uint32_t session);
/* Read display messages until the screen equals the source; false if it does not come to that within the time. */
bool rig_catch_up(struct rig *rig, struct peer *p, struct peer_screen *s);

/* A session whose channels come by `connect` (NULL: TCP) shows what is drawn, in pieces large and small. */
void rig_check_session(struct rig *rig, int (*connect)(int port));

/* Open descriptors of this process. */
int open_descriptors(void);
/* Wait until there are no more than that. */
void expect_descriptors(int count);

#endif

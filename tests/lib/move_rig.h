/*
 * move_rig.h - two servers, `here` and `there`, and clients that go from one to the other. Everything fails the test at
 * hand, by cmocka, if it is not as it should be.
 */
#ifndef TESTS_LIB_MOVE_RIG_H
#define TESTS_LIB_MOVE_RIG_H

#include "spice/server/migrate_data.h"
#include "tests/lib/spice_rig.h"

#define MOVE_CAPS                                                                                                      \
    (1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS | 1u << SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE |                        \
     1u << SPICE_MAIN_CAP_SEAMLESS_MIGRATE)
#define MOVE_QUIET_MS 100

extern struct rig here, there;

void move_start_rigs(const struct spice_config *config);
/* A cmocka setup and teardown. */
int move_start(void **state);
int move_stop(void **state);
/* Called in the loop of `there`: whether it expects sessions; NULL: not. */
void move_expect_sessions(void *on);

/* --- what the machine does --- */

struct move_step {
    int (*fn)(struct move_step *s);
    int err;
    bool done; /* what was begun is */
};

/* In the loop of `here`; s must live until it is done. Returns what fn, one of the three below, did. */
int move_step(struct move_step *s, int (*fn)(struct move_step *s));
int move_begin(struct move_step *s);
int move_finish(struct move_step *s);
int move_cancel(struct move_step *s);
bool move_is_done(const struct move_step *s);
void move_wait(const struct move_step *s);

/* --- what the client does --- */

enum { MAIN, DISPLAY, INPUTS, CURSOR, CHANNELS };

extern const unsigned move_types[CHANNELS];

struct move_client {
    uint32_t session;
    uint32_t caps;                     /* of the main channel; 0: MOVE_CAPS */
    const char *password;              /* NULL: none */
    struct peer at[CHANNELS], to[CHANNELS];
    struct spice_data state[CHANNELS]; /* owned */
};

void move_link(struct rig *rig, struct peer *p, unsigned type, uint32_t session, const char *password);
/* All channels, here. */
void move_come(struct move_client *c);
/* The very next message; it is the peer's until the next one. */
void *move_expect_next(struct peer *p, unsigned id);
void move_expect_silence(struct peer *p);
void move_expect_begin(struct move_client *c);
/* All channels there, silent so far. */
void move_connect(struct move_client *c, uint32_t version, unsigned answer);
/* A server wants it to go: it says that it heard, and then its state is the next that comes. */
void move_take_along(struct move_client *c, int i);
void move_bring(struct move_client *c, int i);
void move_close(struct peer p[CHANNELS]);
void move_leave(struct move_client *c);
/* Up to where it is ready to go; and all the way. */
void move_get_ready(struct move_client *c);
void move_go(struct move_client *c);
/* Both displays draw the same. */
void move_draw(const char *pattern);
void move_key(struct peer *p, unsigned id, uint32_t code);

#endif

/*
 * migrate_data.h - what a channel's next server must know of it, as bytes that the client carries there.
 *
 * Each channel has a struct, a table of its fields as messages have them, and a magic number and a version before it. The
 * client could write anything into it, so it holds nothing that lets him do more than he may: only what is right or wrong
 * about his own picture, keys and counts. What cannot be is refused: sizes and ranges here, the rest where it is used.
 *
 * What is not in it begins anew: the pictures that the client keeps are forgotten (their numbers are hashes by this server's
 * secret), its dictionary goes on empty, streams have ended, the cursor is sent again.
 */
#ifndef SPICE_SERVER_MIGRATE_DATA_H
#define SPICE_SERVER_MIGRATE_DATA_H

#include "spice/protocol/msg.h"
#include "spice/server/agent.h"

/* Of all channels' data together: said in MIGRATE_BEGIN_SEAMLESS; another one is answered with DST_SEAMLESS_NACK. Starts with
 * a number that no other server has, whose data would be of another form. */
#define MIGRATE_VERSION 0x6d766d04u

#define MIGRATE_MAX_TILES    4096
#define MIGRATE_MAX_CODECS   8
#define MIGRATE_HELD_BYTES   32
#define MIGRATE_MAX_PENDING  64
#define MIGRATE_MAX_CHUNKS   (AGENT_TOKENS * VD_AGENT_MAX_DATA_SIZE) /* bytes: all that a client may say unasked */
#define MIGRATE_MAX_UNTOLD   1024 /* tokens or motions that are still to be acknowledged */

struct migrate_main {
    uint8_t agent_told;    /* the client was told that there is an agent, */
    uint8_t agent_started; /* and said so */
    uint8_t agent_in_guest; /* it is not only this server */
    uint32_t mouse_mode;   /* SPICE_MOUSE_MODE_* in force */
    uint32_t agent_tokens; /* chunks that the client takes */
    uint32_t untold;       /* chunks of the client's that were taken: it can send as many again, and is to be told */
    /* The message to the agent that is not complete yet. */
    uint32_t skip;
    uint32_t have;
    const uint8_t *data;
    /* What came for the agent when this was no longer its machine: chunks one after the other. */
    uint32_t pending_count;
    const uint8_t *pending;
};

struct migrate_display {
    uint8_t initialised; /* DISPLAY_INIT came */
    uint8_t first;       /* the client's dictionary and cache are this channel's */
    uint8_t compression; /* SPICE_IMAGE_COMPRESSION_* */
    uint8_t codecs[MIGRATE_MAX_CODECS]; /* of videos, that the client prefers */
    uint32_t refused_codecs;            /* and that it could not show; bits */
    uint32_t cache;                     /* pixels of pictures that it keeps */
    uint32_t window;                    /* pixels of its dictionary */
    uint64_t next_picture;              /* in that */
    /* What it shows (shown.h). */
    uint32_t width, height; /* of its surface; 0 x 0: it has none */
    uint64_t secret;
    uint32_t tile_count;
    const uint64_t *tiles;
};

struct migrate_inputs {
    uint8_t held[MIGRATE_HELD_BYTES]; /* keys that are down: a bit for each, those without the e0 prefix first */
    uint8_t prefix;                   /* the last byte was e0 */
    uint32_t buttons;                 /* SPICE_MOUSE_BUTTON_MASK_* */
    uint32_t x, y, display;           /* the last position, as backend/input.h has it */
    uint32_t untold;                  /* motions that were not acknowledged */
    /* Scancodes that came too late for the guest there. */
    uint32_t pending_count;
    const uint8_t *pending;
};

struct migrate_cursor {
    uint8_t nothing;
};

/* Of both channels of sound. */
struct migrate_sound {
    uint8_t runs; /* a stream that the client was told of */
};

/* Append the state, one of the structs above. -ENOMEM, or another -errno for a state that cannot be. */
int migrate_data_encode(unsigned channel, const void *state, struct writer *w);
/* Valid as long as data and the arena. -EBADMSG: it is not of this channel and version, or cannot be; -ENOMEM */
int migrate_data_decode(unsigned channel, const void *data, size_t size, struct msg_arena *arena, void **state);

#endif

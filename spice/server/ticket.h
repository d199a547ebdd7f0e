/*
 * ticket.h - the password of the link stage: the client sends it encrypted with a public key of ours.
 *
 * A key serves those who come within a minute of its first use: then what it protects is worth little, and strangers cannot
 * make us work by connecting. A ticket is good once, so that one which was overheard is worth nothing. Keys take tens of
 * milliseconds to make: a worker thread makes the next one ahead. Without a password there is nothing to protect and one key
 * serves for good. Thread: the loop's.
 */
#ifndef SPICE_SERVER_TICKET_H
#define SPICE_SERVER_TICKET_H

#include "base/loop.h"

#include <spice/protocol.h>

struct ticket_key; /* counted */
struct ticket_keys;

/* `ready` is called in the loop whenever a key was made. */
struct ticket_keys *ticket_keys_create(struct loop *loop, void (*ready)(void *opaque), void *opaque);
/* No call to ready() follows. */
void ticket_keys_destroy(struct ticket_keys *keys);
/* The key for a connection, fresh if that matters; NULL: none is ready now. */
struct ticket_key *ticket_keys_take(struct ticket_keys *keys, bool fresh);

void ticket_key_put(struct ticket_key *key);
/* DER SubjectPublicKeyInfo */
const uint8_t *ticket_key_public(const struct ticket_key *key);

#define TICKET_PASSWORD_SIZE (SPICE_MAX_PASSWORD_LENGTH + 1)

/* What is in a ticket up to a NUL, and NULs; false: it was not encrypted for this key, is too long, or was used. */
bool ticket_key_open(struct ticket_key *key, const uint8_t ticket[SPICE_TICKET_KEY_PAIR_LENGTH / 8],
                     char given[TICKET_PASSWORD_SIZE]);
/* Whether that is this password; takes the same time for each wrong one. */
bool ticket_holds(const char given[TICKET_PASSWORD_SIZE], const char *password);
/* It has opened something: a ticket is good once. */
void ticket_key_use(struct ticket_key *key, const uint8_t ticket[SPICE_TICKET_KEY_PAIR_LENGTH / 8]);

#endif

/*
 * transfers.h - files on their way into the guest, by its agent (<spice/vd_agent.h>, VD_AGENT_FILE_XFER_*).
 *
 * All are announced, so that the guest can refuse what it has no room for; their bytes follow one file after the other.
 * What is sent is what the file had when it was added: one that becomes shorter is given up. When the agent goes, or the
 * connection, those that are not done begin anew with the next one. Thread: the session's loop.
 */
#ifndef CLIENT_TRANSFERS_H
#define CLIENT_TRANSFERS_H

#include "base/bytes.h"

#include <sys/queue.h>

#define TRANSFERS_MAX 1000 /* at a time */

struct transfer;

/* For people: of all since there was last nothing to do. */
struct transfer_progress {
    unsigned files, done, failed; /* failed ones are done too */
    uint64_t bytes, sent;
    char name[256];   /* the one that is sent now, or was last; UTF-8 */
    char reason[400]; /* why one has failed, the last; "" */
};

struct transfers {
    TAILQ_HEAD(, transfer) list; /* not done */
    uint32_t last_id;
    struct transfer_progress progress;
};

void transfers_init(struct transfers *t);
void transfers_fini(struct transfers *t);
/* A plain file, which is opened now. Errors with fail_text(); they are noted in the progress too. */
int transfers_add(struct transfers *t, const char *path);
static inline bool transfers_idle(const struct transfers *t)
{
    return TAILQ_EMPTY(&t->list);
}
/* All that is not done; the guest is told. */
void transfers_cancel(struct transfers *t);

/* For the agent. */
/* The next message to it, in an empty writer; false: there is none now. */
bool transfers_write(struct transfers *t, struct writer *w);
/* Body of VD_AGENT_FILE_XFER_STATUS. */
void transfers_status(struct transfers *t, const uint8_t *body, uint32_t size);
/* Whoever was told of them has gone. */
void transfers_restart(struct transfers *t);

#endif

/*
 * outbox.h - files on their way into the guest, by its agent (<spice/vd_agent.h>, VD_AGENT_FILE_XFER_*).
 *
 * All are announced, so that the guest can refuse what it has no room for; their bytes follow one file after the other.
 * What is sent is what the file had when it was added: one that becomes shorter is given up. When the agent goes, or the
 * connection, those that are not done begin anew with the next one. Thread: the session's loop.
 */
#ifndef CLIENT_OUTBOX_H
#define CLIENT_OUTBOX_H

#include "base/bytes.h"

#include <sys/queue.h>

#define OUTBOX_MAX 1000 /* at a time */

struct transfer;

/* For people: of all since there was last nothing to do. */
struct outbox_progress {
    unsigned files, done, failed; /* failed ones are done too */
    uint64_t bytes, sent;
    char name[256];   /* the one that is sent now, or was last; UTF-8 */
    char reason[400]; /* why one has failed, the last; "" */
};

struct outbox {
    TAILQ_HEAD(, transfer) list; /* not done */
    uint32_t last_id;
    struct outbox_progress progress;
};

void outbox_init(struct outbox *t);
void outbox_fini(struct outbox *t);
/* A plain file, which is opened now. Errors with fail_text(); they are noted in the progress too. */
int outbox_add(struct outbox *t, const char *path);
static inline bool outbox_idle(const struct outbox *t)
{
    return TAILQ_EMPTY(&t->list);
}
/* All that is not done; the guest is told. */
void outbox_cancel(struct outbox *t);

/* For the agent. */
/* The next message to it, in an empty writer; false: there is none now. */
bool outbox_write(struct outbox *t, struct writer *w);
/* Body of VD_AGENT_FILE_XFER_STATUS. */
void outbox_status(struct outbox *t, const uint8_t *body, uint32_t size);
/* Whoever was told of them has gone. */
void outbox_restart(struct outbox *t);

#endif

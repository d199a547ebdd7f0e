/*
 * transfer.h - files that the client sends, into one folder.
 *
 * A file is made anew, never over another, and never through a link; it is not executable. What does not come to its
 * end (an error, cancelled, the client gone) is removed. Thread: the loop's; the disk is waited for.
 */
#ifndef GUEST_AGENT_TRANSFER_H
#define GUEST_AGENT_TRANSFER_H

#include "base/base.h"

#include <limits.h>

#define TRANSFERS_MAX  64   /* at once */
#define TRANSFER_TRIES 1000 /* names, where there are files of that name */

typedef void transfer_send_fn(void *opaque, uint32_t type, const void *body, uint32_t size);

struct transfer;

struct transfers {
    const char *folder; /* NULL: files are not taken */
    transfer_send_fn *send;
    void *opaque;
    bool detailed; /* the client understands why */
    struct transfer *first;
    unsigned count;
    uint32_t stranger; /* of data for transfers that there are not, the last one that was answered, plus 1 */
};

void transfers_init(struct transfers *t, const char *folder, transfer_send_fn *send, void *opaque);
/* VD_AGENT_FILE_XFER_*. */
void transfers_message(struct transfers *t, uint32_t type, const uint8_t *body, uint32_t size);
/* The client has gone. */
void transfers_drop(struct transfers *t);

/* Where the user's downloads go, by xdg-user-dirs; folder[PATH_MAX]. The home, where there is no such folder. */
void download_folder(char *folder);

#endif

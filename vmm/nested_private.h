/* nested_private.h - what the parts of nested.h's outside share. */
#ifndef VMM_NESTED_PRIVATE_H
#define VMM_NESTED_PRIVATE_H

#include "base/loop.h"
#include "vmm/config.h"

#include <limits.h>
#include <sys/types.h>

#define NESTED_MAX_SHARES 16

/* --- nested_share.c: folders that the inside needs, with their own names --- */

struct nested_share {
    char path[PATH_MAX];
    bool writable;
    bool others; /* it, or a file in it that was named, is another user's than ours, or closed to us */
};

struct nested_shares {
    struct nested_share share[NESTED_MAX_SHARES];
    unsigned count;
};

/* Outer folders come before those inside them. Errors come with fail_text(). */
int nested_shares_collect(struct nested_shares *shares, const struct vm_config *config);

/* --- nested_lock.c: locks on images that come while the machine runs (relay_lock.h) --- */

#define NESTED_MAX_LOCKS 32

struct nested_locks {
    struct nested_lock {
        char *path; /* NULL: free */
        struct disk_hold *hold;
    } lock[NESTED_MAX_LOCKS];
};

/* Does what a request of the inside says; the size of the answer, of which there is RELAY_LOCK_SIZE at most. */
size_t nested_locks_serve(struct nested_locks *locks, const struct nested_shares *shares, const uint8_t *data,
                          size_t size, uint8_t *answer);
void nested_locks_fini(struct nested_locks *locks);

/* --- nested_initrd.c: what it boots --- */

/* A memfd with the initial RAM disk, of *size bytes, or -errno with fail_text(). folder: nested_host_folder() */
int nested_initrd_make(const char *folder, const struct vm_config *config, uint64_t *size);

/* --- nested_host.c: QEMU --- */

struct nested_host {
    pid_t pid;
    int port;     /* our end of the virtio-serial port */
    int console;  /* memfd: what the kernel inside printed */
    int messages; /* memfd: what QEMU said */
};

int nested_host_start(struct nested_host *host, const struct vm_config *config,
                      const struct nested_shares *shares);
/* Why it ended: the signal, or the last line that it left; "" if there is none. Waits a second for its end at most. */
const char *nested_host_last_words(struct nested_host *host, char *line, size_t size);
void nested_host_stop(struct nested_host *host);

/* --- nested_bridge.c: a character back end made into a descriptor --- */

struct nested_bridge;

/* What is read from *fd came from the back end `spec` (chardev_create), what is written there goes to it. */
int nested_bridge_create(struct nested_bridge **bridge, struct loop *loop, const char *spec,
                         int *fd);
/* Everything written to *fd has reached the back end. */
bool nested_bridge_idle(const struct nested_bridge *bridge);
void nested_bridge_destroy(struct nested_bridge *bridge); /* NULL is fine */

#endif

/* nested_lock.c - the outside's half of relay_lock.h: holds images for the machine inside. */
#include "base/bytes.h"
#include "base/error.h"
#include "devices/disk/lock.h"
#include "vmm/nested_private.h"
#include "vmm/relay_lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct request {
    uint8_t flags;
    const char *format, *path;
};

/* The inside runs a guest: what it says is checked. */
static bool parse(struct request *request, const uint8_t *data, size_t size)
{
    const char *format = (const char *)data + 1, *end = (const char *)data + size, *path;

    if (size < 3 || size > RELAY_LOCK_SIZE || end[-1])
        return false;
    path = format + strlen(format) + 1;
    *request = (struct request){data[0], format, path};
    return path < end && path + strlen(path) + 1 == end;
}

/* Only what the inside can open anyway: the folder that it lies in, and its path without symbolic links. */
static int find_share(const struct nested_shares *shares, const struct request *request, const char **folder,
                      char path[PATH_MAX])
{
    bool writes = !(request->flags & (RELAY_READ_ONLY | RELAY_SNAPSHOT));
    unsigned i;

    if (!realpath(request->path, path))
        return fail(-errno, "disk '%s': %s", request->path, strerror(errno));
    for (i = 0; i < shares->count; i++) {
        size_t length = strlen(shares->share[i].path);

        if (strncmp(path, shares->share[i].path, length) == 0 && path[length] == '/' &&
            (shares->share[i].writable || !writes)) {
            *folder = shares->share[i].path;
            return 0;
        }
    }
    return fail(-EACCES,
                "disk '%s' is in no folder that the software host shares%s; put it beside a disk of the command line, or "
                "where the socket of --control is",
                request->path, writes ? " for writing" : "");
}

static struct nested_lock *find(struct nested_locks *locks, const char *path)
{
    unsigned i;

    for (i = 0; i < NESTED_MAX_LOCKS; i++)
        if (locks->lock[i].path && strcmp(locks->lock[i].path, path) == 0)
            return &locks->lock[i];
    return NULL;
}

static struct nested_lock *find_free(struct nested_locks *locks)
{
    unsigned i;

    for (i = 0; i < NESTED_MAX_LOCKS; i++)
        if (!locks->lock[i].path)
            return &locks->lock[i];
    return NULL;
}

static void release(struct nested_lock *lock)
{
    disk_hold_destroy(lock->hold);
    free(lock->path);
    *lock = (struct nested_lock){0};
}

static int hold(struct nested_locks *locks, const struct nested_shares *shares, const struct request *request)
{
    char path[PATH_MAX];
    const char *folder = NULL;
    const struct disk_options options = {.path = path,
                                         .format = request->format,
                                         .read_only = request->flags & RELAY_READ_ONLY,
                                         .snapshot = request->flags & RELAY_SNAPSHOT};
    struct nested_lock *lock = find_free(locks);
    int err = find_share(shares, request, &folder, path);

    if (!err && !lock)
        err = fail(-ENOSPC, "disk '%s': the software host holds %d images already", request->path, NESTED_MAX_LOCKS);
    if (!err)
        err = disk_hold_create(&lock->hold, &options, folder); /* the guest may change what there is meanwhile */
    if (err)
        return err;
    lock->path = strdup(request->path);
    if (lock->path)
        return 0;
    release(lock);
    return fail(-ENOMEM, "disk '%s': out of memory", request->path);
}

size_t nested_locks_serve(struct nested_locks *locks, const struct nested_shares *shares, const uint8_t *data,
                          size_t size, uint8_t *answer)
{
    struct request request;
    struct nested_lock *lock;
    const char *words = "";
    int err = 0;

    if (!parse(&request, data, size)) {
        err = -EINVAL;
        words = "the request for a lock makes no sense";
    } else if (request.flags & RELAY_UNLOCK) {
        lock = find(locks, request.path);
        if (lock)
            release(lock);
    } else {
        err = hold(locks, shares, &request);
        words = err ? fail_text() : "";
    }
    store_le32(answer, (uint32_t)err);
    strcpy((char *)answer + 4, words);
    return 4 + strlen(words) + 1;
}

void nested_locks_fini(struct nested_locks *locks)
{
    unsigned i;

    for (i = 0; i < NESTED_MAX_LOCKS; i++)
        release(&locks->lock[i]);
}

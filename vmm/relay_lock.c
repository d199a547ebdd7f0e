#include "vmm/relay_lock.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static ssize_t ask(uint8_t flags, const char *format, const char *path, char *answer)
{
    char request[RELAY_LOCK_SIZE];
    int size = snprintf(request, sizeof(request), "%c%s%c%s", flags, format, 0, path);
    ssize_t n;

    if (size >= (int)sizeof(request))
        return -1;
    do
        n = send(RELAY_LOCK_FD, request, (size_t)size + 1, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return n;
    do
        n = recv(RELAY_LOCK_FD, answer, RELAY_LOCK_SIZE, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

int relay_lock(const struct disk_options *options)
{
    uint8_t flags = (options->read_only ? RELAY_READ_ONLY : 0) | (options->snapshot ? RELAY_SNAPSHOT : 0);
    char answer[RELAY_LOCK_SIZE];
    ssize_t n = ask(flags, options->format, options->path, answer);
    int err;

    if (n < 5 || answer[n - 1])
        return fail(-EIO, "disk '%s' cannot be locked: the software host does not answer", options->path);
    err = (int)load_le32(answer);
    return err ? fail(err, "%s", answer + 4) : 0;
}

void relay_unlock(const char *path)
{
    char answer[RELAY_LOCK_SIZE];

    ask(RELAY_UNLOCK, "", path, answer);
}

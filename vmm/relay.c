#include "vmm/relay.h"

#include "base/error.h"
#include "base/fd_message.h"
#include "base/host_file.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEER_MAX   64
#define MAX_SHARES 64

struct relay {
    listener_accepted *accepted;
    void *opaque;
    uv_poll_t poll;
    dev_t shares[MAX_SHARES]; /* folders of the outside that are seen in here */
    unsigned share_count;
};

/* By the table of mounts, as it is at the start: statfs() tells what the file system is on the outside. */
static void find_shares(struct relay *relay)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    const struct mntent *m;
    struct stat st;

    while (mounts && relay->share_count < MAX_SHARES && (m = getmntent(mounts)))
        if (strcmp(m->mnt_type, "9p") == 0 && stat(m->mnt_dir, &st) == 0)
            relay->shares[relay->share_count++] = st.st_dev;
    if (mounts)
        endmntent(mounts);
}

static bool is_shared(const struct relay *relay, const char *folder)
{
    struct stat st;
    bool found = false;

    if (host_stat(folder, &st))
        return false;
    for (unsigned i = 0; i < relay->share_count; i++)
        found |= relay->shares[i] == st.st_dev;
    return found;
}

int relay_check_output(const struct relay *relay, const char *path)
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof(copy), "%s", path);
    if (is_shared(relay, dirname(copy)))
        return 0;
    return fail(-EACCES,
                "'%s' is in no folder that the software host shares for writing; put it beside a "
                "disk of the command line, or where the socket of --control is",
                path);
}

int relay_send(int socket, int fd, const char *peer)
{
    return fd_send(socket, peer, MIN(strlen(peer), PEER_MAX - 1), fd);
}

/* The descriptor, or -1: nothing more now. */
static int receive(int socket, char *peer)
{
    int fd;
    ssize_t n = fd_receive(socket, peer, PEER_MAX - 1, MSG_DONTWAIT, &fd);

    peer[MAX(n, 0)] = 0;
    return fd;
}

static void on_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct relay *relay = poll->data;
    char peer[PEER_MAX], byte;
    int fd;

    while ((fd = receive(RELAY_FD, peer)) >= 0)
        relay->accepted(relay->opaque, fd, peer);
    if (recv(RELAY_FD, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        uv_poll_stop(poll);
}

int relay_create(struct relay **relay, struct loop *loop, listener_accepted *accepted, void *opaque)
{
    struct relay *r = calloc(1, sizeof(*r));
    int err = r ? uv_poll_init(&loop->uv, &r->poll, RELAY_FD) : -ENOMEM;

    if (err) {
        free(r);
        return fail(err, "--relayed is for use inside a software host only");
    }
    r->accepted = accepted;
    r->opaque = opaque;
    r->poll.data = r;
    find_shares(r);
    uv_poll_start(&r->poll, UV_READABLE, on_ready);
    *relay = r;
    return 0;
}

static void free_relay(uv_handle_t *handle)
{
    free(container_of(handle, struct relay, poll));
}

void relay_destroy(struct relay *relay)
{
    if (relay)
        uv_close((uv_handle_t *)&relay->poll, free_relay);
}

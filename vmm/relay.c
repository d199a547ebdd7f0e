#include "vmm/relay.h"

#include "base/error.h"

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

#define PEER_MAX 64

struct relay {
    listener_accepted *accepted;
    void *opaque;
    uv_poll_t poll;
};

/* Room for one descriptor. */
union ancillary {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* By the table of mounts: statfs() tells what the file system is on the outside. */
static bool is_shared(const char *folder)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    const struct mntent *m;
    struct stat wanted, mounted;
    bool exists = stat(folder, &wanted) == 0, found = false;

    while (mounts && exists && !found && (m = getmntent(mounts)))
        found = strcmp(m->mnt_type, "9p") == 0 && !stat(m->mnt_dir, &mounted) &&
                mounted.st_dev == wanted.st_dev;
    if (mounts)
        endmntent(mounts);
    return found;
}

int relay_check_output(const char *path)
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof(copy), "%s", path);
    if (is_shared(dirname(copy)))
        return 0;
    return fail(-EACCES,
                "'%s' is in no folder that the software host shares for writing; put it beside a "
                "disk of the command line, or where the socket of --control is",
                path);
}

int relay_send(int socket, int fd, const char *peer)
{
    union ancillary a = {0};
    struct iovec iov = {.iov_base = (char *)peer, .iov_len = MIN(strlen(peer), PEER_MAX - 1)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = a.bytes,
                         .msg_controllen = sizeof(a.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The descriptor, or -1: nothing more now. */
static int receive(int socket, char *peer)
{
    union ancillary a;
    struct iovec iov = {.iov_base = peer, .iov_len = PEER_MAX - 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = a.bytes,
                         .msg_controllen = sizeof(a.bytes)};
    ssize_t n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    int fd = -1;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof(int));
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

#include "vmm/broker.h"

#include "base/error.h"
#include "base/fd_message.h"
#include "base/host_file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "vmm/broker_private.h"
#include "vmm/jail.h"
#include "vmm/net_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct broker_link {
    int calls, events;
    pthread_mutex_t lock; /* one call at a time */
    struct jail *jail;
    uv_poll_t poll;
    bool watched;
    const struct broker_callbacks *callbacks;
    void *opaque;
};

/* The one that a signal's handler finds. */
static int reports = -1;

/* --- calls --- */

static int ask(struct broker_link *link, enum broker_call_kind kind, int flags, unsigned mode, const char *a, const char *b,
               struct broker_answer *answer)
{
    struct broker_call call = {.kind = kind, .flags = flags, .mode = mode};
    int fd = -1, err;

    if (snprintf(call.a, sizeof(call.a), "%s", a ? a : "") >= PATH_MAX ||
        snprintf(call.b, sizeof(call.b), "%s", b ? b : "") >= PATH_MAX)
        return -ENAMETOOLONG;
    pthread_mutex_lock(&link->lock);
    err = fd_send(link->calls, &call, sizeof(call), -1);
    if (!err && fd_receive(link->calls, answer, sizeof(*answer), MSG_WAITALL, &fd) != sizeof(*answer))
        err = -EPIPE;
    pthread_mutex_unlock(&link->lock);
    if (err)
        return err;
    answer->text[PATH_MAX - 1] = 0;
    return answer->result < 0 ? answer->result : MAX(fd, 0);
}

static int by_broker_open(void *link, const char *folder, const char *name, int flags, unsigned mode)
{
    struct broker_answer answer;

    return ask(link, BROKER_OPEN, flags, mode, folder, name, &answer);
}

static int by_broker_folder(void *link, const char *path, char real[PATH_MAX])
{
    struct broker_answer answer;
    int err = ask(link, BROKER_FOLDER, 0, 0, path, NULL, &answer);

    if (!err)
        memcpy(real, answer.text, PATH_MAX);
    return err;
}

static int by_broker_rename(void *link, const char *from, const char *to)
{
    struct broker_answer answer;

    return ask(link, BROKER_RENAME, 0, 0, from, to, &answer);
}

static int by_broker_unlink(void *link, const char *path)
{
    struct broker_answer answer;

    return ask(link, BROKER_UNLINK, 0, 0, path, NULL, &answer);
}

static const struct host_file_ops by_broker = {by_broker_open, by_broker_folder, by_broker_rename, by_broker_unlink};

void broker_know(struct broker_link *link, const char *path)
{
    struct broker_answer answer;

    if (link)
        ask(link, BROKER_KNOW, 0, 0, path, NULL, &answer);
}

int broker_listen(struct broker_link *link)
{
    struct broker_answer answer;
    int err = ask(link, BROKER_LISTEN, 0, 0, NULL, NULL, &answer);

    return err ? fail(err, "%s", answer.text) : 0;
}

int broker_close_jail(struct broker_link *link)
{
    struct broker_answer answer;
    int err;

    if (!link)
        return 0;
    for (unsigned i = 0; host_left(i); i++)
        ask(link, BROKER_UNLINK_AT_EXIT, 0, 0, host_left(i), NULL, &answer);
    err = ask(link, BROKER_SEAL, 0, 0, NULL, NULL, &answer);
    if (err)
        return fail(err, "sandbox: the broker: %s", strerror(-err));
    net_process_seal();
    host_files_by(&by_broker, link);
    return jail_close(link->jail);
}

/* --- events --- */

/* In a signal's handler. */
static void report_forbidden(const char *thread, int call, unsigned second)
{
    struct broker_event event = {.kind = BROKER_FORBIDDEN, .value = call, .second = second};

    for (size_t i = 0; i + 1 < sizeof(event.thread) && thread[i]; i++)
        event.thread[i] = thread[i];
    /* Every thread may write. */
    if (write(reports, &event, sizeof(event)) < 0)
        return;
}

static void on_event(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct broker_link *link = poll->data;
    struct broker_event event;
    int fd;
    ssize_t n = fd_receive(link->events, &event, sizeof(event), MSG_DONTWAIT, &fd);

    if (n == 0)
        _exit(RUN_FAILED); /* it has been killed: so are we, whom its death may not reach as a signal */
    else if (n == sizeof(event) && event.kind == BROKER_CONTROL && fd >= 0)
        link->callbacks->control(link->opaque, fd);
    else if (n == sizeof(event) && event.kind == BROKER_SIGNAL)
        link->callbacks->signal(link->opaque, event.value);
}

int broker_watch(struct broker_link *link, struct loop *loop, const struct broker_callbacks *callbacks, void *opaque)
{
    int err = link ? uv_poll_init(&loop->uv, &link->poll, link->events) : 0;

    if (!link || err)
        return err;
    link->callbacks = callbacks;
    link->opaque = opaque;
    link->poll.data = link;
    link->watched = true;
    return uv_poll_start(&link->poll, UV_READABLE, on_event);
}

void broker_unwatch(struct broker_link *link)
{
    if (link && link->watched)
        uv_close((uv_handle_t *)&link->poll, NULL);
}

/* --- life --- */

struct broker_link *broker_link_create(int calls, int events, struct jail *jail)
{
    struct broker_link *link = calloc(1, sizeof(*link));

    if (!link)
        die("out of memory");
    link->calls = calls;
    link->events = reports = events;
    link->jail = jail;
    pthread_mutex_init(&link->lock, NULL);
    sandbox_start(report_forbidden);
    host_files_by(NULL, link);
    return link;
}

void broker_link_destroy(struct broker_link *link)
{
    host_files_by(NULL, NULL);
    close(link->calls);
    close(link->events);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

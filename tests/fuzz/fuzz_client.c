/*
 * A hostile server: whatever comes on any channel, from the link stage on or after it, the client draws it or ends the session
 * with words.
 *
 * The first byte of the input chooses the channel and whether it is linked, the rest is what comes: messages with mini
 * headers, or first a reply to the link message. They come through a real socket and the client's own loop. What else the
 * main channel has the client open stays without an answer.
 */
#include "base/error.h"
#include "client/cursor_channel.h"
#include "client/display_channel.h"
#include "client/inputs_channel.h"
#include "client/main_channel.h"
#include "client/session.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINK_STAGE 0x80 /* in the first byte */
#define BACKLOG    8    /* more than the client opens */

/* As session_start() does it. */
static int open_main(struct session *s, uint8_t id UNUSED, struct channel **c)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&s->address, s->address_size) || fcntl(fd, F_SETFL, O_NONBLOCK))
        abort();
    return main_channel_open(s, fd, c);
}

static int (*const openers[])(struct session *s, uint8_t id, struct channel **c) = {
    display_channel_open,
    open_main,
    cursor_channel_open,
    inputs_channel_open,
};

static void stop(void *opaque)
{
    *(bool *)opaque = true;
}

/* An address of the kernel's choice, for the channels to connect to. */
static int listen_anywhere(struct session *s)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    s->address_size = sizeof(s->address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&s->address, &s->address_size) < 0)
        abort();
    return fd;
}

static void finish_link(struct channel *c)
{
    while (c->stream.connecting)
        uv_run(&c->session->loop->uv, UV_RUN_NOWAIT);
    c->link.state = LINK_DONE;
    c->link.mini_header = true;
    if (c->ops->up)
        c->ops->up(c);
}

/* What a user does while the server says that. */
static void use(struct session *s)
{
    static const struct user_event events[] = {
        {.kind = USER_KEY, .key = 0x1e, .down = true}, {.kind = USER_MOTION, .x = 300, .y = -300},
        {.kind = USER_POSITION, .x = 5, .y = 6},       {.kind = USER_BUTTON, .button = 1, .down = true},
        {.kind = USER_MOTION, .x = 1},                 {.kind = USER_LOCKS, .key = 2},
        {.kind = USER_RELEASE_ALL},
    };

    for (size_t i = 0; i < 3 * ARRAY_SIZE(events) && s->inputs; i++)
        inputs_event(s->inputs, &events[i % ARRAY_SIZE(events)]);
}

static void serve(struct session *s, int listener, const uint8_t *data, size_t size)
{
    struct channel *c;
    int peer;

    if (openers[data[0] % ARRAY_SIZE(openers)](s, 0, &c))
        abort();
    TAILQ_INSERT_TAIL(&s->channels, c, entry);
    c->request.secure = true; /* so that there is SASL */
    peer = accept(listener, NULL, NULL);
    if (peer < 0)
        abort();
    if (!(data[0] & LINK_STAGE))
        finish_link(c);
    use(s);
    (void)!send(peer, data + 1, size - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(peer, SHUT_WR);
    while (!*(bool *)s->opaque)
        uv_run(&s->loop->uv, UV_RUN_ONCE);
    if (s->result && !s->reason[0])
        abort(); /* an end without words */
    close(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct client_options options = {.user = "alma", .password = "sesame"};
    struct loop loop;
    struct screen screen;
    struct outbox outbox;
    struct session s = {.loop = &loop, .options = &options, .screen = &screen, .outbox = &outbox};
    bool gone = false;
    int listener;

    if (size < 2 || size > 100000)
        return 0;
    session_set_mm_time(&s, 0); /* so that an input can say when a frame is to be shown */
    s.linked = openers[data[0] % ARRAY_SIZE(openers)] != open_main; /* else it will be */
    loop_init(&loop);
    screen_init(&screen);
    outbox_init(&outbox);
    outbox_add(&outbox, "/proc/self/exe"); /* for an agent that wants it */
    TAILQ_INIT(&s.channels);
    uv_timer_init(&loop.uv, &s.timeout);
    s.timeout.data = &s;
    s.on_gone = stop;
    s.opaque = &gone;
    listener = listen_anywhere(&s);
    serve(&s, listener, data, size);
    close(listener);
    loop_fini(&loop);
    session_fini(&s);
    outbox_fini(&outbox);
    screen_fini(&screen);
    return 0;
}

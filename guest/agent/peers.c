#include "guest/agent/peers.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK 1000 /* ms */

struct peer {
    struct peers *peers;
    struct peer *next;
    struct seat_peer who;
    struct wire *wire;
    struct link_stream stream;
    bool greeted, has_screen;
    struct link_screen screen;
};

/* --- which one is active --- */

/* Between two of a user's, whose sessions are not known, the one that has a screen. */
static struct peer *find_active(const struct peers *peers)
{
    struct peer *found = NULL;

    for (struct peer *p = peers->first; p; p = p->next)
        if (p->greeted && seat_is_active(&peers->seat, &p->who) && (!found || (p->has_screen && !found->has_screen)))
            found = p;
    return found;
}

static void choose(struct peers *peers)
{
    struct peer *before = peers->active, *now = find_active(peers);

    if (before == now)
        return;
    if (before) {
        wire_hold(before->wire, false);
        link_write_client(wire_out(before->wire), false, 0);
        wire_written(before->wire);
    }
    peers->active = now;
    log_info("the active session's agent: %s%d", now ? "process " : "", now ? (int)now->who.pid : 0);
    peers->ops->active_changed(peers->opaque);
}

static void drop(struct peer *p)
{
    struct peers *peers = p->peers;
    struct peer **at = &peers->first;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    peers->count--;
    wire_close(p->wire);
    link_stream_fini(&p->stream);
    if (peers->active == p) {
        peers->active = NULL;
        choose(peers);
        if (!peers->active)
            peers->ops->active_changed(peers->opaque);
    }
    free(p);
}

/* --- what they say --- */

static int on_screen(struct peer *p, const uint8_t *body, uint32_t size)
{
    int err = link_read_screen(body, size, &p->screen);

    if (err)
        return err;
    p->has_screen = true;
    if (p->peers->active == p)
        p->peers->ops->active_changed(p->peers->opaque);
    else
        choose(p->peers);
    return 0;
}

/* A second one of the same session is one too many. */
static int on_hello(struct peer *p, const uint8_t *body, uint32_t size)
{
    int err = link_read_hello(body, size);

    for (struct peer *other = p->peers->first; other && !err; other = other->next)
        if (other != p && other->greeted && other->who.uid == p->who.uid &&
            strcmp(other->who.session, p->who.session) == 0)
            err = fail(-EEXIST, "its session has an agent already: process %d", (int)other->who.pid);
    if (err)
        return err;
    p->greeted = true;
    choose(p->peers);
    return 0;
}

static int on_frame(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct peer *p = opaque;

    if (!p->greeted)
        return type == LINK_HELLO ? on_hello(p, body, size) : fail(-EPROTO, "it does not begin with a greeting");
    if (type == LINK_SCREEN)
        return on_screen(p, body, size);
    if (type >= LINK_HELLO)
        return fail(-EPROTO, "a frame of type %u that is not for the daemon", type);
    if (p->peers->active == p)
        p->peers->ops->message(p->peers->opaque, type, body, size);
    return 0;
}

static int on_received(void *opaque, const uint8_t *data, size_t size)
{
    struct peer *p = opaque;

    return link_stream_take(&p->stream, data, size, on_frame, p);
}

static void on_ended(void *opaque, int err)
{
    struct peer *p = opaque;

    if (err)
        log_warn("the agent in process %d of user %u is dropped: %s", (int)p->who.pid, (unsigned)p->who.uid,
                 fail_text());
    drop(p);
}

static void on_drained(void *opaque)
{
    struct peer *p = opaque;

    if (p->peers->active == p)
        p->peers->ops->drained(p->peers->opaque);
}

static const struct wire_ops wire_ops = {on_received, on_ended, on_drained};

/* --- their coming --- */

static bool is_welcome(const struct peers *peers, const struct seat_peer *who)
{
    unsigned of_user = 0;

    for (const struct peer *p = peers->first; p; p = p->next)
        of_user += p->who.uid == who->uid;
    return peers->count < PEERS_MAX && of_user < PEERS_PER_USER && (peers->seat.logind || who->uid == peers->seat.uid);
}

static void welcome(struct peers *peers, int fd, const struct seat_peer *who)
{
    struct peer *p = calloc(1, sizeof(*p));

    if (!p) {
        close(fd);
        return;
    }
    *p = (struct peer){.peers = peers, .who = *who, .wire = wire_open(peers->loop, fd, &wire_ops, p)};
    if (!p->wire) {
        free(p);
        return;
    }
    link_stream_init(&p->stream);
    p->next = peers->first;
    peers->first = p;
    peers->count++;
    link_write_hello(wire_out(p->wire));
    wire_written(p->wire);
}

void peers_accept(void *opaque, int fd, const char *name UNUSED)
{
    struct peers *peers = opaque;
    struct seat_peer who = {0};

    if (seat_identify(&peers->seat, fd, &who) == 0 && is_welcome(peers, &who)) {
        welcome(peers, fd, &who);
        return;
    }
    log_once(LOG_WARN, "a connection of user %u is refused: it is not its seat, or there are too many",
             (unsigned)who.uid);
    close(fd);
}

static void on_seat(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct peers *peers = poll->data;

    seat_refresh(&peers->seat);
    choose(peers);
}

/* One that is stopped would stop the port too, with the pointer. */
static void on_clock(uv_timer_t *clock)
{
    struct peers *peers = clock->data;

    for (struct peer *p = peers->first, *next; p; p = next) {
        next = p->next;
        if (wire_is_full(p->wire) && wire_stalled(p->wire) > PEERS_STALL)
            on_ended(p, fail(-ETIMEDOUT, "it takes nothing"));
    }
}

/* --- life --- */

void peers_init(struct peers *peers, struct loop *loop, const struct seat *seat, const struct peers_ops *ops,
                void *opaque)
{
    *peers = (struct peers){.loop = loop, .ops = ops, .opaque = opaque, .seat = *seat};
    uv_timer_init(&loop->uv, &peers->clock);
    peers->clock.data = peers;
    uv_timer_start(&peers->clock, on_clock, TICK, TICK);
    if (seat_fd(seat) < 0)
        return;
    uv_poll_init(&loop->uv, &peers->seat_poll, seat_fd(seat));
    peers->seat_poll.data = peers;
    uv_poll_start(&peers->seat_poll, UV_READABLE, on_seat);
}

void peers_fini(struct peers *peers)
{
    peers->active = NULL; /* nobody is told any more */
    while (peers->first)
        drop(peers->first);
    uv_close((uv_handle_t *)&peers->clock, NULL);
    if (seat_fd(&peers->seat) >= 0)
        uv_close((uv_handle_t *)&peers->seat_poll, NULL);
}

/* --- the active one --- */

const struct link_screen *peers_screen(const struct peers *peers)
{
    return peers->active && peers->active->has_screen ? &peers->active->screen : NULL;
}

void peers_send(struct peers *peers, uint32_t type, const void *body, uint32_t size)
{
    if (!peers->active)
        return;
    link_write(wire_out(peers->active->wire), type, body, size);
    wire_written(peers->active->wire);
}

void peers_send_client(struct peers *peers, bool present, uint32_t caps)
{
    if (!peers->active)
        return;
    link_write_client(wire_out(peers->active->wire), present, caps);
    wire_written(peers->active->wire);
}

bool peers_are_full(const struct peers *peers)
{
    return peers->active && wire_is_full(peers->active->wire);
}

void peers_hold(struct peers *peers, bool hold)
{
    if (peers->active)
        wire_hold(peers->active->wire, hold);
}

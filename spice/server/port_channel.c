#include "spice/server/port_channel.h"

#include <stdio.h>
#include <stdlib.h>

struct guest_port {
    struct chardev base;
    struct loop *loop;
    uint8_t type, id; /* of its channel */
    char name[PORT_MAX_NAME];
    bool open;       /* somebody in the guest has it */
    bool stuck;      /* the guest waits until the client takes more */
    struct port_channel *client; /* NULL: none is here */
    struct writer queue; /* for the guest, from `at` on */
    size_t at;
};

struct port_channel {
    struct channel base;
    struct guest_port *port; /* NULL: it is closed */
};

static struct guest_port *port_of(struct chardev *c)
{
    return container_of(c, struct guest_port, base);
}

struct chardev *guest_port_chardev(struct guest_port *p)
{
    return &p->base;
}

const char *guest_port_name(const struct guest_port *p)
{
    return p->name;
}

struct spice_channel_id guest_port_channel(const struct guest_port *p)
{
    return (struct spice_channel_id){p->type, p->id};
}

/* --- to the guest --- */

static void drop_queue(struct guest_port *p)
{
    writer_trim(&p->queue, 0);
    p->at = 0;
}

static void pump(struct guest_port *p)
{
    const struct chardev_front_ops *front = p->base.front_ops;
    size_t n = 1;

    while (front && n && p->at < p->queue.size) {
        n = MIN(front->can_read(p->base.front), p->queue.size - p->at);
        if (n)
            front->read(p->base.front, p->queue.data + p->at, n);
        p->at += n;
    }
    if (p->at == p->queue.size)
        drop_queue(p);
    if (p->client)
        channel_pause(&p->client->base, p->queue.size - p->at > PORT_QUEUE);
}

static void make_room(struct guest_port *p)
{
    memmove(p->queue.data, p->queue.data + p->at, p->queue.size - p->at);
    p->queue.size -= p->at;
    p->at = 0;
}

/* What is said to a port that nobody in the guest has open waits, as far as there is room. */
static void take_data(struct guest_port *p, const struct spice_data *data)
{
    if (p->at)
        make_room(p);
    writer_bytes(&p->queue, data->data, data->size);
    pump(p);
}

/* --- from the guest --- */

static size_t write_port(struct chardev *c, const uint8_t *data, size_t size)
{
    struct guest_port *p = port_of(c);
    size_t taken = 0;

    while (taken < size && p->client && p->client->base.queued < PORT_QUEUE) {
        const struct spice_data piece = {(uint32_t)MIN(size - taken, CHANNEL_MAX_MESSAGE), data + taken};

        channel_send(&p->client->base, SPICE_MSG_SPICEVMC_DATA, &piece);
        taken += piece.size;
    }
    p->stuck = p->client && taken < size;
    return p->client ? taken : size; /* nobody hears it */
}

static void send_event(struct guest_port *p)
{
    const struct spice_msg_port_event event = {p->open ? SPICE_PORT_EVENT_OPENED : SPICE_PORT_EVENT_CLOSED};

    if (p->client)
        channel_send(&p->client->base, SPICE_MSG_PORT_EVENT, &event);
}

static void front_opened(struct chardev *c, bool open)
{
    struct guest_port *p = port_of(c);

    if (p->open == open)
        return;
    p->open = open;
    p->stuck = false;
    drop_queue(p);
    send_event(p);
    pump(p);
}

static void accept_input(struct chardev *c)
{
    pump(port_of(c));
}

static void destroy(struct chardev *c)
{
    struct guest_port *p = port_of(c);

    writer_fini(&p->queue);
    free(p);
}

static const struct chardev_ops chardev_ops = {
    .write = write_port, .accept_input = accept_input, .front_opened = front_opened, .destroy = destroy,
};

/* --- the channel --- */

static void set_client(struct guest_port *p, struct port_channel *client)
{
    const struct chardev_front_ops *front = p->base.front_ops;

    p->client = client;
    p->base.connected = client != NULL;
    p->stuck = false;
    drop_queue(p);
    if (front && front->connected)
        front->connected(p->base.front, client != NULL);
    if (front && front->writable && !client) /* what waited is dropped */
        front->writable(p->base.front);
}

static void take_message(struct channel *ch, unsigned id, const void *msg)
{
    struct port_channel *c = container_of(ch, struct port_channel, base);

    if (id == SPICE_MSGC_SPICEVMC_DATA)
        take_data(c->port, msg);
    /* A BREAK is for serial lines. */
}

static void ready(struct channel *ch)
{
    struct guest_port *p = container_of(ch, struct port_channel, base)->port;

    if (!p || !p->stuck || !p->base.front_ops)
        return;
    p->stuck = false;
    p->base.front_ops->writable(p->base.front);
}

static void closed(struct channel *ch)
{
    struct port_channel *c = container_of(ch, struct port_channel, base);

    if (c->port->client == c)
        set_client(c->port, NULL);
    c->port = NULL;
}

static void free_channel(struct channel *ch)
{
    free(container_of(ch, struct port_channel, base));
}

static const struct channel_ops port_ops = {
    .message = take_message, .ready = ready, .closed = closed, .free = free_channel,
};

void guest_port_adopt(struct guest_port *p, const struct channel_params *params)
{
    struct port_channel *c = calloc(1, sizeof(*c));
    struct spice_msg_port_init init = {(uint32_t)strlen(p->name) + 1, (const uint8_t *)p->name, p->open};

    if (!c) {
        stream_close(params->stream);
        return;
    }
    if (p->client)
        channel_close(&p->client->base);
    c->port = p;
    if (channel_init(&c->base, &port_ops, p->loop, params)) {
        free(c);
        return;
    }
    channel_send(&c->base, SPICE_MSG_PORT_INIT, &init);
    if (!c->base.closed)
        set_client(p, c);
}

void guest_port_close_session(struct guest_port *p, uint32_t session)
{
    if (p->client && p->client->base.params.session == session)
        channel_close(&p->client->base);
}

struct guest_port *guest_port_create(struct loop *loop, const char *name, uint8_t id)
{
    struct guest_port *p = strlen(name) < PORT_MAX_NAME ? calloc(1, sizeof(*p)) : NULL;

    if (!p)
        return NULL;
    p->base.ops = &chardev_ops;
    p->loop = loop;
    p->type = strcmp(name, WEBDAV_PORT) == 0 ? SPICE_CHANNEL_WEBDAV : SPICE_CHANNEL_PORT;
    p->id = id;
    strcpy(p->name, name);
    writer_init(&p->queue, 2 * PORT_QUEUE);
    return p;
}

void guest_port_destroy(struct guest_port *p)
{
    if (p)
        destroy(&p->base);
}

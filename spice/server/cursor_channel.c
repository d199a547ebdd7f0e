/*
 * The cursor channel: shape and place. Only the latest of each is kept for a client that is slow; a shape is sent before a
 * move that came with it.
 */
#include "spice/server/display_port.h"
#include "spice/server/migrate_data.h"

#include <stdlib.h>

#define ACK_WINDOW 20

struct cursor_channel {
    struct channel base;
    struct display_port *port;
    bool shape_changed, moved;
};

static struct cursor_channel *cursor_of(struct channel *ch)
{
    return container_of(ch, struct cursor_channel, base);
}

static struct spice_point16 position(const struct display *d)
{
    return (struct spice_point16){CLAMP(d->cursor_x, INT16_MIN, INT16_MAX),
                                  CLAMP(d->cursor_y, INT16_MIN, INT16_MAX)};
}

static struct spice_cursor shape(const struct display *d)
{
    const struct display_cursor *c = &d->cursor;

    if (!c->data)
        return (struct spice_cursor){.flags = SPICE_CURSOR_FLAGS_NONE};
    return (struct spice_cursor){
        .type = c->type == DISPLAY_CURSOR_MONO ? SPICE_CURSOR_TYPE_MONO : SPICE_CURSOR_TYPE_ALPHA,
        .width = c->width,
        .height = c->height,
        .hot_x = c->hot_x,
        .hot_y = c->hot_y,
        .data_size = c->size,
        .data = c->data,
    };
}

static void send_init(struct cursor_channel *c)
{
    const struct display *d = c->port->display;
    struct spice_msg_cursor_init msg = {
        .position = position(d), .visible = d->cursor_visible, .cursor = shape(d)};

    channel_send(&c->base, SPICE_MSG_CURSOR_INIT, &msg);
}

static void send_shape(struct cursor_channel *c)
{
    const struct display *d = c->port->display;
    struct spice_msg_cursor_set msg = {
        .position = position(d), .visible = d->cursor_visible, .cursor = shape(d)};

    if (d->cursor.data)
        channel_send(&c->base, SPICE_MSG_CURSOR_SET, &msg);
    else
        channel_send(&c->base, SPICE_MSG_CURSOR_HIDE, NULL);
}

static void send_move(struct cursor_channel *c)
{
    const struct display *d = c->port->display;
    struct spice_msg_cursor_move msg = {position(d)};

    if (d->cursor_visible)
        channel_send(&c->base, SPICE_MSG_CURSOR_MOVE, &msg);
    else
        channel_send(&c->base, SPICE_MSG_CURSOR_HIDE, NULL);
}

/* Say what has changed, if the client is ready to hear it. */
static void update(struct channel *ch)
{
    struct cursor_channel *c = cursor_of(ch);
    bool shape_changed = c->shape_changed, moved = c->moved;

    if (!channel_ready(ch) || !(shape_changed || moved))
        return;
    c->shape_changed = c->moved = false;
    if (shape_changed)
        send_shape(c);
    if (moved && !ch->closed)
        send_move(c);
}

void cursor_channel_shape(struct channel *ch)
{
    cursor_of(ch)->shape_changed = true;
    update(ch);
}

void cursor_channel_move(struct channel *ch)
{
    cursor_of(ch)->moved = true;
    update(ch);
}

static void take_message(struct channel *ch UNUSED, unsigned id UNUSED, const void *msg UNUSED)
{
}

/* There is nothing to remember: shape and place are said again. */
static int save(struct channel *ch UNUSED, struct writer *w)
{
    return migrate_data_encode(SPICE_CHANNEL_CURSOR, &(struct migrate_cursor){0}, w);
}

static bool restore(struct channel *ch, const void *state UNUSED)
{
    channel_set_ack_window(ch, ACK_WINDOW);
    cursor_channel_shape(ch);
    if (!ch->closed)
        cursor_channel_move(ch);
    return true;
}

static void closed(struct channel *ch)
{
    port_channel_closed(cursor_of(ch)->port, ch);
}

static void free_channel(struct channel *ch)
{
    free(cursor_of(ch));
}

static const struct channel_ops cursor_ops = {take_message, update, save, restore, closed, free_channel};

static void start(struct cursor_channel *c)
{
    channel_set_ack_window(&c->base, ACK_WINDOW);
    if (!c->base.closed)
        send_init(c);
    cursor_channel_move(&c->base); /* viewers take the place from a MOVE, not from INIT */
}

void cursor_channel_create(struct display_port *port, const struct channel_params *params)
{
    struct cursor_channel *c = calloc(1, sizeof(*c));

    if (!c) {
        stream_close(params->stream);
        return;
    }
    if (channel_init(&c->base, &cursor_ops, port->display->loop, params)) {
        free(c);
        return;
    }
    c->port = port;
    LIST_INSERT_HEAD(&port->cursors, &c->base, link);
    if (!params->arriving)
        start(c);
}

void cursor_channel_arrive(struct channel *ch)
{
    if (ch->phase != CHANNEL_ARRIVING)
        return;
    channel_arrive(ch);
    start(cursor_of(ch));
}

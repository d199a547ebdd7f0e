#include "spice/server/display_port.h"

#include "base/log.h"

#include <stdlib.h>
#include <sys/random.h>

static struct display_port *port_get(struct display_port *port)
{
    __atomic_add_fetch(&port->refs, 1, __ATOMIC_RELAXED);
    return port;
}

static void port_put(struct display_port *port)
{
    if (__atomic_sub_fetch(&port->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(port);
}

/* --- the display speaks --- */

static struct display_port *port_of(struct display_sink *sink)
{
    return container_of(sink, struct display_port, sink);
}

static void forget_surface(struct display_port *port)
{
    fingerprint_resize(&port->print, 0, 0);
    grid_fini(&port->changed);
    grid_fini(&port->scratch);
}

/* Another surface, or with the same size other pixels. */
static void take_surface(struct display_port *port, const struct display_surface *s)
{
    const struct strip_map *now = &port->print.now;

    if (s && now->hash && now->width == s->width && now->height == s->height) {
        damage_add(&port->print.stale, &(struct rect){0, 0, s->width, s->height});
        return;
    }
    forget_surface(port);
    if (s && (fingerprint_resize(&port->print, s->width, s->height) ||
              grid_init(&port->changed, now->columns, now->height) ||
              grid_init(&port->scratch, now->columns, now->height))) {
        log_once(LOG_ERROR, "spice: out of memory for a display of %u x %u, clients do not see it",
                 s->width, s->height);
        forget_surface(port);
    }
}

/* --- what the main loop knows --- */

struct layout_call {
    struct display_port *port;
    struct display_layout layout;
};

static void take_layout(void *arg)
{
    struct layout_call *call = arg;

    call->port->layout = call->layout;
    if (call->port->server)
        server_layout_changed(call->port->server);
    port_put(call->port);
    free(call);
}

static void tell_layout(struct display_port *port)
{
    const struct display *d = port->display;
    struct layout_call *call = calloc(1, sizeof(*call));

    if (!call)
        return; /* the next time, then */
    call->layout = (struct display_layout){.width = d->surface.width, .height = d->surface.height,
                                           .head_count = d->head_count, .takes_heads = d->takes_heads};
    memcpy(call->layout.heads, d->heads, d->head_count * sizeof(*d->heads));
    if (memcmp(&call->layout, &port->told, sizeof(port->told)) == 0) {
        free(call);
        return;
    }
    port->told = call->layout;
    call->port = port_get(port);
    loop_call(port->main_loop, take_layout, call);
}

const struct display_layout *display_port_layout(const struct display_port *port)
{
    return &port->layout;
}

static void on_surface(struct display_sink *sink, const struct display_surface *s)
{
    struct display_port *port = port_of(sink);
    struct channel *ch;

    tell_layout(port);
    take_surface(port, s);
    LIST_FOREACH (ch, &port->displays, link)
        display_channel_surface(ch);
}

static void on_damage(struct display_sink *sink, const struct rect *rects, size_t count)
{
    struct display_port *port = port_of(sink);
    struct channel *ch;

    port->waiting = false;
    if (!port_surface(port))
        return;
    for (size_t i = 0; i < count; i++)
        damage_add(&port->print.stale, &rects[i]);
    LIST_FOREACH (ch, &port->displays, link)
        display_channel_damage(ch, rects, count);
}

static void on_waiting(struct display_sink *sink)
{
    struct display_port *port = port_of(sink);
    struct channel *ch;

    port->waiting = true;
    LIST_FOREACH (ch, &port->displays, link)
        display_channel_damage(ch, NULL, 0);
}

void port_draw(struct display_port *port)
{
    port->waiting = false;
    display_draw(port->display);
}

static void on_moved(struct display_sink *sink, const struct rect *to, int32_t dx, int32_t dy)
{
    struct display_port *port = port_of(sink);
    struct channel *ch;

    if (!port_surface(port))
        return;
    fingerprint_moved(&port->print, to, dx, dy);
    LIST_FOREACH (ch, &port->displays, link)
        display_channel_moved(ch, to, dx, dy);
}

static void on_heads(struct display_sink *sink, const struct display_head *heads UNUSED,
                     size_t count UNUSED)
{
    struct display_port *port = port_of(sink);
    struct channel *ch;

    tell_layout(port);
    LIST_FOREACH (ch, &port->displays, link)
        display_channel_heads(ch);
}

static void on_takes_heads(struct display_sink *sink, bool on UNUSED)
{
    tell_layout(port_of(sink));
}

static void on_cursor(struct display_sink *sink, const struct display_cursor *cursor UNUSED)
{
    struct channel *ch;

    LIST_FOREACH (ch, &port_of(sink)->cursors, link)
        cursor_channel_shape(ch);
}

static void on_cursor_move(struct display_sink *sink, int32_t x UNUSED, int32_t y UNUSED,
                           bool visible UNUSED)
{
    struct channel *ch;

    LIST_FOREACH (ch, &port_of(sink)->cursors, link)
        cursor_channel_move(ch);
}

static const struct display_sink_ops sink_ops = {
    .surface = on_surface,
    .damage = on_damage,
    .waiting = on_waiting,
    .moved = on_moved,
    .cursor = on_cursor,
    .cursor_move = on_cursor_move,
    .heads = on_heads,
    .takes_heads = on_takes_heads,
};

/* --- clients come and go --- */

static void start_watching(struct display_port *port)
{
    if (port->watching)
        return;
    port->watching = true;
    display_add_sink(port->display, &port->sink);
}

#define CAPS_BYTES 58 /* of QXLRom.client_capabilities */

static void announce(struct display_port *port, const uint32_t *caps)
{
    const struct display_device_ops *ops = port->display->ops;
    uint8_t bytes[CAPS_BYTES] = {0};

    static_assert(CHANNEL_MAX_CAPS * sizeof(*caps) <= CAPS_BYTES);
    port->announced = caps != NULL;
    if (caps)
        memcpy(bytes, caps, CHANNEL_MAX_CAPS * sizeof(*caps));
    if (ops && ops->client_capabilities)
        ops->client_capabilities(port->display->device, caps != NULL, bytes);
}

void port_display_joined(struct display_port *port, const struct channel *ch)
{
    uint32_t caps[CHANNEL_MAX_CAPS];

    if (port->announced)
        return;
    memcpy(caps, ch->params.caps, sizeof(caps));
    /* What the guest composes is drawn here, so every client can show it. */
    caps[0] |= 1u << SPICE_DISPLAY_CAP_COMPOSITE | 1u << SPICE_DISPLAY_CAP_A8_SURFACE;
    announce(port, caps);
}

static void stop_watching(struct display_port *port)
{
    if (!port->watching || !LIST_EMPTY(&port->displays) || !LIST_EMPTY(&port->cursors))
        return;
    port->watching = false;
    display_remove_sink(port->display, &port->sink);
    forget_surface(port);
}

void port_channel_closed(struct display_port *port, struct channel *ch)
{
    LIST_REMOVE(ch, link);
    if (port->announced && LIST_EMPTY(&port->displays))
        announce(port, NULL);
    stop_watching(port);
}

/* Close the channels of a session, or with 0 all. */
static void close_channels(struct channel_list *list, uint32_t session)
{
    struct channel *ch, *next;

    for (ch = LIST_FIRST(list); ch; ch = next) {
        next = LIST_NEXT(ch, link);
        if (!session)
            channel_say_goodbye(ch);
        else if (ch->params.session == session)
            channel_close(ch);
    }
}

struct port_call {
    struct display_port *port;
    struct channel_params params;
};

static void call_port(struct display_port *port, void (*fn)(void *arg),
                      const struct channel_params *params)
{
    struct port_call *call = malloc(sizeof(*call));

    if (!call)
        abort(); /* two hundred bytes: there is no going on, as in loop_call() */
    *call = (struct port_call){port_get(port), *params};
    loop_call(port->display->loop, fn, call);
}

static void call_done(struct port_call *call)
{
    port_put(call->port);
    free(call);
}

static void adopt(void *arg)
{
    struct port_call *call = arg;
    struct display_port *port = call->port;
    bool display = call->params.type == SPICE_CHANNEL_DISPLAY;

    /* A client that comes again has lost its first connection. */
    close_channels(display ? &port->displays : &port->cursors, call->params.session);
    if (!port->dead)
        start_watching(port);
    if (port->dead)
        stream_close(call->params.stream);
    else if (display)
        display_channel_create(port, &call->params);
    else
        cursor_channel_create(port, &call->params);
    stop_watching(port); /* if nothing came of it */
    call_done(call);
}

void display_port_adopt(struct display_port *port, const struct channel_params *params)
{
    call_port(port, adopt, params);
}

static void close_session(void *arg)
{
    struct port_call *call = arg;

    close_channels(&call->port->displays, call->params.session);
    close_channels(&call->port->cursors, call->params.session);
    call_done(call);
}

void display_port_close_session(struct display_port *port, uint32_t session)
{
    call_port(port, close_session, &(struct channel_params){.session = session});
}

/* --- sessions that go to other servers, or come from there --- */

static void for_session(struct channel_list *list, uint32_t session, void (*fn)(struct channel *ch))
{
    struct channel *ch, *next;

    for (ch = LIST_FIRST(list); ch; ch = next) { /* sending may end it */
        next = LIST_NEXT(ch, link);
        if (ch->params.session == session)
            fn(ch);
    }
}

static void leave(void *arg)
{
    struct port_call *call = arg;

    for_session(&call->port->displays, call->params.session, display_channel_leave);
    for_session(&call->port->cursors, call->params.session, channel_leave);
    call_done(call);
}

void display_port_leave(struct display_port *port, uint32_t session)
{
    call_port(port, leave, &(struct channel_params){.session = session});
}

static void arrive(void *arg)
{
    struct port_call *call = arg;

    for_session(&call->port->displays, call->params.session, display_channel_arrive);
    for_session(&call->port->cursors, call->params.session, cursor_channel_arrive);
    call_done(call);
}

void display_port_arrive(struct display_port *port, uint32_t session)
{
    call_port(port, arrive, &(struct channel_params){.session = session});
}

/* --- what users want of monitors --- */

struct heads_call {
    struct display_port *port;
    size_t count;
    struct display_head heads[DISPLAY_MAX_HEADS];
};

static void set_heads(void *arg)
{
    struct heads_call *call = arg;
    struct display_port *port = call->port;

    if (!port->dead && port->display->ops && port->display->ops->client_heads &&
        !port->display->ops->client_heads(port->display->device, call->heads, call->count))
        log_debug("spice: the guest does not listen to what a client wants of display %u", port->display->id);
    port_put(port);
    free(call);
}

void display_port_set_heads(struct display_port *port, const struct display_head *heads, size_t count)
{
    struct heads_call *call = calloc(1, sizeof(*call));

    if (!call)
        return; /* the user sees that nothing happened, and can ask again */
    call->port = port_get(port);
    call->count = MIN(count, ARRAY_SIZE(call->heads));
    memcpy(call->heads, heads, call->count * sizeof(*heads));
    loop_call(port->display->loop, set_heads, call);
}

/* --- life --- */

struct display_port *display_port_create(struct spice_server *server, struct display *display)
{
    struct display_port *port = calloc(1, sizeof(*port));
    uint64_t secret;

    if (!port || getrandom(&secret, sizeof(secret), 0) != sizeof(secret)) {
        free(port);
        return NULL;
    }
    strip_key_init(&port->print.key, secret);
    port->refs = 1;
    port->display = display;
    port->server = server;
    port->main_loop = server->loop;
    port->compression = server->compression;
    port->jpeg = server->jpeg;
    port->zlib = server->zlib;
    port->streaming = server->streaming;
    memcpy(port->video_codecs, server->video_codecs, sizeof(port->video_codecs));
    port->sink.ops = &sink_ops;
    return port;
}

static void shut_down(void *arg)
{
    struct display_port *port = arg;

    close_channels(&port->displays, 0);
    close_channels(&port->cursors, 0);
    port->dead = true;
}

void display_port_destroy(struct display_port *port)
{
    if (!port)
        return;
    loop_call_wait(port->display->loop, shut_down, port);
    port->server = NULL;
    port_put(port);
}

void display_port_input(struct display_port *port)
{
    __atomic_store_n(&port->input_time, uv_hrtime(), __ATOMIC_RELAXED);
}

/*
 * The display channel: brings one client's picture up to date whenever the client can take more.
 *
 * The pixels of the primary surface are the truth. Damage is only noted; update.c compares and sends. This file has what is
 * around it: when to update, the client's surface and heads, what the client says, the channel's life.
 */
#include "spice/server/display_channel.h"

#include "base/log.h"
#include "spice/server/migrate_data.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Updates are not closer than this: what is drawn in between travels together. While most of the screen changes they are as
 * frequent as screens show pictures. One that took longer is followed by a pause of the same length, since the display's
 * thread has the guest to serve as well.
 */
#define MIN_INTERVAL_NS  8000000
#define FULL_INTERVAL_NS 16000000
/* What begins to be drawn gets so much time to be complete. */
#define GATHER_NS 2000000
/* A timer may come before its time. */
#define TIMER_EARLY_NS 2000000
/* What the user just did is answered without either: so many updates, for so long. */
#define ECHOES   3
#define ECHO_NS  100000000
/* Of the client's dictionary so much is used; it is four bytes each in our memory as well. */
#define DICTIONARY_PIXELS (2 * 1024 * 1024)
#define FIRST_BUDGET      (512 * 1024)

static struct display_channel *display_of(struct channel *ch)
{
    return container_of(ch, struct display_channel, base);
}

/* --- surface and heads --- */

static void destroy_surface(struct display_channel *d)
{
    struct spice_msg_display_surface_destroy msg = {0};

    video_fini(d, true);
    if (d->view.shown.hash)
        channel_send(&d->base, SPICE_MSG_DISPLAY_SURFACE_DESTROY, &msg);
    view_fini(&d->view);
    edges_fini(&d->edges);
    lossy_fini(&d->lossy);
    d->hint = (struct copied){0};
}

/* Nothing is known yet of what the client shows on it. */
static int begin_surface(struct display_channel *d, uint32_t width, uint32_t height)
{
    if (view_init(&d->view, width, height) || edges_init(&d->edges, height) || lossy_init(&d->lossy, width, height))
        return -ENOMEM;
    video_init(d, width, height);
    d->heads_changed = true;
    return 0;
}

static void create_surface(struct display_channel *d, const struct display_surface *s)
{
    struct spice_msg_display_surface_create msg = {
        .width = s->width,
        .height = s->height,
        .format = SPICE_SURFACE_FMT_32_xRGB,
        .flags = SPICE_SURFACE_FLAGS_PRIMARY,
    };

    if (begin_surface(d, s->width, s->height)) {
        log_once(LOG_ERROR, "spice: out of memory for a client's display, the connection ends");
        channel_close(&d->base);
        return;
    }
    d->fresh = true;
    channel_send(&d->base, SPICE_MSG_DISPLAY_SURFACE_CREATE, &msg);
}

static void send_heads(struct display_channel *d)
{
    const struct display *display = d->port->display;
    struct spice_head heads[DISPLAY_MAX_HEADS] = {
        {.width = d->view.shown.width, .height = d->view.shown.height}};
    struct spice_msg_display_monitors_config msg = {
        .count = MAX(1, display->head_count), .max_allowed = display->max_heads, .heads = heads};

    d->heads_changed = false;
    if (!channel_has_cap(&d->base, SPICE_DISPLAY_CAP_MONITORS_CONFIG))
        return;
    for (size_t i = 0; i < display->head_count; i++) {
        const struct display_head *h = &display->heads[i];

        heads[i] = (struct spice_head){
            .monitor_id = h->id, .width = h->width, .height = h->height, .x = h->x, .y = h->y};
    }
    channel_send(&d->base, SPICE_MSG_DISPLAY_MONITORS_CONFIG, &msg);
}

/* Whether there is a surface to draw on. */
static bool sync_surface(struct display_channel *d)
{
    const struct display_surface *s = port_surface(d->port);

    if (!s || s->width != d->view.shown.width || s->height != d->view.shown.height) {
        destroy_surface(d);
        if (s)
            create_surface(d, s);
    }
    if (s && d->heads_changed && !d->base.closed)
        send_heads(d);
    return s && !d->base.closed;
}

/* --- when --- */

/* Whether bytes are so dear that pictures may be nearly right first. */
static bool choose_lossy(struct display_channel *d)
{
    if (!d->base.params.stream->local)
        rate_measure(&d->rate, d->base.params.stream->fd);
    return d->port->jpeg == WAN_AUTO ? d->rate.slow : d->port->jpeg == WAN_ALWAYS;
}

static void update(struct display_channel *d)
{
    uint64_t now = uv_hrtime();

    if (encoding_busy(d->encoding))
        return;
    if (!channel_ready(&d->base)) {
        if (video_rests_at(d) <= now + TIMER_EARLY_NS)
            video_rest(d);
        return;
    }
    d->update_start = now;
    if (!sync_surface(d))
        return;
    port_draw(d->port);
    uv_timer_stop(d->timer); /* what was drawn is seen to now */
    d->lossy_way = choose_lossy(d);
    display_update(d);
}

static void timer_fired(uv_timer_t *timer)
{
    update(timer->data);
}

static bool out_of_date(const struct display_channel *d)
{
    const struct display_surface *s = port_surface(d->port);

    if (!s)
        return d->view.shown.width != 0;
    return s->width != d->view.shown.width || s->height != d->view.shown.height || d->heads_changed ||
           d->view.behind.any || d->port->waiting;
}

/* Whether what was drawn may be the answer to what a user did. */
static bool is_echo(struct display_channel *d, uint64_t now)
{
    uint64_t input = __atomic_load_n(&d->port->input_time, __ATOMIC_RELAXED);

    if (input != d->echo_input) {
        d->echo_input = input;
        d->echoes = ECHOES;
    }
    return d->echoes && now < input + ECHO_NS; /* the input may be younger than `now` */
}

/* Soon, but not too soon after the last time; UINT64_MAX: never. */
static uint64_t next_update(struct display_channel *d, uint64_t now)
{
    if (!channel_ready(&d->base))
        return video_rests_at(d);
    if (out_of_date(d))
        return is_echo(d, now) ? MAX(d->rest_until, now) : MAX(d->next_update, now + GATHER_NS);
    return MAX(MAX(d->next_update, now), MIN(d->lossy.any ? d->refine_at : UINT64_MAX, video_due(d)));
}

static void schedule(struct display_channel *d)
{
    uint64_t now = uv_hrtime(), when;

    if (d->base.closed || encoding_busy(d->encoding))
        return;
    when = MAX(next_update(d, now), now);
    if (when == UINT64_MAX)
        return;
    if (uv_is_active((uv_handle_t *)d->timer) && d->timer_due <= when)
        return;
    d->timer_due = when;
    uv_update_time(d->timer->loop);
    uv_timer_start(d->timer, timer_fired, (when - now) / 1000000, 0);
}

static uint64_t interval(const struct display_channel *d)
{
    const struct strip_map *shown = &d->view.shown;

    return (uint64_t)d->changed * 2 > (uint64_t)shown->columns * shown->height ? FULL_INTERVAL_NS : MIN_INTERVAL_NS;
}

/* Nothing is being made: what the client shows is known. */
static void leave(struct display_channel *d)
{
    d->leaving = false;
    video_fini(d, true);
    channel_leave(&d->base);
}

void display_updated(struct display_channel *d, bool something)
{
    uint64_t took = uv_hrtime() - d->update_start;

    if (something && d->echoes)
        d->echoes--;
    d->rest_until = d->update_start + 2 * took;
    d->next_update = MAX(d->rest_until, d->update_start + interval(d));
    d->held = out_of_date(d);
    if (d->leaving)
        leave(d);
    schedule(d);
}

static void ready(struct channel *ch)
{
    struct display_channel *d = display_of(ch);

    d->held = out_of_date(d);
    schedule(d);
}

void display_channel_surface(struct channel *ch)
{
    struct display_channel *d = display_of(ch);
    const struct rect all = {0, 0, d->view.shown.width, d->view.shown.height};

    if (d->view.shown.hash)
        view_damage(&d->view, &all);
    schedule(d);
}

void display_channel_damage(struct channel *ch, const struct rect *rects, size_t count)
{
    struct display_channel *d = display_of(ch);

    if (!d->view.shown.hash)
        return; /* all of it will be sent */
    for (size_t i = 0; i < count; i++)
        view_damage(&d->view, &rects[i]);
    schedule(d);
}

/* An update sees only from where to where content came in all. */
void display_channel_moved(struct channel *ch, const struct rect *to, int32_t dx, int32_t dy)
{
    struct display_channel *d = display_of(ch);

    copied_add(&d->hint, to, dx, dy);
    display_channel_damage(ch, to, 1);
}

void display_channel_heads(struct channel *ch)
{
    display_of(ch)->heads_changed = true;
    schedule(display_of(ch));
}

static void start(struct display_channel *d)
{
    channel_set_ack_window(&d->base, DISPLAY_ACK_WINDOW);
    schedule(d);
}

/* --- the client speaks --- */

static void take_preference(struct display_channel *d, uint8_t compression)
{
    if (compression > SPICE_IMAGE_COMPRESSION_INVALID &&
        compression < SPICE_IMAGE_COMPRESSION_ENUM_END)
        d->compression = compression;
}

/* The first picture does not wait for this, which spares a round trip: it needs neither cache nor dictionary. */
static void take_init(struct display_channel *d, const struct spice_msgc_display_init *init)
{
    if (d->initialised)
        return;
    d->initialised = true;
    /* The client has one of each for all its display channels. */
    if (d->base.params.first) {
        pixmap_cache_init(&d->cache, init->pixmap_cache_size);
        encoding_use_dictionary(d->encoding, CLAMP(init->glz_dictionary_window_size, 0, DICTIONARY_PIXELS), 0);
    }
    port_display_joined(d->port, &d->base);
}

static void take_message(struct channel *ch, unsigned id, const void *msg)
{
    struct display_channel *d = display_of(ch);

    switch (id) {
    case SPICE_MSGC_DISPLAY_INIT:
        take_init(d, msg);
        break;
    case SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION:
        take_preference(
            d, ((const struct spice_msgc_display_preferred_compression *)msg)->image_compression);
        break;
    case SPICE_MSGC_DISPLAY_STREAM_REPORT:
        video_take_report(d, msg);
        break;
    case SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE: {
        const struct spice_msgc_display_preferred_video_codec_type *wish = msg;

        video_take_wishes(d, wish->codecs, wish->count);
        break;
    }
    default:
        break;
    }
}

/* --- to and from another server --- */

void display_channel_leave(struct channel *ch)
{
    struct display_channel *d = display_of(ch);

    if (encoding_busy(d->encoding))
        d->leaving = true;
    else
        leave(d);
}

static int save(struct channel *ch, struct writer *w)
{
    struct display_channel *d = display_of(ch);
    const struct display_surface *s = port_surface(d->port);
    struct migrate_display state = {
        .initialised = d->initialised,
        .first = ch->params.first,
        .compression = d->compression,
        .refused_codecs = d->video_link.refused,
        .cache = (uint32_t)d->cache.room,
    };
    struct shown shown;
    int err;

    if (s)
        fingerprint_refresh(&d->port->print, s);
    err = shown_take(&shown, &d->view, &d->lossy, s ? &d->port->print.now : NULL, s);
    if (err)
        return err;
    encoding_dictionary(d->encoding, &state.window, &state.next_picture);
    static_assert(sizeof(state.codecs) == sizeof(d->video_link.wishes));
    memcpy(state.codecs, d->video_link.wishes, sizeof(state.codecs));
    state.width = shown.width;
    state.height = shown.height;
    state.secret = shown.secret;
    state.tile_count = shown.count;
    state.tiles = shown.tiles;
    err = migrate_data_encode(SPICE_CHANNEL_DISPLAY, &state, w);
    shown_fini(&shown);
    return err;
}

/* What the client keeps and has in its dictionary is nothing that is known here: it forgets it. */
static void restore_client(struct display_channel *d, const struct migrate_display *state)
{
    d->initialised = state->initialised;
    d->base.params.first = state->first;
    d->compression = state->compression;
    d->video_link.refused = state->refused_codecs;
    video_take_wishes(d, state->codecs, strnlen((const char *)state->codecs, sizeof(state->codecs)));
    if (!state->initialised)
        return; /* DISPLAY_INIT will come here */
    if (state->first) {
        pixmap_cache_init(&d->cache, state->cache);
        encoding_use_dictionary(d->encoding, MIN(state->window, DICTIONARY_PIXELS), state->next_picture);
        channel_send(&d->base, SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS, &(struct spice_msg_wait_for_channels){0});
    }
    port_display_joined(d->port, &d->base);
}

/* What it shows counts if the surface has that size: who says so pays for no more memory than others. */
static int restore_shown(struct display_channel *d, const struct migrate_display *state)
{
    const struct spice_msg_display_surface_destroy gone = {0};
    const struct display_surface *s = port_surface(d->port);
    size_t size = state->tile_count * sizeof(*state->tiles);

    if (!state->width)
        return 0;
    if (!s || s->width != state->width || s->height != state->height) {
        channel_send(&d->base, SPICE_MSG_DISPLAY_SURFACE_DESTROY, &gone);
        return 0;
    }
    d->brought = (struct shown){state->width, state->height, state->secret, state->tile_count, malloc(size)};
    if (!d->brought.tiles || begin_surface(d, state->width, state->height))
        return -ENOMEM;
    memcpy(d->brought.tiles, state->tiles, size);
    return 0;
}

static bool restore(struct channel *ch, const void *data)
{
    struct display_channel *d = display_of(ch);
    const struct migrate_display *state = data;

    static_assert(MIGRATE_MAX_TILES >= DISPLAY_MAX_WIDTH / (STRIP * SHOWN_COLUMNS) * DISPLAY_MAX_HEIGHT / SHOWN_ROWS);
    if (d->initialised || state->tile_count != shown_count(state->width, state->height))
        return false;
    channel_set_ack_window(ch, DISPLAY_ACK_WINDOW);
    restore_client(d, state);
    if (restore_shown(d, state))
        return false;
    schedule(d);
    return true;
}

void display_channel_arrive(struct channel *ch)
{
    if (ch->phase != CHANNEL_ARRIVING)
        return;
    channel_arrive(ch);
    start(display_of(ch));
}

/* --- life --- */

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

static void closed(struct channel *ch)
{
    struct display_channel *d = display_of(ch);

    uv_close((uv_handle_t *)d->timer, free_timer);
    port_channel_closed(d->port, ch);
}

static void free_channel(struct channel *ch)
{
    struct display_channel *d = display_of(ch);

    video_fini(d, false);
    view_fini(&d->view);
    edges_fini(&d->edges);
    lossy_fini(&d->lossy);
    shown_fini(&d->brought);
    pixmap_cache_fini(&d->cache);
    encoding_abandon(d->encoding);
    free(d);
}

static const struct channel_ops display_ops = {take_message, ready, save, restore, closed, free_channel};

void display_channel_create(struct display_port *port, const struct channel_params *params)
{
    struct display_channel *d = calloc(1, sizeof(*d));
    uv_timer_t *timer = malloc(sizeof(*timer));
    struct encoding *encoding = encoding_create();

    if (!d || !timer || !encoding)
        stream_close(params->stream);
    if (!d || !timer || !encoding ||
        channel_init(&d->base, &display_ops, port->display->loop, params)) {
        if (encoding)
            encoding_abandon(encoding);
        free(d);
        free(timer);
        return;
    }
    d->encoding = encoding;
    pixmap_cache_init(&d->cache, 0);
    d->budget = FIRST_BUDGET;
    d->port = port;
    d->compression = port->compression;
    d->base.max_queue = MSG_MAX_SIZE + CHANNEL_MAX_QUEUE;
    d->timer = timer;
    uv_timer_init(&port->display->loop->uv, timer);
    timer->data = d;
    LIST_INSERT_HEAD(&port->displays, &d->base, link);
    if (!params->arriving)
        start(d);
}

#include "spice/server/migrate_data.h"

#include "backend/display.h"
#include "spice/protocol/tables.h"

#include <errno.h>

#define VERSION      1 /* of each but those that have changed */
#define MAIN_VERSION 3

#define T struct migrate_main
static const struct msg_field main_state_fields[] = {
    {U8(agent_told)}, {U8(agent_started)}, {U8(agent_in_guest)}, {U32(mouse_mode)},
    {U32(agent_tokens)}, {U32(untold)}, {U32(skip)}, {U32(have)}, {ARRAY_INT(data, have, AGENT_PIECE)},
    {U32(pending_count)}, {ARRAY_INT(pending, pending_count, MIGRATE_MAX_CHUNKS)},
};
static TYPE(main_state, "main_state");
#undef T

#define T struct migrate_display
static const struct msg_field display_state_fields[] = {
    {U8(initialised)},     {U8(first)},   {U8(compression)}, {BYTES_FIXED(codecs)},
    {U32(refused_codecs)}, {U32(cache)},  {U32(window)},     {U64(next_picture)},
    {U32(width)},          {U32(height)}, {U64(secret)},     {U32(tile_count)},
    {ARRAY_INT(tiles, tile_count, MIGRATE_MAX_TILES)},
};
static TYPE(display_state, "display_state");
#undef T

#define T struct migrate_inputs
static const struct msg_field inputs_state_fields[] = {
    {BYTES_FIXED(held)}, {U8(prefix)}, {U32(buttons)}, {U32(x)},
    {U32(y)},            {U32(display)}, {U32(untold)}, {U32(pending_count)},
    {ARRAY_INT(pending, pending_count, MIGRATE_MAX_PENDING)},
};
static TYPE(inputs_state, "inputs_state");
#undef T

#define T struct migrate_cursor
static const struct msg_field cursor_state_fields[] = {{U8(nothing)}};
static TYPE(cursor_state, "cursor_state");
#undef T

#define T struct migrate_sound
static const struct msg_field sound_state_fields[] = {{U8(runs)}};
static TYPE(sound_state, "sound_state");
#undef T

/* --- what can be --- */

static bool is_flag(uint8_t v)
{
    return v <= 1;
}

static bool main_is_sane(const void *state)
{
    const struct migrate_main *m = state;

    return is_flag(m->agent_told) && is_flag(m->agent_started) && is_flag(m->agent_in_guest) && m->agent_started <= m->agent_told &&
           (m->mouse_mode == SPICE_MOUSE_MODE_SERVER || m->mouse_mode == SPICE_MOUSE_MODE_CLIENT) &&
           m->untold <= MIGRATE_MAX_UNTOLD && (m->skip == 0 || m->have == 0);
}

static bool display_is_sane(const void *state)
{
    const struct migrate_display *d = state;

    return is_flag(d->initialised) && is_flag(d->first) && d->compression > SPICE_IMAGE_COMPRESSION_INVALID &&
           d->compression < SPICE_IMAGE_COMPRESSION_ENUM_END && d->cache <= INT32_MAX && d->window <= INT32_MAX &&
           d->next_picture <= INT64_MAX && d->width <= DISPLAY_MAX_WIDTH && d->height <= DISPLAY_MAX_HEIGHT &&
           !d->width == !d->height;
}

static bool inputs_are_sane(const void *state)
{
    const struct migrate_inputs *in = state;

    return is_flag(in->prefix) && in->untold <= MIGRATE_MAX_UNTOLD;
}

static bool sound_is_sane(const void *state)
{
    return is_flag(((const struct migrate_sound *)state)->runs);
}

static bool anything_is_sane(const void *state UNUSED)
{
    return true;
}

/* --- all of them --- */

static const struct kind {
    unsigned channel;
    uint32_t magic;
    uint16_t version;
    const struct msg_type *type;
    bool (*is_sane)(const void *state);
} kinds[] = {
    {SPICE_CHANNEL_MAIN, 0x4e49414d, MAIN_VERSION, &main_state, main_is_sane},          /* "MAIN" */
    {SPICE_CHANNEL_DISPLAY, 0x50534944, VERSION, &display_state, display_is_sane}, /* "DISP" */
    {SPICE_CHANNEL_INPUTS, 0x54504e49, VERSION, &inputs_state, inputs_are_sane},   /* "INPT" */
    {SPICE_CHANNEL_CURSOR, 0x53525543, VERSION, &cursor_state, anything_is_sane},  /* "CURS" */
    {SPICE_CHANNEL_PLAYBACK, 0x59414c50, VERSION, &sound_state, sound_is_sane},    /* "PLAY" */
    {SPICE_CHANNEL_RECORD, 0x444f4352, VERSION, &sound_state, sound_is_sane},      /* "RCOD" */
};

static const struct kind *find(unsigned channel)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].channel == channel)
            return &kinds[i];
    return NULL;
}

int migrate_data_encode(unsigned channel, const void *state, struct writer *w)
{
    const struct kind *kind = find(channel);

    if (!kind || !kind->is_sane(state))
        return -EINVAL;
    writer_u32(w, kind->magic);
    writer_u16(w, kind->version);
    return msg_encode(kind->type, state, w);
}

int migrate_data_decode(unsigned channel, const void *data, size_t size, struct msg_arena *arena, void **state)
{
    const struct kind *kind = find(channel);
    struct reader r;
    int err;

    reader_init(&r, data, size);
    if (!kind || reader_u32(&r) != kind->magic || reader_u16(&r) != kind->version || r.bad)
        return -EBADMSG;
    err = msg_decode(kind->type, r.p, reader_left(&r), arena, state);
    if (err == -ENOMEM)
        return err;
    return err || !kind->is_sane(*state) ? -EBADMSG : 0;
}

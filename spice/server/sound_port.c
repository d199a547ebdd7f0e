#include "spice/server/sound_port.h"

#include "spice/server/playback_channel.h"
#include "spice/server/record_channel.h"

#include <stdlib.h>

struct sound_port {
    struct sound_end end;
    struct sound *sound;
    struct playback *playback;
    struct record *record;
};

static struct sound_port *port_of(struct sound_end *end)
{
    return container_of(end, struct sound_port, end);
}

/* --- the card's --- */

static void running(struct sound_end *end, enum sound_direction direction, const struct sound_format *format)
{
    if (direction == SOUND_PLAYBACK)
        playback_run(port_of(end)->playback, format);
    else
        record_run(port_of(end)->record, format);
}

static void play(struct sound_end *end, const int16_t *samples, size_t frames)
{
    playback_play(port_of(end)->playback, samples, frames);
}

static size_t record(struct sound_end *end, int16_t *samples, size_t frames)
{
    return record_take(port_of(end)->record, samples, frames);
}

static void set_volume(struct sound_end *end, enum sound_direction direction, const struct sound_volume *volume)
{
    if (direction == SOUND_PLAYBACK)
        playback_set_volume(port_of(end)->playback, volume);
    else
        record_set_volume(port_of(end)->record, volume);
}

static const struct sound_end_ops end_ops = {running, play, record, set_volume};

/* --- the channels --- */

/* Of that session; NULL: it has none. */
static struct channel *find(struct channel_list *list, uint32_t session)
{
    struct channel *ch;

    LIST_FOREACH (ch, list, link)
        if (ch->params.session == session)
            return ch;
    return NULL;
}

void sound_port_adopt(struct sound_port *p, const struct channel_params *params)
{
    bool plays = params->type == SPICE_CHANNEL_PLAYBACK;
    struct channel *before = find(plays ? playback_channels(p->playback) : record_channels(p->record), params->session);

    if (before)
        channel_close(before);
    if (plays)
        playback_adopt(p->playback, params);
    else
        record_adopt(p->record, params);
}

static void for_both(struct sound_port *p, uint32_t session, void (*to_heard)(struct channel *ch),
                     void (*to_spoken)(struct channel *ch))
{
    struct channel *heard = p ? find(playback_channels(p->playback), session) : NULL;
    struct channel *spoken = p ? find(record_channels(p->record), session) : NULL;

    if (heard)
        to_heard(heard);
    if (spoken)
        to_spoken(spoken);
}

void sound_port_close_session(struct sound_port *p, uint32_t session)
{
    for_both(p, session, channel_close, channel_close);
}

void sound_port_leave(struct sound_port *p, uint32_t session)
{
    for_both(p, session, channel_leave, channel_leave);
}

void sound_port_arrive(struct sound_port *p, uint32_t session)
{
    for_both(p, session, playback_arrive, record_arrive);
}

/* --- life --- */

struct sound_port *sound_port_create(struct loop *loop, struct sound *sound, bool compress)
{
    struct sound_port *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->end.ops = &end_ops;
    p->playback = playback_create(loop, compress);
    p->record = record_create(loop);
    if (!p->playback || !p->record) {
        sound_port_destroy(p);
        return NULL;
    }
    p->sound = sound;
    sound_add_end(sound, &p->end);
    return p;
}

void sound_port_destroy(struct sound_port *p)
{
    if (!p)
        return;
    if (p->sound)
        sound_remove_end(p->sound, &p->end);
    playback_destroy(p->playback);
    record_destroy(p->record);
    free(p);
}

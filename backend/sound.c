/* A sound card's seam: state that is kept for ends that come later, and handing on. */
#include "backend/sound.h"

/* Full, as cards are before a driver has said anything. */
static const struct sound_volume full = {.level = {UINT16_MAX, UINT16_MAX}};

#define TELL(s, member, ...)                                                                       \
    do {                                                                                           \
        struct sound_end *end_, *next_;                                                            \
        for (end_ = TAILQ_FIRST(&(s)->ends); end_; end_ = next_) {                                 \
            next_ = TAILQ_NEXT(end_, link);                                                        \
            if (end_->ops->member)                                                                 \
                end_->ops->member(end_, __VA_ARGS__);                                              \
        }                                                                                          \
    } while (0)

void sound_init(struct sound *s, struct loop *loop)
{
    *s = (struct sound){.loop = loop, .volume = {full, full}};
    TAILQ_INIT(&s->ends);
}

void sound_fini(struct sound *s)
{
    while (!TAILQ_EMPTY(&s->ends))
        sound_remove_end(s, TAILQ_FIRST(&s->ends));
}

void sound_add_end(struct sound *s, struct sound_end *end)
{
    TAILQ_INSERT_TAIL(&s->ends, end, link);
    for (enum sound_direction d = 0; d < SOUND_DIRECTIONS; d++) {
        if (end->ops->volume)
            end->ops->volume(end, d, &s->volume[d]);
        if (end->ops->running && s->format[d].rate)
            end->ops->running(end, d, &s->format[d]);
    }
}

void sound_remove_end(struct sound *s, struct sound_end *end)
{
    TAILQ_REMOVE(&s->ends, end, link);
}

void sound_run(struct sound *s, enum sound_direction direction, const struct sound_format *format)
{
    struct sound_format *now = &s->format[direction], to = format ? *format : (struct sound_format){0};

    if (now->rate == to.rate && now->channels == to.channels)
        return;
    if (now->rate)
        TELL(s, running, direction, NULL);
    *now = to;
    if (now->rate)
        TELL(s, running, direction, now);
}

void sound_play(struct sound *s, const int16_t *samples, size_t frames)
{
    uint32_t channels = s->format[SOUND_PLAYBACK].channels;

    for (size_t n; frames; frames -= n, samples += n * channels) {
        n = frames < SOUND_MAX_FRAMES ? frames : SOUND_MAX_FRAMES;
        TELL(s, play, samples, n);
    }
}

/* Returns how many frames the first end that has any gives. */
static size_t record_some(struct sound *s, int16_t *samples, size_t frames)
{
    struct sound_end *end;
    size_t n = 0;

    TAILQ_FOREACH(end, &s->ends, link) {
        if (end->ops->record && (n = end->ops->record(end, samples, frames)) > 0)
            break;
    }
    return n < frames ? n : frames;
}

void sound_record(struct sound *s, int16_t *samples, size_t frames)
{
    uint32_t channels = s->format[SOUND_RECORD].channels;

    for (size_t n, spoken; frames; frames -= n, samples += n * channels) {
        n = frames < SOUND_MAX_FRAMES ? frames : SOUND_MAX_FRAMES;
        spoken = record_some(s, samples, n);
        memset(samples + spoken * channels, 0, (n - spoken) * channels * sizeof(*samples));
    }
}

void sound_set_volume(struct sound *s, enum sound_direction direction, const struct sound_volume *volume)
{
    struct sound_volume *now = &s->volume[direction];

    if (sound_volume_is(now, volume))
        return;
    *now = *volume;
    TELL(s, volume, direction, now);
}

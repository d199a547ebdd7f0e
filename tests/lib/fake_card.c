#include "tests/lib/fake_card.h"

#include "tests/lib/tones.h"

#include <stdio.h>
#include <stdlib.h>

#define PERIOD_MS 10

/* The mean over tenths of the second: where the buffer has left out or repeated a period the phase is another. */
static double level(const struct fake_card *card, unsigned channel, double hertz)
{
    size_t part = card->rate / 10;
    double sum = 0;

    for (size_t i = 0; i < 10; i++)
        sum += tones_level(card->recorded + 2 * i * part + channel, 2, card->rate, part, hertz);
    return sum / 10;
}

static void say_what_was_spoken(const struct fake_card *card)
{
    if (tones_gap(card->recorded, 2, card->rate) < card->rate)
        printf("spoken %.0f %.0f\n", level(card, 0, TONE_LEFT), level(card, 1, TONE_RIGHT));
}

static void record(struct fake_card *card, size_t frames)
{
    size_t n;

    for (; frames; frames -= n) {
        n = MIN(frames, card->rate - card->count);
        sound_record(&card->sound, card->recorded + 2 * card->count, n);
        card->count += n;
        if (card->count < card->rate)
            continue;
        say_what_was_spoken(card);
        card->count = 0;
    }
}

/* As many frames as its clock says. */
static void tick(uv_timer_t *timer)
{
    struct fake_card *card = timer->data;
    uint64_t due = (uv_hrtime() - card->started) / 1000 * card->rate / 1000000;
    int16_t samples[2 * SOUND_MAX_FRAMES];

    while (card->done < due) {
        size_t n = MIN(due - card->done, (uint64_t)SOUND_MAX_FRAMES);

        tones_make(samples, 2, card->rate, card->done, n);
        sound_play(&card->sound, samples, n);
        record(card, n);
        card->done += n;
    }
}

void fake_card_start(struct fake_card *card, struct loop *loop, uint32_t rate)
{
    const struct sound_format format = {rate, 2};

    sound_init(&card->sound, loop);
    card->rate = rate;
    card->recorded = calloc(rate, 2 * sizeof(*card->recorded));
    card->started = uv_hrtime();
    sound_run(&card->sound, SOUND_PLAYBACK, &format);
    sound_run(&card->sound, SOUND_RECORD, &format);
    uv_timer_init(&loop->uv, &card->timer);
    card->timer.data = card;
    uv_timer_start(&card->timer, tick, PERIOD_MS, PERIOD_MS);
}

void fake_card_stop(struct fake_card *card)
{
    uv_close((uv_handle_t *)&card->timer, NULL);
    sound_fini(&card->sound);
    free(card->recorded);
}

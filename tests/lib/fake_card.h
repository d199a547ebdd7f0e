/* fake_card.h - a sound card without a guest: it plays tones (tones.h) for ever, and says what it records. */
#ifndef TESTS_LIB_FAKE_CARD_H
#define TESTS_LIB_FAKE_CARD_H

#include "backend/sound.h"

struct fake_card {
    struct sound sound;
    uint32_t rate; /* of both directions; stereo */
    uv_timer_t timer;
    uint64_t started, done; /* nanoseconds; frames */
    int16_t *recorded;      /* a second of it */
    size_t count;
};

/* Its timer begins when the loop runs. Each second in which somebody spoke is printed: "spoken L R", the tones' levels. */
void fake_card_start(struct fake_card *card, struct loop *loop, uint32_t rate);
/* Nobody is at its other ends. */
void fake_card_stop(struct fake_card *card);

#endif

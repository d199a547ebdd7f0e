#include "client/microphone.h"

#include <string.h>

int microphone_init(struct microphone *m)
{
    m->begin = m->end = m->lost = 0;
    gain_init(&m->gain);
    pthread_mutex_init(&m->lock, NULL);
    return notifier_init(&m->heard);
}

void microphone_fini(struct microphone *m)
{
    notifier_fini(&m->heard);
    pthread_mutex_destroy(&m->lock);
}

void microphone_hear(struct microphone *m, const int16_t (*frames)[2], size_t count)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < count; i++)
        memcpy(m->ring[m->end++ % MICROPHONE_FRAMES], frames[i], sizeof(*frames));
    if (m->end - m->begin > MICROPHONE_FRAMES) {
        m->lost += m->end - m->begin - MICROPHONE_FRAMES;
        m->begin = m->end - MICROPHONE_FRAMES;
    }
    pthread_mutex_unlock(&m->lock);
    notifier_signal(&m->heard);
}

void microphone_clear(struct microphone *m)
{
    pthread_mutex_lock(&m->lock);
    m->begin = m->end;
    pthread_mutex_unlock(&m->lock);
}

bool microphone_take(struct microphone *m, int16_t (*frames)[2], size_t count)
{
    bool enough;

    pthread_mutex_lock(&m->lock);
    enough = m->end - m->begin >= count;
    for (size_t i = 0; enough && i < count; i++)
        memcpy(frames[i], m->ring[m->begin++ % MICROPHONE_FRAMES], sizeof(*frames));
    pthread_mutex_unlock(&m->lock);
    return enough;
}

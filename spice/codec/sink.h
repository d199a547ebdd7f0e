/*
 * sink.h - room in a writer for an encoder's inner loop: reserve, store with plain pointers, commit.
 */
#ifndef SPICE_CODEC_SINK_H
#define SPICE_CODEC_SINK_H

#include "base/bytes.h"

#define SINK_STEP 16384

struct sink {
    struct writer *w;
    size_t start; /* the writer's size when the encoder began */
    uint8_t *p, *end;
};

static inline void sink_begin(struct sink *s, struct writer *w)
{
    *s = (struct sink){.w = w, .start = w->size, .p = w->data ? w->data + w->size : NULL};
    s->end = s->p;
}

/* Make the writer's size what was stored. */
static inline void sink_commit(struct sink *s)
{
    if (s->w->data)
        s->w->size = (size_t)(s->p - s->w->data);
}

static inline void sink_abort(struct sink *s)
{
    s->w->size = s->start;
}

bool sink_grow(struct sink *s, size_t n);

/* Room for n more bytes at s->p; false past the writer's max or without memory. */
static inline bool sink_reserve(struct sink *s, size_t n)
{
    return (size_t)(s->end - s->p) >= n || sink_grow(s, n);
}

/* A buffer that is kept between pictures and only grows. */
struct scratch {
    uint8_t *data;
    size_t size;
};

/* At least n bytes, content undefined; NULL without memory. */
uint8_t *scratch_get(struct scratch *s, size_t n);
void scratch_fini(struct scratch *s);

#endif

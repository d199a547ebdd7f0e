#include "spice/codec/sink.h"

#include <stdlib.h>

bool sink_grow(struct sink *s, size_t n)
{
    struct writer *w = s->w;
    size_t want;
    uint8_t *p;

    sink_commit(s);
    want = MIN(MAX(n, SINK_STEP), w->max - w->size);
    if (w->bad || want < n)
        return false;
    p = writer_extend(w, want);
    if (!p) {
        w->bad = false;
        return false;
    }
    s->p = p;
    s->end = p + want;
    return true;
}

uint8_t *scratch_get(struct scratch *s, size_t n)
{
    if (n > s->size) {
        scratch_fini(s);
        s->data = malloc(n);
        if (s->data)
            s->size = n;
    }
    return s->data;
}

void scratch_fini(struct scratch *s)
{
    free(s->data);
    *s = (struct scratch){0};
}

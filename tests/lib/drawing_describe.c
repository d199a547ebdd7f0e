#include "tests/lib/drawing_describe.h"

#include <stdio.h>
#include <string.h>

static void describe_picture(const char *name, const struct drawing_picture *p, char *text, size_t size)
{
    size_t n = strlen(text);

    if (p->width)
        snprintf(text + n, size - n, "%s kind %u %ux%u format %u colors %u surface %u ", name, p->kind, p->width, p->height,
                 p->format, p->colors, p->surface);
}

void drawing_describe(const struct drawing *d, char *text, size_t size)
{
    size_t n;

    snprintf(text, size, "type %u on %u, box %d,%d-%d,%d clips %u rop %x rop3 %02x scale %u brush %u ", d->type, d->surface,
             d->box.left, d->box.top, d->box.right, d->box.bottom, d->clip_count, d->rop, d->rop3, d->scale_mode,
             d->brush.type);
    describe_picture("source", &d->source, text, size);
    describe_picture("pattern", &d->brush.pattern, text, size);
    describe_picture("mask", &d->mask, text, size);
    n = strlen(text);
    snprintf(text + n, size - n, "composite %x transforms %u %u lines %u dashes %u gap %u glyphs %u bits %u", d->composite,
             d->transformed, d->mask_transformed, d->segment_count, d->dash_count, d->gap_first, d->glyph_count,
             d->glyph_bits);
}

/*
 * oracle.c - what guest/payload/draw.c should have drawn: for each line "SEED COUNT" on standard input the hashes of the
 * surfaces, in its words. With "SEED COUNT ?" the last of the commands instead.
 */
#include "tests/lib/drawing_oracle.h"

#include <inttypes.h>
#include <stdio.h>

static struct oracle_streams streams;

static void describe(const struct drawing *d)
{
    printf("type %u on surface %u, box %d,%d-%d,%d, %u clips, rop %x, rop3 %02x, source %u of format %u, brush %u, mask %u\n",
           d->type, d->surface, d->box.left, d->box.top, d->box.right, d->box.bottom, d->clip_count, d->rop, d->rop3,
           d->source.kind, d->source.format, d->brush.type, d->masked);
}

static void answer(unsigned seed, unsigned count, bool last)
{
    struct drawing_surface surfaces[DRAWING_SURFACES];
    struct drawing_random random;
    struct oracle oracle;
    struct drawing d = {0};

    drawing_start(&random, seed, surfaces);
    oracle_init(&oracle, &streams, surfaces);
    for (unsigned i = 0; i < count; i++) {
        drawing_next(&random, surfaces, &streams.streams, &d);
        oracle_draw(&oracle, &d);
    }
    for (unsigned i = 0; i < DRAWING_SURFACES && !last; i++)
        printf("%" PRIx64 "%c", oracle_hash(&oracle, i), i + 1 < DRAWING_SURFACES ? ' ' : '\n');
    if (last)
        describe(&d);
    fflush(stdout);
    oracle_fini(&oracle);
}

int main(void)
{
    char line[80], mark;
    unsigned seed, count;

    oracle_streams_init(&streams);
    while (fgets(line, sizeof(line), stdin)) {
        int n = sscanf(line, "%u %u %c", &seed, &count, &mark);

        if (n >= 2)
            answer(seed, count, n == 3);
    }
    oracle_streams_fini(&streams);
    return 0;
}

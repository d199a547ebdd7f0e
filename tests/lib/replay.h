/*
 * replay.h - a script drawn step by step in the plainest way, with pixman: the picture that every other way must come to.
 *
 * It knows what the traces' and workloads' guests draw: solid fills, copies as they are, copies within the screen.
 */
#ifndef TESTS_LIB_REPLAY_H
#define TESTS_LIB_REPLAY_H

#include "tests/lib/script.h"

#include <pixman.h>

struct replay {
    pixman_image_t **surfaces; /* by id; 0 is the screen */
    uint32_t count;
    pixman_region32_t drawn; /* of the screen, since replay_forget() */
};

int replay_init(struct replay *r, const struct script *s);
void replay_fini(struct replay *r);
/* -ENOTSUP with fail_text(): this is nothing that it can draw. */
int replay_step(struct replay *r, const struct step *step);
/* All steps of the slices up to this one, from *at on. */
int replay_slice(struct replay *r, const struct script *s, uint32_t slice, size_t *at);
void replay_forget(struct replay *r);

/*
 * How many pixels (the fourth byte does not count) within `drawn` differ from a picture of rows of BGRx; stride in bytes.
 * It looks no further than `enough`.
 */
uint64_t replay_compare(const struct replay *r, const uint8_t *pixels, uint32_t stride, uint64_t enough);

#endif

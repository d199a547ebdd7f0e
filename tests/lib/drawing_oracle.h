/*
 * drawing_oracle.h - random commands (guest/payload/drawing.h) drawn slowly: by pixman where blending, scaling and formats
 * matter, pixel by pixel otherwise. It shares no code with canvas/ and devices/qxl.
 */
#ifndef TESTS_LIB_DRAWING_ORACLE_H
#define TESTS_LIB_DRAWING_ORACLE_H

#include "guest/payload/drawing.h"

#include <pixman.h>

/* Recorded pictures of the reference's encoders, and what they show. */
struct oracle_streams {
    struct drawing_streams streams;
    struct drawing_size sizes[DRAWING_MAX_STREAMS];
    pixman_image_t *pictures[DRAWING_MAX_STREAMS];
    const uint8_t *data[DRAWING_MAX_STREAMS]; /* each behind its size */
    uint8_t types[DRAWING_MAX_STREAMS];
    uint8_t *files[2];
};

struct oracle {
    const struct oracle_streams *streams;
    struct drawing_surface formats[DRAWING_SURFACES];
    pixman_image_t *surfaces[DRAWING_SURFACES];
};

/* Reads tests/data/codec, in the order in which the payload does; ends the program if it cannot. */
void oracle_streams_init(struct oracle_streams *s);
void oracle_streams_fini(struct oracle_streams *s);

/* All is black. */
void oracle_init(struct oracle *o, const struct oracle_streams *streams, const struct drawing_surface *surfaces);
void oracle_fini(struct oracle *o);
void oracle_draw(struct oracle *o, const struct drawing *d);
/* The pixel as the guest's memory has it, without bits that mean nothing. */
uint32_t oracle_pixel(const struct oracle *o, unsigned surface, int x, int y);
/* As drawing_hash() has it. */
uint64_t oracle_hash(const struct oracle *o, unsigned surface);

#endif

/* workload_pictures.h - what the bitmaps of workloads show. Pixels are xRGB, rows without gaps. */
#ifndef TESTS_DISPLAY_WORKLOAD_PICTURES_H
#define TESTS_DISPLAY_WORKLOAD_PICTURES_H

#include "base/base.h"

/* A number from low to high, both included; one sequence for the whole program. */
void random_start(uint32_t seed);
int32_t random_between(int32_t low, int32_t high);
uint32_t random_color(void);

/* Lines of made-up letters with grey edges, 20 rows each. */
void draw_text(uint32_t *pixels, int width, int height, uint32_t paper, uint32_t ink);
/* Smooth waves of light, with a sensor's noise. */
void draw_photo(uint32_t *pixels, int width, int height);
/* A smooth background that moves, a disc that moves, noise that is new in each frame. */
void draw_frame(uint32_t *pixels, int width, int height, int number);
/* A flat shape with a border. */
void draw_icon(uint32_t *pixels, int size);

#endif

/*
 * picture.h - from SPICE's bitmap formats (spice/codec/image.h) to pictures that a canvas draws with.
 *
 * Pictures are pixman images with memory of their own: RGBA becomes a8r8g8b8, 8BIT_A a8, all others x8r8g8b8.
 * -EINVAL: impossible size or format; -ENOMEM.
 */
#ifndef CANVAS_PICTURE_H
#define CANVAS_PICTURE_H

#include "spice/codec/image.h"

#include <pixman.h>

/*
 * A picture without content for a decoder: `view` becomes its memory, of format RGBA, 8BIT_A or 32BIT, whichever `format`
 * turns into.
 */
int picture_create(uint8_t format, uint32_t width, uint32_t height, pixman_image_t **picture,
                   struct image *view);
/* What a palette's colours are where one draws on a surface of this format: on those of 16 bits they are of 16 bits too. */
void picture_palette_colors(uint32_t *colors, size_t count, uint32_t surface_format);
/* A copy of the bitmap; if not top_down, its first row is the picture's last. Indexed formats need a palette. */
int picture_from_bitmap(const struct image *bitmap, bool top_down, const struct palette *palette,
                        pixman_image_t **picture);
/* The bits of a 1BIT_LE or 1BIT_BE bitmap as a canvas mask (PIXMAN_a1), inverted or not. */
int picture_mask(const struct image *bitmap, bool top_down, bool invert, pixman_image_t **mask);

#endif

/*
 * glz.h - GLZ pictures: LZ whose matches may point into earlier pictures (SPICE_IMAGE_TYPE_GLZ_RGB, ZLIB_GLZ_RGB).
 *
 * All display channels of a session share one window of the pictures decoded last. Pictures have ids in the order in which
 * the server encoded them; channels may deliver them in another. The server was told the window's size and keeps its
 * references within the last so many pixels.
 *
 * The stream is all big-endian: magic and version as in LZ, type and 16 if top-down (u8), width, height, row bytes, id
 * (u64), distance to the oldest picture that may still be used; then literals and matches in pixels:
 *
 *   000n nnnn             n + 1 literal pixels follow
 *   LLLf oooo  [len...]  oooooooo  iiDD DDDD   a match of L + bias pixels, as in LZ.
 *       f = 0: offset of 12 bits; picture distance of 6 bits and ii more bytes
 *       f = 1: the third byte is iivo oooo: 5 more bits of offset, if v 8 more (after ii bytes of picture distance)
 *       picture distance 0: offset + 1 back in this picture; else the offset from the start of that one
 *
 * Indexed pictures never come as GLZ. RGB16 and RGB24 become 32BIT.
 */
#ifndef SPICE_CODEC_GLZ_H
#define SPICE_CODEC_GLZ_H

#include "spice/codec/image.h"

#define GLZ_MAX_WINDOW (16u << 20) /* pixels; the largest window a caller may ask for */

struct glz_window;

/* pixels: what the server was told. At most twice as many are kept, whatever comes. NULL without memory. */
struct glz_window *glz_window_create(uint32_t pixels);
void glz_window_destroy(struct glz_window *window);
/* Forget all pictures (the server began anew). */
void glz_window_clear(struct glz_window *window);

/*
 * The image's format is RGBA if the stream's is, else 32BIT. -EAGAIN: it refers to a picture that another channel has
 * yet to deliver; decode it again after that one.
 */
int glz_decode(struct glz_window *window, const void *data, size_t size, const struct image *image);
/* The same for a stream that zlib compressed; glz_size is what it says to become. */
int glz_decode_zlib(struct glz_window *window, const void *data, size_t size, size_t glz_size,
                    const struct image *image);
/* Width, height and format (32BIT or RGBA) that a stream claims. -EBADMSG if it has no sound header. */
int glz_peek(const void *data, size_t size, struct image *shape);

#endif

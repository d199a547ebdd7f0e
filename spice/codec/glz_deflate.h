/*
 * glz_deflate.h - a GLZ stream in zlib's form (SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB), for slow links.
 *
 * The message around the data has the GLZ stream's own size besides (spice_zlib_glz.glz_size). A picture is the same for
 * the client's window in either form. A context belongs to one thread at a time; it needs no lock of the dictionary's.
 */
#ifndef SPICE_CODEC_GLZ_DEFLATE_H
#define SPICE_CODEC_GLZ_DEFLATE_H

#include "base/bytes.h"

struct glz_deflate;

struct glz_deflate *glz_deflate_create(void);
void glz_deflate_destroy(struct glz_deflate *d);

/*
 * Append what a stream of `size` bytes becomes; the two must not overlap. -ENOSPC, and nothing is appended: it would not
 * become (much, if it is large) smaller, or pass the writer's max; then the stream goes as it is.
 */
int glz_deflate(struct glz_deflate *d, struct writer *w, const void *glz, size_t size);

#endif

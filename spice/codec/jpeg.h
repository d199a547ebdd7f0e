/*
 * jpeg.h - JPEG and JPEG_ALPHA pictures, and the frames of MJPEG streams. Lossy.
 *
 * JPEG_ALPHA data are a JPEG of the colours and then an LZ_TYPE_XXXA stream of the alpha; the message around them says how
 * long the first is.
 */
#ifndef SPICE_CODEC_JPEG_H
#define SPICE_CODEC_JPEG_H

#include "base/bytes.h"
#include "spice/codec/image.h"
#include "spice/codec/lz.h"

struct jpeg;

struct jpeg *jpeg_codec_create(void);
void jpeg_codec_destroy(struct jpeg *jpeg);

/* From 16BIT, 24BIT, 32BIT or RGBA (whose alpha is left out). quality 1 to 100. */
int jpeg_encode(struct jpeg *jpeg, struct writer *w, const struct image *image, int quality);
/* Into 32BIT (fourth byte 0), or the colours of RGBA (alpha 255). */
int jpeg_decode(struct jpeg *jpeg, const void *data, size_t size, const struct image *image);
/* A frame of a film, into 32BIT, whose fourth byte may become anything: faster, chroma is not smoothed between pixels. */
int jpeg_decode_frame(struct jpeg *jpeg, const void *data, size_t size, const struct image *image);
/* Width and height that a JPEG claims; format becomes 32BIT. */
int jpeg_peek(struct jpeg *jpeg, const void *data, size_t size, struct image *shape);

/* An RGBA image as JPEG_ALPHA; *jpeg_size is the length of the first part. */
int jpeg_alpha_encode(struct jpeg *jpeg, struct lz *lz, struct writer *w, const struct image *image,
                      int quality, size_t *jpeg_size);
/* Into RGBA. jpeg_size comes from the message and may be anything. */
int jpeg_alpha_decode(struct jpeg *jpeg, struct lz *lz, const void *data, size_t size,
                      size_t jpeg_size, const struct image *image);

#endif

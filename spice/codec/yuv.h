/*
 * yuv.h - pictures as video codecs want them: a plane of brightness, and two of colour, mostly with a quarter of the pixels.
 *
 * Values are those of television (16 to 235, 16 to 240). Streams do not say which matrix they have; viewers take
 * BT.601 for frames of up to 576 rows and BT.709 for higher ones, as GStreamer does, so this does too.
 */
#ifndef SPICE_CODEC_YUV_H
#define SPICE_CODEC_YUV_H

#include "spice/codec/image.h"

struct yuv {
    uint8_t *planes[3]; /* y, u, v */
    int strides[3];     /* bytes */
    bool full;          /* colour has as many pixels as brightness */
};

/* 32BIT or RGBA to planes of its width and height, not full; an odd row or column counts twice for its colour. */
void yuv_from_image(const struct yuv *to, const struct image *from);
/* Planes of the image's width and height to 32BIT. */
void yuv_to_image(const struct image *to, const struct yuv *from);

#endif

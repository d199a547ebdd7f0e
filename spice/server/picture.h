/* picture.h - pixels as the image that suits their content, the client and the way between. Any thread, one at a time. */
#ifndef SPICE_SERVER_PICTURE_H
#define SPICE_SERVER_PICTURE_H

#include "spice/codec/image.h"
#include "spice/protocol/messages.h"

struct picture_encoder;

struct picture_wish {
    uint8_t compression; /* SPICE_IMAGE_COMPRESSION_* */
    bool lz4;            /* the client understands it */
    bool hurry;          /* time counts more than bytes */
    bool lossy;          /* gradual content need not be exact, for now */
    bool no_zlib;        /* around GLZ */
};

/* An encoded picture; its bytes are in a writer. */
struct picture {
    uint8_t type; /* SPICE_IMAGE_TYPE_* */
    uint32_t width, height;
    size_t at, size;
    uint64_t glz_id; /* GLZ_RGB and ZLIB_GLZ_RGB: its number in the dictionary */
    size_t glz_size; /* before zlib */
};

struct picture_encoder *picture_encoder_create(void);
void picture_encoder_destroy(struct picture_encoder *e);
/*
 * From now on refer to what was sent before; window: the pixels that the client's dictionary has; next: the number of the
 * next picture in it. Then every picture made must be sent, in order, or withdrawn. Without memory for it nothing changes.
 */
void picture_use_dictionary(struct picture_encoder *e, uint32_t window, uint64_t next);
/* The number that the next picture gets; 0 without a dictionary. */
uint64_t picture_next(const struct picture_encoder *e);
/* Whether it will be LZ4, which takes hardly longer than a copy of the pixels. */
bool picture_is_quick(const struct picture_wish *wish);
/* Append to the writer. -ENOMEM */
int picture_encode(struct picture_encoder *e, const struct image *from,
                   const struct picture_wish *wish, struct writer *w, struct picture *picture);
/* The picture is not going to be sent: the last one first. */
void picture_withdraw(struct picture_encoder *e, const struct picture *p);
/* The picture as part of a message, valid as long as the writer is left alone. */
struct spice_image picture_image(const struct picture *p, const struct writer *w);

#endif

/* picture.h - a rectangle of the screen as the image that suits its content, its client and the way between. */
#ifndef SPICE_SERVER_PICTURE_H
#define SPICE_SERVER_PICTURE_H

#include "backend/display.h"
#include "spice/protocol/messages.h"

struct picture_encoder;

struct picture_wish {
    uint8_t compression; /* SPICE_IMAGE_COMPRESSION_* */
    bool lz4;            /* the client understands it */
    bool local;          /* bytes cost less than time */
};

struct picture_encoder *picture_encoder_create(void);
void picture_encoder_destroy(struct picture_encoder *e);
/* Fills *image; its data lives in the encoder until the next call. -ENOMEM */
int picture_encode(struct picture_encoder *e, const struct display_surface *surface,
                   const struct rect *rect, const struct picture_wish *wish,
                   struct spice_image *image);

#endif

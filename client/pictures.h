/*
 * pictures.h - the images of draw commands as pictures: every way SPICE sends them, and the caches the server refers to.
 *
 * The server keeps the caches within the sizes it was told and says what to forget (INVAL messages); one that does not is
 * refused. Pictures are pixman images, counted by reference. Thread: the loop's.
 */
#ifndef CLIENT_PICTURES_H
#define CLIENT_PICTURES_H

#include "spice/protocol/messages.h"

#include <pixman.h>

#define PICTURES_CACHE_PIXELS (20 * 1024 * 1024) /* told to the server, as is: */
#define PICTURES_GLZ_PIXELS   (8 * 1024 * 1024)  /* the window of GLZ */

struct pictures;

struct pictures_stats {
    uint64_t count[256]; /* decoded or found, by SPICE_IMAGE_TYPE_* */
    uint64_t decode_ns, decoded_pixels;
};

struct pictures *pictures_create(void);
void pictures_destroy(struct pictures *p);
const struct pictures_stats *pictures_stats(const struct pictures *p);

/*
 * The picture of an image of any type but SURFACE, for drawing on a surface of this format. Errors come with fail_text():
 * -EBADMSG malformed, not in the cache; -ENOMEM; -E2BIG the cache is over its size.
 */
int pictures_get(struct pictures *p, const struct spice_image *image, uint32_t surface_format, pixman_image_t **picture);
/* The same for an image of one bit a pixel that says where to draw. */
int pictures_get_mask(struct pictures *p, const struct spice_image *image, bool invert,
                      pixman_image_t **mask);

void pictures_forget(struct pictures *p, uint64_t id);
void pictures_forget_all(struct pictures *p);
void pictures_forget_palette(struct pictures *p, uint64_t id);
void pictures_forget_palettes(struct pictures *p);

#endif

/*
 * display_draw.h - what the handlers of draw messages share; display_text.c has those of text and lines, display_draw.c all
 * others.
 */
#ifndef CLIENT_DISPLAY_DRAW_H
#define CLIENT_DISPLAY_DRAW_H

#include "client/display_channel.h"

#define MAX_PICTURES 4 /* source, mask, two patterns */

/* One draw message on its way: the surface, where, and the pictures to let go of afterwards. */
struct draw {
    struct display_channel *d;
    struct canvas *c;
    struct canvas_target t;
    pixman_region32_t clip;
    pixman_image_t *pictures[MAX_PICTURES];
    size_t picture_count;
};

/* mask may be NULL. draw_close() must follow, also after an error. */
int draw_open(struct draw *w, struct channel *c, const struct spice_display_base *base,
              const struct spice_mask *mask);
/* Returns err, with words. */
int draw_close(struct draw *w, int err);
int draw_get_brush(struct draw *w, const struct spice_brush *brush, struct canvas_brush *out);

channel_handler_fn display_draw_text, display_draw_stroke;

#endif

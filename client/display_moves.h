/*
 * display_moves.h - moves that repeat, as by scrolling: one that follows another is kept for some milliseconds, with what is
 * drawn beside them, so that what is moved again and again is moved once, by the whole distance.
 *
 * Only what cannot fail is kept: no clip, no mask, no scaling, all of it inside of the surface. Thread: the session's loop.
 */
#ifndef CLIENT_DISPLAY_MOVES_H
#define CLIENT_DISPLAY_MOVES_H

#include "client/display_draw.h"

struct display_moves;

struct display_moves *display_moves_create(struct display_channel *d);
/* The channel is connected. */
void display_moves_start(struct display_moves *m);
/* The draw message, COPY_BITS from (x, y), or what comes into the pixels that it has left. true: it will be drawn; w is taken */
bool display_moves_add(struct display_moves *m, const struct draw *w, int32_t x, int32_t y);
bool display_moves_add_copy(struct display_moves *m, const struct draw *w, const struct canvas_source *src, uint16_t rop);
/* Draw all that is kept: before anything else is drawn, or a surface goes. */
void display_moves_draw(struct display_moves *m);
/* Draw it, and leave the loop. */
void display_moves_close(struct display_moves *m);
void display_moves_destroy(struct display_moves *m); /* NULL is fine */

#endif

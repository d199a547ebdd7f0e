/* fill.h - parts of the screen that have one colour, for DRAW_FILL. */
#ifndef SPICE_SERVER_FILL_H
#define SPICE_SERVER_FILL_H

#include "spice/server/move.h"

/* The large ones among the changed strips; `kind` is the colour. They are taken from the changed ones and shown from now on. */
void fill_take(struct change *c, struct cover *cover);
/* Whether the strips of the rectangle have one colour. */
bool fill_is_flat(const struct change *c, const struct rect *strips, uint32_t *colour);

#endif

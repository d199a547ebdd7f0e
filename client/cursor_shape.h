/* cursor_shape.h - SPICE's cursor pictures (alpha, mono, colour with a mask) as ARGB. */
#ifndef CLIENT_CURSOR_SHAPE_H
#define CLIENT_CURSOR_SHAPE_H

#include "client/screen.h"
#include "spice/protocol/messages.h"

/* Fills *shape with pixels of its own. -EINVAL: impossible size or too little data; -ENOMEM. */
int cursor_shape_decode(const struct spice_cursor *cursor, struct cursor_shape *shape);

#endif

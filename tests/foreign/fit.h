/* fit.h - which random commands libspice-server survives, and which it and spice-gtk draw as we do; docs/client.md says why. */
#ifndef TESTS_FOREIGN_FIT_H
#define TESTS_FOREIGN_FIT_H

#include "guest/payload/drawing.h"

/* Make the command one that the server takes; false: there is no way. s: the surfaces by id. */
bool fit_drawing(const struct drawing_surface *s, struct drawing *d);
/* Of those that fit: all draw it alike. */
bool fit_is_common(const struct drawing_surface *s, const struct drawing *d);

#endif

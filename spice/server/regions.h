/* regions.h - the changed strips as few rectangles: one more message costs about as much as some pixels sent in vain. */
#ifndef SPICE_SERVER_REGIONS_H
#define SPICE_SERVER_REGIONS_H

#include "base/grid.h"

#define REGIONS_MAX 256

/* Rectangles of strips that hold all that changed. */
size_t regions_find(const struct grid *changed, struct rect rects[REGIONS_MAX]);

#endif

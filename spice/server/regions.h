/* regions.h - the changed strips as few rectangles: one more message costs about as much as some pixels sent in vain. */
#ifndef SPICE_SERVER_REGIONS_H
#define SPICE_SERVER_REGIONS_H

#include "base/grid.h"

#define REGIONS_MAX 256

/* Plain: what is sent in vain was likely sent before, or takes few bytes. Costly: it takes as many as what changed. */
enum regions_cost { REGIONS_PLAIN, REGIONS_COSTLY };

/* Rectangles of strips that hold all that changed in one. */
size_t regions_find(const struct grid *changed, const struct rect *within, enum regions_cost cost,
                    struct rect rects[REGIONS_MAX]);

#endif

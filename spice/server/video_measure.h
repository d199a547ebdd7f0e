/*
 * video_measure.h - where a video's edges are, to the pixel: its outermost tiles are watched until they have changed a
 * few times. What is beside it in the same tiles stays out of the stream.
 */
#ifndef SPICE_SERVER_VIDEO_MEASURE_H
#define SPICE_SERVER_VIDEO_MEASURE_H

#include "spice/server/fingerprint.h"

struct video_measure {
    struct rect tiles; /* empty: nothing is measured */
    unsigned looks;
    bool wanted; /* the caller's */
    struct video_band {
        struct rect where; /* in pixels */
        uint8_t
            changes[TILE_ROWS]; /* of each line along the edge: the looks at which it had changed */
    } bands[4];                 /* left, right, above, below */
    uint32_t *pixels;           /* of the bands, as they were */
};

/* Watch a rectangle of tiles. -ENOMEM */
int video_measure_start(struct video_measure *m, const struct rect *tiles,
                        const struct display_surface *s);
void video_measure_stop(struct video_measure *m);
/* Look at the edges again: true when they have been seen often enough. */
bool video_measure_look(struct video_measure *m, const struct display_surface *s);
/* The video, in pixels: what changed more than once, and all that lies between. */
struct rect video_measure_result(const struct video_measure *m);

#endif

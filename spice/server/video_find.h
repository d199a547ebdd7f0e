/*
 * video_find.h - which parts of the screen are video: told by how often their pixels really change, not by how they are
 * drawn.
 *
 * Time is cut into samples; each tile has a history of the last 16, 0.8 seconds, in which it changed otherwise than by a
 * move. One that did in four of them, amid content that is gradual (codec/content.h), is warm; with seven it is hot. Text,
 * cursors, windows that are dragged, what scrolls, never are. Warm tiles that are near to each other make a rectangle; it
 * is video when enough of it is hot.
 *
 * It belongs to a client: moves are known for each alone, and one whose link is slow sees few of the pictures; what then
 * changed between two updates counts as if there had been no time between. 2 bytes and 5 bits a tile.
 */
#ifndef SPICE_SERVER_VIDEO_FIND_H
#define SPICE_SERVER_VIDEO_FIND_H

#include "backend/display.h"
#include "base/grid.h"

#define VIDEO_FIND_MAX  16
#define VIDEO_SAMPLE_NS 50000000
#define VIDEO_LIVES_NS  500000000 /* what does not change for so long is no video any more */

struct video_find {
    uint32_t width, height; /* of the surface, in pixels */
    struct grid sample;     /* tiles that changed in the one at hand */
    struct grid warm, hot;
    struct grid looked, gradual; /* tiles whose content was looked at lately; and what it was */
    struct rect
        known[VIDEO_FIND_MAX]; /* pixels: videos; what is beside one says nothing of its content */
    uint16_t *history;         /* of each tile; bit 0: the last sample */
    uint64_t start;            /* of the sample; 0: there is none yet */
    uint32_t turn;             /* which tiles' content is looked at again next */
    bool all;                  /* any content will do */
};

/* -ENOMEM */
int video_find_init(struct video_find *f, uint32_t width, uint32_t height, bool all);
void video_find_fini(struct video_find *f);
/* These strips changed. */
void video_find_add(struct video_find *f, const struct grid *strips);
/*
 * Before what an update adds: true if a sample ended, and with it what is warm and hot may be another. held: the update
 * could not come earlier, so its distance says nothing.
 */
bool video_find_tick(struct video_find *f, uint64_t now, bool held,
                     const struct display_surface *s);
/* Where a video is, to the pixel; an empty rectangle: there is none of that number any more. */
void video_find_know(struct video_find *f, uint32_t number, const struct rect *pixels);
/* Whether the content of a tile is gradual, or was lately. */
bool video_find_gradual(struct video_find *f, uint32_t x, uint32_t y,
                        const struct display_surface *s);
/* Whether it changed in any of the last samples. */
bool video_find_moves(const struct video_find *f, uint32_t x, uint32_t y);
/* Rectangles of tiles that may be video, apart from each other. */
size_t video_find_rects(const struct video_find *f, struct rect rects[VIDEO_FIND_MAX]);
bool video_find_is_sure(const struct video_find *f, const struct rect *tiles);

#endif

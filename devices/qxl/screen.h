/*
 * screen.h - a picture drawn row by row for a display: keeps the pixels, finds out what really changed, reports it.
 *
 * Thread: the display's loop.
 */
#ifndef DEVICES_QXL_SCREEN_H
#define DEVICES_QXL_SCREEN_H

#include "backend/display.h"

#define SCREEN_MAX_DAMAGE 32

struct screen {
    struct display *display;
    uint32_t *pixels; /* width * height, BGRx */
    uint32_t width, height;
    struct rect damage[SCREEN_MAX_DAMAGE];
    size_t damage_count;
};

void screen_init(struct screen *s, struct display *display);
void screen_fini(struct screen *s);
/* Be width x height (1..DISPLAY_MAX_*), black, if it is not so already. 1: is new, 0: as it was, or -ENOMEM. */
int screen_resize(struct screen *s, uint32_t width, uint32_t height);
/* Make this the display's picture again after another was. */
void screen_show(struct screen *s);
/* Put pixels at (x, y); all inside. What differs from before becomes damage. */
void screen_put(struct screen *s, uint32_t x, uint32_t y, const uint32_t *row, uint32_t width);
/* Report the damage collected. */
void screen_flush(struct screen *s);

#endif

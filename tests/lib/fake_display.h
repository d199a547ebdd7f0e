/*
 * fake_display.h - a display without a guest: patterns, scrolling lines, a cursor, in a thread of its own.
 *
 * The calls wait until the display's thread has done the work, so that what follows them may rely on it.
 */
#ifndef TESTS_LIB_FAKE_DISPLAY_H
#define TESTS_LIB_FAKE_DISPLAY_H

#include "backend/display.h"

struct fake_display {
    struct loop loop;
    struct display display;
    uint32_t width, height;
    uint8_t *pixels;
    bool tells;         /* what it drags it reports as moved, not as damage */
    bool watched;       /* in the display's thread */
    size_t max_heads;   /* 0: it does not listen to what clients want of monitors; else it does that */
    unsigned obeyed;    /* how often it did */
    bool present;       /* a client is, as the guest was told */
    uint8_t client_cap; /* the first byte of its capabilities */
    uint32_t seed;
};

void fake_display_init(struct fake_display *f, uint32_t width, uint32_t height);
void fake_display_fini(struct fake_display *f);
/* From now on it obeys clients that want monitors, at most so many; 0: it does not listen. */
void fake_display_take_heads(struct fake_display *f, size_t max);
/* The guest's own choice of monitors. */
void fake_display_set_heads(struct fake_display *f, const struct display_head *heads, size_t count);
/* Wait until it obeyed once more than `before` times; false: it did not within five seconds. */
bool fake_display_obeys(struct fake_display *f, unsigned before);
/* A new surface; 0 x 0: none. */
void fake_display_resize(struct fake_display *f, uint32_t width, uint32_t height);
/* "text", "gradient", "noise", "mixed" over the whole surface. */
void fake_display_draw(struct fake_display *f, const char *pattern);
/* Move everything up by some lines and draw a new one, as a terminal does. */
void fake_display_scroll(struct fake_display *f, unsigned lines);
/* What is in a rectangle goes by (dx, dy), as far as it stays on the surface; the place it leaves is as it was. */
void fake_display_drag(struct fake_display *f, struct rect rect, int32_t dx, int32_t dy);
/* Noise in a rectangle; with the same seed the same. */
void fake_display_noise(struct fake_display *f, struct rect rect, uint32_t seed);
/* A frame of a film in a rectangle, damaged as a whole or by tiles. */
void fake_display_film(struct fake_display *f, struct rect rect, uint32_t number, bool tiles);
/* A rectangle of one colour. */
void fake_display_fill(struct fake_display *f, struct rect rect, uint32_t colour);
void fake_display_cursor(struct fake_display *f, uint32_t size);
void fake_display_move_cursor(struct fake_display *f, int32_t x, int32_t y);
/* The picture as rows of r, g, b; to be freed. */
uint8_t *fake_display_rgb(struct fake_display *f, uint32_t *width, uint32_t *height);
bool fake_display_is_watched(struct fake_display *f);
/* The first byte of the client's capabilities, -1 while there is no client. */
int fake_display_client(struct fake_display *f);

#endif

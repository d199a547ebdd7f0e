/*
 * fingerprint.h - the hashes of a surface, and what of it changed for whom.
 *
 * The display's port has one fingerprint of what is drawn; it only notes damage, and hashes it when a client is next
 * brought up to date: once, however many clients there are and however often it was drawn over. Each client has a view:
 * the hashes of what it shows, and where it may be behind.
 */
#ifndef SPICE_SERVER_FINGERPRINT_H
#define SPICE_SERVER_FINGERPRINT_H

#include "base/grid.h"
#include "spice/server/strips.h"

#define TILE_ROWS 16 /* damage is noted in tiles of STRIP x TILE_ROWS pixels */

/* The tiles that a rectangle of pixels touches, and those of a surface that lie in it with all their pixels. */
struct rect tiles_touched(const struct rect *pixels);
struct rect tiles_inside(const struct rect *pixels, uint32_t width, uint32_t height);

/* A set of tiles. */
struct damage {
    struct grid tiles;
    bool any;
};

int damage_init(struct damage *d, uint32_t width, uint32_t height);
void damage_fini(struct damage *d);
/* A rectangle of pixels. */
void damage_add(struct damage *d, const struct rect *pixels);

struct fingerprint {
    struct strip_key key;
    struct strip_map now; /* after fingerprint_refresh(); hash == NULL: there is no surface, or no memory */
    struct damage stale;
    struct grid before; /* stale tiles, while content moves */
};

/* A surface of this size, all of it stale; 0 x 0: none. -ENOMEM. The key is left alone. */
int fingerprint_resize(struct fingerprint *f, uint32_t width, uint32_t height);
/* Pixels came to `to` from (dx, dy) before: up and down their hashes come with them, else they are stale. */
void fingerprint_moved(struct fingerprint *f, const struct rect *to, int32_t dx, int32_t dy);
/* Hash what was damaged since the last time. */
void fingerprint_refresh(struct fingerprint *f, const struct display_surface *surface);

struct view {
    struct strip_map shown;
    struct damage behind;
    /* Of each tile that is behind, and of each that was at the last comparison: its first column that may differ, and in
     * the upper four bits its last. */
    uint8_t *spans, *compared_spans;
};

/* Nothing is known of the client. -ENOMEM */
int view_init(struct view *v, uint32_t width, uint32_t height);
void view_fini(struct view *v);
/* The client may show something else in this rectangle of pixels. */
void view_damage(struct view *v, const struct rect *pixels);
/* The strips that the client shows otherwise than they are now; then nothing is behind. Returns how many there are. */
uint32_t view_compare(struct view *v, const struct strip_map *now, struct grid *changed);
/* The pixels of these strips of which one, where `changed` has it, may differ: columns at the sides that were not damaged
 * before the last comparison are left out. */
struct rect view_tighten(const struct view *v, const struct grid *changed, const struct rect *strips);
/* These strips were sent as they are now. */
void view_sent(struct view *v, const struct strip_map *now, const struct rect *strips);
/* What the client shows there is not known. */
void view_forget(struct view *v, const struct rect *strips);

#endif

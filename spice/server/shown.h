/*
 * shown.h - what a client shows, in a form that another server can compare with its own picture: a hash of each tile.
 *
 * The hashes are made anew for each journey, with a secret made for it: those that the display's port lives by are secret
 * from clients, and the same for all of them. A tile is known only if the client shows exactly what the surface has there.
 * 32 KB at most, whatever the size; 1 KB for 1920 x 1080.
 */
#ifndef SPICE_SERVER_SHOWN_H
#define SPICE_SERVER_SHOWN_H

#include "spice/server/fingerprint.h"
#include "spice/server/lossy.h"

#define SHOWN_COLUMNS 8 /* strips */
#define SHOWN_ROWS    128 /* lines of pixels */
#define SHOWN_UNKNOWN UINT64_MAX

struct shown {
    uint32_t width, height; /* of the client's surface; 0 x 0: it has none */
    uint64_t secret;
    uint32_t count;
    uint64_t *tiles; /* row by row, owned; SHOWN_UNKNOWN: it shows something else, or nearly this */
};

/* How many tiles a surface has. */
uint32_t shown_count(uint32_t width, uint32_t height);
/* now: of the surface as it is; NULL: there is none, and nothing is known. -ENOMEM */
int shown_take(struct shown *s, const struct view *view, const struct lossy *lossy, const struct strip_map *now,
               const struct display_surface *surface);
/* The tiles that are as the surface is now count as sent, if it has the same size. */
void shown_apply(const struct shown *s, struct view *view, const struct strip_map *now,
                 const struct display_surface *surface);
void shown_fini(struct shown *s);

#endif

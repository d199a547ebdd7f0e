/*
 * batch.h - parts of the screen on their way to pictures: copied, with their hashes, so that a worker can encode them while
 * the guest draws on; or in place, if encoding takes no longer than copying would.
 *
 * Filled in the display's loop, run once in a worker (or at once, if it is small), then read in the loop again.
 */
#ifndef SPICE_SERVER_BATCH_H
#define SPICE_SERVER_BATCH_H

#include "spice/codec/video.h"
#include "spice/server/picture.h"
#include "spice/server/strips.h"

#define BATCH_MAX_PIECES 512

struct batch_piece {
    struct rect strips, rect; /* rect: in pixels, at the sides it may be less */
    size_t pixels, hashes;    /* where they begin */
    uint64_t id; /* of the content; 0: not worth keeping */
    struct picture picture;
    struct video_encoder *video; /* a frame of a stream; NULL: a picture */
    struct video_wish video_wish;
    uint32_t stream;
    int err; /* of encoding */
};

struct batch {
    struct picture_wish wish;
    /* Not NULL: pixels are not copied but taken from there; batch_run() comes before the guest draws on. */
    const struct display_surface *in_place;
    size_t count, pixel_count, hash_count;
    size_t pixel_room, hash_room;
    unsigned small; /* updates since the last large one */
    uint32_t *pixels;
    uint64_t *hashes;
    struct writer out;
    struct batch_piece pieces[BATCH_MAX_PIECES];
};

struct batch *batch_create(void);
void batch_destroy(struct batch *b);
/* Empty it; the memory stays, unless it is much. */
void batch_clear(struct batch *b);
/* The strips, of which only these pixels changed. -ENOSPC: there are too many pieces; -ENOMEM */
int batch_add(struct batch *b, const struct display_surface *surface, const struct strip_map *now,
              const struct rect *strips, const struct rect *pixels, uint64_t id);
/* A rectangle of pixels, with the hashes of the strips that it touches; the caller says what becomes of it. NULL: no room */
struct batch_piece *batch_add_frame(struct batch *b, const struct display_surface *surface,
                                    const struct strip_map *now, const struct rect *pixels);
/* Encode all pieces; then the pixels are not needed any more. */
void batch_run(struct batch *b, struct picture_encoder *e);
/* These pieces, from `first` on, are not going to be sent. */
void batch_withdraw(struct batch *b, struct picture_encoder *e, size_t first);
/* The piece was sent: the client shows what it had. */
void batch_shown(const struct batch *b, const struct batch_piece *piece, struct strip_map *shown);

#endif

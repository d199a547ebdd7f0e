/*
 * drawing.h - QXL commands at random: a seed becomes the same commands in a guest, which gives them to the device
 * (drawing_qxl.c), and in whoever draws them by other means and compares (tests/lib/drawing_oracle.c).
 *
 * Nothing here needs a library: it runs in a payload as it does in a test. Colours and pixels are those of the QXL structures.
 */
#ifndef PAYLOAD_DRAWING_H
#define PAYLOAD_DRAWING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRAWING_SURFACES 7 /* 0 is the primary */
#define DRAWING_CLIPS    6
#define DRAWING_GLYPHS   6
#define DRAWING_SEGMENTS 4
#define DRAWING_POINTS   6 /* of a segment */
#define DRAWING_DASHES   5
#define DRAWING_MAX_SIZE 300 /* sides of a box */

/* Beside QXL_DRAW_*: a surface is destroyed and created anew with the content that it left. */
#define DRAWING_REMAKE 100

struct drawing_surface {
    uint32_t format; /* SPICE_SURFACE_FMT_* */
    uint16_t width, height;
    bool bottom_up;
};

struct drawing_box {
    int32_t left, top, right, bottom;
};

enum drawing_picture_kind {
    DRAWING_BITMAP,
    DRAWING_SURFACE, /* another surface, or the one that is drawn on */
    DRAWING_SELF,    /* a part of the surface that is drawn on: `self` */
    DRAWING_STREAM,  /* one that was compressed before: QUIC or LZ */
};

struct drawing_picture {
    enum drawing_picture_kind kind;
    uint16_t width, height;
    /* BITMAP: its bytes are drawing_bytes(seed); the palette's those of seed + 1 */
    uint8_t format; /* SPICE_BITMAP_FMT_* */
    bool top_down;
    uint32_t stride, seed;
    uint16_t piece;  /* bytes of a chunk; 0: not in chunks */
    uint16_t colors; /* of a palette; 0: there is none */
    bool cached;     /* by its seed it may be kept, and its palette */
    uint8_t surface;
    struct drawing_box self;
    uint16_t stream; /* number of it */
};

struct drawing_brush {
    uint8_t type; /* SPICE_BRUSH_TYPE_* */
    uint32_t color;
    struct drawing_picture pattern;
    int32_t x, y;
};

struct drawing_glyph {
    int32_t x, y;               /* place */
    int32_t origin_x, origin_y; /* added to it */
    uint16_t width, height;
};

struct drawing_segment {
    uint32_t flags;                    /* QXL_PATH_* */
    uint32_t count;                    /* of points; with BEZIER 1 + 3 n, all on one line for each curve */
    int32_t x[DRAWING_POINTS * 3 + 1]; /* 28.4 */
    int32_t y[DRAWING_POINTS * 3 + 1];
};

struct drawing {
    uint8_t type, surface;
    struct drawing_box box;
    unsigned clip_count; /* 0: there is no clip */
    struct drawing_box clips[DRAWING_CLIPS];
    uint16_t clip_piece;

    uint16_t rop; /* SPICE_ROPD_* */
    uint8_t rop3, scale_mode;
    struct drawing_picture source;
    struct drawing_box area; /* of the source */
    struct drawing_brush brush;
    bool masked, mask_inverted;
    struct drawing_picture mask; /* COMPOSITE has one of any format */
    int32_t mask_x, mask_y;

    int32_t from_x, from_y; /* COPY_BITS; COMPOSITE: in the source */
    uint32_t key;           /* TRANSPARENT */
    uint8_t alpha;          /* ALPHA_BLEND */
    uint16_t alpha_flags;
    uint32_t composite; /* flags */
    bool transformed, mask_transformed;
    uint32_t transform[6], mask_transform[6];

    /* TEXT: bytes of all glyphs are drawing_bytes(seed), one after the other */
    unsigned glyph_count, glyph_bits;
    bool glyphs_top_down;
    struct drawing_glyph glyphs[DRAWING_GLYPHS];
    uint32_t glyph_seed;
    uint16_t text_piece;
    struct drawing_box back_area;
    struct drawing_brush back;
    uint16_t back_rop;

    /* STROKE */
    unsigned segment_count, dash_count;
    struct drawing_segment segments[DRAWING_SEGMENTS];
    int32_t dashes[DRAWING_DASHES]; /* 28.4 */
    bool gap_first;
    uint16_t path_piece;
};

/* What compressed pictures there are. */
struct drawing_size {
    uint16_t width, height;
};

#define DRAWING_MAX_STREAMS 256

struct drawing_streams {
    uint16_t count;
    const struct drawing_size *sizes;
};

/* Whether a recorded stream (tests/lib/recorded.h) is one of them. */
bool drawing_takes_stream(uint8_t type, uint8_t format, uint16_t width, uint16_t height);

struct drawing_random {
    uint32_t state;
};

void drawing_start(struct drawing_random *r, uint32_t seed, struct drawing_surface surfaces[DRAWING_SURFACES]);
void drawing_next(struct drawing_random *r, const struct drawing_surface surfaces[DRAWING_SURFACES],
                  const struct drawing_streams *streams, struct drawing *d);
/* Bytes of a picture; what RGBA pictures have of a colour is not more than their alpha. */
void drawing_bytes(uint32_t seed, uint8_t *bytes, size_t size);
void drawing_picture_bytes(const struct drawing_picture *p, uint8_t *bytes);
/* Colours of its palette. */
uint32_t drawing_palette(const struct drawing_picture *p, unsigned i);
uint32_t drawing_glyph_bytes(const struct drawing *d, unsigned i);
unsigned drawing_bitmap_bits(uint8_t format);
unsigned drawing_surface_bits(uint32_t format);

/* --- drawing_qxl.c --- */

/* A guest's memory for commands. */
struct drawing_memory {
    uint8_t *base;
    uint64_t slot; /* address of base */
    uint64_t next, end;
    const uint8_t *const *streams; /* recorded streams, each behind its size (u32) */
    const uint8_t *stream_types;
    bool words; /* no chunk of a stream ends within four bytes */
    bool full;  /* something found no room: start anew */
};

/* The address of a QXLDrawable. Its release id is its offset. */
uint64_t drawing_encode(struct drawing_memory *m, const struct drawing *d);
/* Of a QXLSurfaceCmd that creates (with what is there, if keep) or destroys. */
uint64_t drawing_encode_surface(struct drawing_memory *m, unsigned id, const struct drawing_surface *s, uint64_t data,
                                bool create, bool keep);
int32_t drawing_stride(const struct drawing_surface *s);
/* A pixel in the guest's memory of a surface, without bits that mean nothing. */
uint32_t drawing_pixel(const struct drawing_surface *s, const uint8_t *memory, int x, int y);
/* FNV-1a of the rows' words, bits that mean nothing being 0. */
#define DRAWING_HASH_START 0xcbf29ce484222325
#define DRAWING_HASH_PRIME 0x100000001b3
uint64_t drawing_hash(const struct drawing_surface *s, const uint8_t *memory);

#endif

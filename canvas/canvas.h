/*
 * canvas.h - surfaces in memory, and the drawing that SPICE and QXL commands ask for.
 *
 * A canvas is a rectangle of pixels in one of SPICE's surface formats. Drawing takes plain C parameters; whoever holds a
 * command (the QXL device, the server, the client) has decoded its pictures into pixman images before.
 *
 * Everything may come from a guest or a peer: boxes may lie outside the canvas (what is outside is not drawn), source
 * areas must lie inside their picture (-EINVAL otherwise), and no operation takes more memory than its surface and pictures.
 * Thread: one at a time for a canvas and for each picture it is given. Pixels follow the SPICE protocol, section
 * "display channel": 32-bit words 0xAARRGGBB, 16-bit words 565 or 555.
 */
#ifndef CANVAS_CANVAS_H
#define CANVAS_CANVAS_H

#include "base/rect.h"

#include <pixman.h>

#define CANVAS_MAX_SIZE 16384 /* width and height of a canvas and of a picture */

struct canvas {
    uint32_t format;        /* SPICE_SURFACE_FMT_* */
    uint32_t width, height; /* 1..CANVAS_MAX_SIZE */
    uint32_t stride;        /* bytes, a multiple of 4 */
    uint8_t *pixels;        /* the first row on top */
    pixman_image_t *image;  /* the same memory; reads of an xRGB canvas give opaque pixels */
};

struct canvas_point {
    int32_t x, y;
};

/* Where to draw. What lies outside of `clip` or is 0 in the mask stays as it is. */
struct canvas_target {
    struct rect box;
    const pixman_region32_t *clip; /* NULL: the whole canvas */
    pixman_image_t *mask;          /* PIXMAN_a1, or NULL */
    int32_t mask_x, mask_y;        /* the mask's pixel at the box's left top corner */
};

/* A part of a picture; it is scaled to the target's box if the sizes differ. */
struct canvas_source {
    pixman_image_t *image;
    struct rect area;
    uint32_t scale_mode; /* SPICE_IMAGE_SCALE_MODE_* */
};

struct canvas_brush {
    uint32_t type;           /* SPICE_BRUSH_TYPE_*; NONE is as solid of colour 0, but for text, which it leaves out */
    uint32_t color;          /* solid: the surface's own pixel value */
    pixman_image_t *pattern; /* pattern: tiles the surface */
    int32_t x, y;            /* pattern: where in the surface one tile begins */
};

/* A new canvas of zero bytes. -EINVAL: no such format or size. */
int canvas_create(struct canvas **canvas, uint32_t format, uint32_t width, uint32_t height);
/* NULL is fine. */
void canvas_destroy(struct canvas *canvas);
/* The pixman format of a surface format; 0: there is none. */
pixman_format_code_t canvas_pixman_format(uint32_t surface_format);
struct rect canvas_bounds(const struct canvas *canvas);
/* The union of rectangles; pixman_region32_fini() it. -ENOMEM. */
int canvas_region(pixman_region32_t *region, const struct rect *rects, size_t count);

/*
 * The drawing operations. `rop` is a SPICE_ROPD_* descriptor; they return 0, -EINVAL (the parameters are not possible;
 * nothing was drawn) or -ENOMEM.
 */

/* Brush on destination. With BLACKNESS, WHITENESS and INVERS the brush is not looked at and may be NULL. */
int canvas_fill(struct canvas *c, const struct canvas_target *t, const struct canvas_brush *brush,
                uint16_t rop);
/* Picture on destination: COPY and BLEND. */
int canvas_copy(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                uint16_t rop);
/* The picture replaces the destination, the brush is combined with the picture. */
int canvas_opaque(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                  const struct canvas_brush *brush, uint16_t rop);
/* Any of the 256 ternary operations of brush, picture and destination, as in Windows. */
int canvas_rop3(struct canvas *c, const struct canvas_target *t, const struct canvas_source *src,
                const struct canvas_brush *brush, uint8_t rop3);
/* Move pixels inside the canvas; (x, y) comes to the box's left top corner. They may overlap. */
int canvas_copy_bits(struct canvas *c, const struct canvas_target *t, int32_t x, int32_t y);

/*
 * A series of the same move, of which `left` are to come, this one included: the rectangle `to`, each pixel from so far away.
 * If nothing else draws in the rectangle meanwhile, each pixel need be moved only once, by left * from: the first move brings
 * what was in the rectangle (or before it) when the series began to where the last one would. Each later one brings what has
 * come to the rectangle's border since, also to its last place. Says what of the rectangle this move has to fill; made here.
 */
void canvas_move_again(pixman_region32_t *region, const struct rect *to, struct canvas_point from, uint32_t left,
                       bool first);
/* The picture without its pixels of the colour `key` (0xRRGGBB), as exactly as the canvas can tell them. */
int canvas_transparent(struct canvas *c, const struct canvas_target *t,
                       const struct canvas_source *src, uint32_t key);
/*
 * The picture (premultiplied) over the destination, all of it weakened by alpha (0..255). A surface of the format ARGB has
 * alpha on either side, whatever a command's flags say.
 */
int canvas_alpha_blend(struct canvas *c, const struct canvas_target *t,
                       const struct canvas_source *src, uint8_t alpha, bool dest_has_alpha);

/* One of the two pictures of a composite; XRender's terms. */
struct canvas_layer {
    pixman_image_t *image;
    int32_t x, y; /* its pixel at the box's left top corner, before the transform */
    pixman_filter_t filter;
    pixman_repeat_t repeat;
    const pixman_transform_t *transform; /* or NULL */
    bool opaque;                         /* ignore its alpha */
    bool component_alpha;
};

/* mask->image may be NULL. */
int canvas_composite(struct canvas *c, const struct canvas_target *t, pixman_op_t op,
                     const struct canvas_layer *src, const struct canvas_layer *mask,
                     bool dest_opaque);

struct canvas_glyph {
    int32_t x, y; /* left top corner in the surface */
    uint32_t width, height;
    const uint8_t
        *bits; /* rows of (width * bits + 7) / 8 bytes, the first pixel in the high bits */
};

struct canvas_text {
    const struct canvas_glyph *glyphs;
    size_t count;
    unsigned bits; /* 1, 4 or 8: of coverage a pixel */
    bool top_down; /* or the last row first */
};

/* The brush through the glyphs. `rop` counts for 1 bit; more bits blend. The mask of the target is not looked at. */
int canvas_text(struct canvas *c, const struct canvas_target *t, const struct canvas_text *text,
                const struct canvas_brush *brush, uint16_t rop);

#define CANVAS_MAX_DASHES 256

struct canvas_line {
    const struct canvas_point *points; /* joined one by one; the last pixel is not drawn */
    size_t count;
    const uint8_t *dashes; /* pixels drawn, left out, drawn...; dash_count 0: a solid line */
    size_t dash_count;
    uint32_t dash_offset; /* where in the dashes the line begins */
};

/*
 * SPICE's style of a line: lengths in 28.4 fixed point, at most CANVAS_MAX_DASHES; gap: the first is left out. `dashes` is room,
 * for as long as the line.
 */
void canvas_line_style(struct canvas_line *line, uint8_t dashes[CANVAS_MAX_DASHES], const int32_t *lengths, size_t count,
                       bool gap);
/*
 * For what is drawn in several steps with one brush: a pattern that is the canvas itself becomes a copy of it as it is now,
 * which is *held; unref that afterwards. NULL: there is no need. -ENOMEM
 */
int canvas_hold_pattern(const struct canvas *c, struct canvas_brush *brush, pixman_image_t **held);
/* A line of one pixel's width. The mask of the target is not looked at. */
int canvas_stroke(struct canvas *c, const struct canvas_target *t, const struct canvas_line *line,
                  const struct canvas_brush *brush, uint16_t rop);

#endif

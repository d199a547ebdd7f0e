#include "tests/foreign/fit.h"

#include "base/base.h"

#include <pixman.h>
#include <spice/enums.h>
#include <spice/qxl_dev.h>
#include <stdlib.h>

/*
 * It ends the program at a picture whose palette is missing, or whose chunks end within a row. Its drawing, and
 * spice-gtk's, ends at bits that go from the right to the left.
 */
static bool make_fit(struct drawing_picture *p, bool mask)
{
    unsigned bits = drawing_bitmap_bits(p->format);

    if (p->kind != DRAWING_BITMAP || !p->width)
        return true;
    if (bits <= 8 && p->format != SPICE_BITMAP_FMT_8BIT_A && !p->colors)
        p->colors = (uint16_t)(1 << bits);
    if (p->piece)
        p->piece = (uint16_t)(p->stride * (1 + p->piece / p->stride));
    return mask || (p->format != SPICE_BITMAP_FMT_1BIT_LE && p->format != SPICE_BITMAP_FMT_4BIT_LE);
}

/* It leaves out what reaches over the edge. */
static bool clamp_box(const struct drawing_surface *s, struct drawing *d)
{
    const struct drawing_surface *on = &s[d->surface];
    struct drawing_box old = d->box, *b = &d->box, *a = &d->area;
    bool same = a->right - a->left == old.right - old.left && a->bottom - a->top == old.bottom - old.top;

    *b = (struct drawing_box){MAX(old.left, 0), MAX(old.top, 0), MIN(old.right, on->width), MIN(old.bottom, on->height)};
    if (same)
        *a = (struct drawing_box){a->left + b->left - old.left, a->top + b->top - old.top,
                                  a->right + b->right - old.right, a->bottom + b->bottom - old.bottom};
    return b->left < b->right && b->top < b->bottom;
}

/*
 * Copying needs surfaces of as many bits, and palettes have colours only for surfaces with colours. Pictures of the surface
 * itself are not always what it shows.
 */
static bool is_usable(const struct drawing_surface *s, const struct drawing *d, const struct drawing_picture *p)
{
    uint32_t format = s[d->surface].format;

    if (p->kind == DRAWING_BITMAP && p->colors && format == SPICE_SURFACE_FMT_8_A)
        return false;
    if (p->kind == DRAWING_SELF)
        return false;
    /* pixman computes some operations more exactly than in eight bits, if it sees the five. */
    if (d->type == QXL_DRAW_COMPOSITE && p->format == SPICE_BITMAP_FMT_16BIT && (d->composite & 0xff) > PIXMAN_OP_SATURATE)
        return false;
    return d->type == QXL_DRAW_COMPOSITE || p->kind != DRAWING_SURFACE || drawing_surface_bits(s[p->surface].format) ==
                                             drawing_surface_bits(s[d->surface].format);
}

/* Its ROP3 takes what no other command can do: truth tables of brush, source and destination that need all of them. */
static bool needs_all(uint8_t table)
{
    return (table >> 4 ^ table) & 0x0f && (table >> 2 ^ table) & 0x33 && (table >> 1 ^ table) & 0x55;
}

/* Curves end the server now and then. */
static bool has_curves(const struct drawing *d)
{
    for (unsigned i = 0; i < d->segment_count; i++)
        if (d->segments[i].flags & QXL_PATH_BEZIER)
            return true;
    return false;
}

/* On the other surfaces. */
static bool is_possible(const struct drawing *d)
{
    switch (d->type) {
    case QXL_DRAW_NOP:
        return false;
    case QXL_DRAW_TEXT:
        return d->glyph_count > 0;
    case QXL_DRAW_ROP3:
        return needs_all(d->rop3);
    case QXL_DRAW_STROKE:
        return d->brush.type == SPICE_BRUSH_TYPE_SOLID && !has_curves(d);
    default:
        return true;
    }
}

static bool is_scaled(const struct drawing *d)
{
    return d->area.right && (d->area.right - d->area.left != d->box.right - d->box.left ||
                             d->area.bottom - d->area.top != d->box.bottom - d->box.top);
}

/* What the fourth byte of pictures without alpha becomes on a surface that has it is nowhere said. */
static bool has_its_alpha(const struct drawing_surface *s, const struct drawing_picture *p)
{
    return !p->width || (p->kind == DRAWING_BITMAP && p->format == SPICE_BITMAP_FMT_RGBA) ||
           (p->kind == DRAWING_SURFACE && s[p->surface].format == SPICE_SURFACE_FMT_32_ARGB);
}

/* What of a palette is missing is black for us, and for them what lies behind it. */
static bool is_short_of_colors(const struct drawing_picture *p)
{
    return p->colors && p->colors < 1u << drawing_bitmap_bits(p->format);
}

/* Text of more bits than one, and on other surfaces, is drawn in ways of its own, and only with its last rows first. */
static bool is_common_text(const struct drawing_surface *s, const struct drawing *d)
{
    return s[d->surface].format == SPICE_SURFACE_FMT_32_xRGB && d->brush.type != SPICE_BRUSH_TYPE_PATTERN &&
           d->back_rop == SPICE_ROPD_OP_PUT && !d->glyphs_top_down && d->glyph_bits == 1;
}

/* XRender's operations that programs use, between pictures with colours. */
static bool is_common_composite(const struct drawing_surface *s, const struct drawing *d)
{
    const uint32_t opaque = SPICE_COMPOSITE_SOURCE_OPAQUE | SPICE_COMPOSITE_MASK_OPAQUE | SPICE_COMPOSITE_DEST_OPAQUE;

    return s[d->surface].format == SPICE_SURFACE_FMT_32_xRGB && !(d->composite & opaque) &&
           (d->composite & 0xff) <= PIXMAN_OP_SATURATE && !d->transformed && !d->mask_transformed &&
           d->source.format != SPICE_BITMAP_FMT_8BIT_A && d->mask.format != SPICE_BITMAP_FMT_8BIT_A &&
           !is_short_of_colors(&d->mask);
}

static bool is_common_type(const struct drawing_surface *s, const struct drawing *d)
{
    uint32_t format = s[d->surface].format;

    switch (d->type) {
    case QXL_DRAW_ROP3:
        return !is_scaled(d);
    case QXL_DRAW_STROKE:
        return !d->dash_count;
    case QXL_DRAW_TEXT:
        return is_common_text(s, d);
    case QXL_DRAW_TRANSPARENT:
        return format == SPICE_SURFACE_FMT_32_xRGB;
    case DRAWING_REMAKE: /* by a picture of nothing but alpha */
        return format != SPICE_SURFACE_FMT_8_A;
    case QXL_DRAW_ALPHA_BLEND:
        return true;
    case QXL_DRAW_COMPOSITE:
        return is_common_composite(s, d);
    default:
        return !is_scaled(d) || d->scale_mode == SPICE_IMAGE_SCALE_MODE_NEAREST;
    }
}

/* Then they read what they have drawn already. */
static bool is_of_itself(const struct drawing *d, const struct drawing_picture *p)
{
    return p->kind == DRAWING_SURFACE && p->surface == d->surface;
}

/* spice-gtk does not know such pictures by LZ4. */
static bool is_alpha(const struct drawing_picture *p)
{
    return p->format == SPICE_BITMAP_FMT_8BIT_A;
}

bool fit_is_common(const struct drawing_surface *s, const struct drawing *d)
{
    bool alpha = has_its_alpha(s, &d->source) && has_its_alpha(s, &d->brush.pattern) && has_its_alpha(s, &d->back.pattern);
    bool colors = !is_short_of_colors(&d->source) && !is_short_of_colors(&d->brush.pattern) &&
                  !is_short_of_colors(&d->back.pattern);

    if (s[d->surface].format == SPICE_SURFACE_FMT_32_ARGB && !alpha)
        return false;
    if (is_alpha(&d->source) || is_alpha(&d->brush.pattern) || is_alpha(&d->back.pattern))
        return false;
    return colors && !is_of_itself(d, &d->source) && !is_of_itself(d, &d->brush.pattern) && !is_of_itself(d, &d->mask) &&
           is_common_type(s, d);
}

/* Neither can it draw everything on surfaces of eight bits. */
static bool is_drawable(const struct drawing_surface *s, const struct drawing *d)
{
    switch (s[d->surface].format) {
    case SPICE_SURFACE_FMT_8_A:
        return d->type == QXL_DRAW_COMPOSITE || d->type == DRAWING_REMAKE || d->type == QXL_DRAW_BLACKNESS ||
               d->type == QXL_DRAW_WHITENESS || (d->type == QXL_DRAW_FILL && d->rop == SPICE_ROPD_OP_PUT);
    default:
        return is_possible(d);
    }
}

bool fit_drawing(const struct drawing_surface *s, struct drawing *d)
{
    bool fit = make_fit(&d->source, false) & make_fit(&d->mask, d->type != QXL_DRAW_COMPOSITE) &
               make_fit(&d->brush.pattern, false) & make_fit(&d->back.pattern, false);

    fit &= is_usable(s, d, &d->source) & is_usable(s, d, &d->brush.pattern) & is_usable(s, d, &d->back.pattern);
    if (d->type == QXL_DRAW_COMPOSITE)
        fit &= is_usable(s, d, &d->mask);
    if (d->type == QXL_DRAW_TEXT)
        d->rop = SPICE_ROPD_OP_PUT;
    if (drawing_surface_bits(s[d->surface].format) != 32)
        d->composite &= ~(uint32_t)SPICE_COMPOSITE_DEST_OPAQUE;
    if (d->type == QXL_DRAW_ROP3) { /* where the pattern begins is wrong to the left of it, and above */
        d->brush.x = -abs(d->brush.x);
        d->brush.y = -abs(d->brush.y);
    }
    return fit && is_drawable(s, d) && clamp_box(s, d);
}

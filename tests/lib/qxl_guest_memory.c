#include "tests/lib/qxl_guest_memory.h"

#include <string.h>

uint64_t qxl_guest_place(struct qxl_guest *g, const void *data, size_t size)
{
    uint64_t addr;

    memcpy(qxl_guest_alloc(g, size, &addr), data, size);
    return addr;
}

static void place_image(struct qxl_guest *g, QXLPHYSICAL *image)
{
    const QXLPalette *palette;
    QXLImage copy;

    if (!*image)
        return;
    copy = *(const QXLImage *)script_pointer(*image);
    if (copy.descriptor.type == SPICE_IMAGE_TYPE_BITMAP) {
        palette = script_pointer(copy.bitmap.palette);
        copy.bitmap.data = qxl_guest_place(g, script_pointer(copy.bitmap.data), (size_t)copy.bitmap.stride * copy.bitmap.y);
        if (palette)
            copy.bitmap.palette = qxl_guest_place(g, palette, sizeof(*palette) + palette->num_ents * 4);
    }
    *image = qxl_guest_place(g, &copy, sizeof(copy));
}

static void place_brush(struct qxl_guest *g, QXLBrush *brush)
{
    QXLPHYSICAL pattern;

    if (brush->type != SPICE_BRUSH_TYPE_PATTERN)
        return;
    pattern = brush->u.pattern.pat;
    place_image(g, &pattern);
    brush->u.pattern.pat = pattern;
}

static void place_transform(struct qxl_guest *g, QXLPHYSICAL *transform)
{
    if (*transform)
        *transform = qxl_guest_place(g, script_pointer(*transform), sizeof(QXLTransform));
}

/* The structures are packed: members are taken out and put back. */
#define PLACE_IMAGE(g, member)        \
    do {                              \
        QXLPHYSICAL value_ = (member); \
        place_image(g, &value_);      \
        (member) = value_;            \
    } while (0)

#define PLACE_TRANSFORM(g, member)    \
    do {                              \
        QXLPHYSICAL value_ = (member); \
        place_transform(g, &value_);  \
        (member) = value_;            \
    } while (0)

#define PLACE_BRUSH(g, member)        \
    do {                              \
        QXLBrush value_ = (member);   \
        place_brush(g, &value_);      \
        (member) = value_;            \
    } while (0)

static void place_composite(struct qxl_guest *g, QXLDrawable *d)
{
    PLACE_IMAGE(g, d->u.composite.src);
    PLACE_IMAGE(g, d->u.composite.mask);
    PLACE_TRANSFORM(g, d->u.composite.src_transform);
    PLACE_TRANSFORM(g, d->u.composite.mask_transform);
}

static void place_body(struct qxl_guest *g, QXLDrawable *d)
{
    switch (d->type) {
    case QXL_DRAW_FILL:
        PLACE_BRUSH(g, d->u.fill.brush);
        PLACE_IMAGE(g, d->u.fill.mask.bitmap);
        break;
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
        PLACE_IMAGE(g, d->u.copy.src_bitmap);
        PLACE_IMAGE(g, d->u.copy.mask.bitmap);
        break;
    case QXL_DRAW_OPAQUE:
        PLACE_IMAGE(g, d->u.opaque.src_bitmap);
        PLACE_BRUSH(g, d->u.opaque.brush);
        PLACE_IMAGE(g, d->u.opaque.mask.bitmap);
        break;
    case QXL_DRAW_ROP3:
        PLACE_IMAGE(g, d->u.rop3.src_bitmap);
        PLACE_BRUSH(g, d->u.rop3.brush);
        PLACE_IMAGE(g, d->u.rop3.mask.bitmap);
        break;
    case QXL_DRAW_BLACKNESS:
    case QXL_DRAW_WHITENESS:
    case QXL_DRAW_INVERS:
        PLACE_IMAGE(g, d->u.blackness.mask.bitmap);
        break;
    case QXL_DRAW_TRANSPARENT:
        PLACE_IMAGE(g, d->u.transparent.src_bitmap);
        break;
    case QXL_DRAW_ALPHA_BLEND:
        PLACE_IMAGE(g, d->u.alpha_blend.src_bitmap);
        break;
    case QXL_DRAW_COMPOSITE:
        place_composite(g, d);
        break;
    default:
        break;
    }
}

void qxl_guest_place_parts(struct qxl_guest *g, QXLDrawable *d)
{
    if (d->clip.type == SPICE_CLIP_TYPE_RECTS) {
        const QXLClipRects *clip = script_pointer(d->clip.data);

        d->clip.data = qxl_guest_place(g, clip, sizeof(*clip) + clip->chunk.data_size);
    }
    place_body(g, d);
}

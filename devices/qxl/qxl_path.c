/* qxl_path.c - drawing of glyphs and lines, whose descriptions are lists in the guest's memory. */
#include "canvas/path.h"
#include "devices/qxl/qxl_draw.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

#define MAX_DESCRIPTION MIB(4) /* bytes of a string or a path */

/* --- text --- */

static int32_t wrapping_sum(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b); /* what wraps around lies far outside anyway */
}

static int read_glyph(struct reader *r, unsigned bits, struct canvas_glyph *glyph)
{
    const uint8_t *head = reader_bytes(r, sizeof(QXLRasterGlyph));
    QXLRasterGlyph g;

    if (!head)
        return -EINVAL;
    memcpy(&g, head, sizeof(g));
    *glyph =
        (struct canvas_glyph){wrapping_sum(g.render_pos.x, g.glyph_origin.x),
                              wrapping_sum(g.render_pos.y, g.glyph_origin.y), g.width, g.height,
                              reader_bytes(r, DIV_ROUND_UP((size_t)g.width * bits, 8) * g.height)};
    return r->bad ? -EINVAL : 0;
}

/* Glyphs point into `data`. */
static int read_glyphs(const QXLString *s, const uint8_t *data, struct canvas_text *text)
{
    struct canvas_glyph *glyphs = calloc(MAX(s->length, 1), sizeof(*glyphs));
    struct reader r;
    int err = 0;

    if (!glyphs)
        return -ENOMEM;
    reader_init(&r, data, s->data_size);
    for (unsigned i = 0; i < s->length && !err; i++)
        err = read_glyph(&r, text->bits, &glyphs[i]);
    text->glyphs = glyphs;
    text->count = s->length;
    return err;
}

static int draw_background(struct draw *w, const QXLText *t)
{
    struct canvas_target behind = {.clip = w->target.clip};
    struct rect area;
    int err = qxl_to_rect(&area, &t->back_area);

    behind.box = rect_intersect(&area, &w->target.box);
    if (err || rect_empty(&behind.box))
        return err;
    err = qxl_open_brush(w, &t->back_brush);
    if (!err)
        err = canvas_fill(w->canvas, &behind, &w->brush, t->back_mode);
    qxl_picture_close(&w->pattern);
    return err;
}

int qxl_draw_text(struct draw *w)
{
    const QXLText *t = &w->d.u.text;
    struct canvas_text text = {0};
    uint8_t *data = NULL;
    QXLString s;
    int err;

    if (qxl_read(w->q, t->str, &s, sizeof(s)))
        return -EFAULT;
    if (s.data_size > MAX_DESCRIPTION)
        return -EINVAL;
    text.top_down = s.flags & SPICE_STRING_FLAGS_RASTER_TOP_DOWN;
    text.bits = s.flags & SPICE_STRING_FLAGS_RASTER_A1   ? 1
                : s.flags & SPICE_STRING_FLAGS_RASTER_A4 ? 4
                                                         : 8;
    err = qxl_read_chunks(w->q, t->str + offsetof(QXLString, chunk), s.data_size, &data);
    if (!err)
        err = read_glyphs(&s, data, &text);
    if (!err)
        err = draw_background(w, t);
    if (!err)
        err = qxl_open_brush(w, &t->fore_brush);
    if (!err)
        err = canvas_text(w->canvas, &w->target, &text, &w->brush, t->fore_mode);
    free((void *)text.glyphs);
    free(data);
    return err;
}

/* --- lines --- */

struct stroke {
    struct draw *w;
    struct canvas_line line;
    uint8_t dashes[CANVAS_MAX_DASHES];
    struct path path;
};

static int read_dashes(struct stroke *s, const QXLLineAttr *attr)
{
    QXLFIXED lengths[UINT8_MAX];
    unsigned n = attr->style_nseg;

    if (!(attr->flags & SPICE_LINE_FLAGS_STYLED) || n == 0)
        return 0;
    if (qxl_read(s->w->q, attr->style, lengths, n * sizeof(*lengths)))
        return -EFAULT;
    canvas_line_style(&s->line, s->dashes, lengths, n, attr->flags & SPICE_LINE_FLAGS_START_WITH_GAP);
    return 0;
}

static int stroke_path(struct stroke *s)
{
    struct draw *w = s->w;
    int err;

    s->line.points = s->path.points;
    s->line.count = s->path.count;
    err = canvas_stroke(w->canvas, &w->target, &s->line, &w->brush, w->d.u.stroke.fore_mode);
    path_clear(&s->path);
    return err;
}

static struct canvas_point read_point(struct reader *r)
{
    int32_t x = reader_u32(r), y = reader_u32(r);

    return (struct canvas_point){x, y};
}

static int add_points(struct stroke *s, struct reader *r, uint32_t count, bool curves)
{
    int err = 0;

    while (count && !err && !r->bad) {
        struct canvas_point p[3] = {read_point(r)};

        if (!curves) {
            err = path_add(&s->path, p[0].x, p[0].y);
            count--;
            continue;
        }
        if (count < 3)
            return -EINVAL;
        p[1] = read_point(r);
        p[2] = read_point(r);
        err = path_add_curve(&s->path, p);
        count -= 3;
    }
    return r->bad ? -EINVAL : err;
}

static int stroke_segment(struct stroke *s, struct reader *r)
{
    uint32_t flags = reader_u32(r), count = reader_u32(r);
    int err = 0;

    if ((flags & QXL_PATH_BEGIN) && count) {
        err = stroke_path(s);
        if (!err)
            err = add_points(s, r, 1, false);
        count--;
    }
    if (!err)
        err = add_points(s, r, count, flags & QXL_PATH_BEZIER);
    if (err || !(flags & QXL_PATH_END))
        return err;
    if (flags & QXL_PATH_CLOSE)
        err = path_close(&s->path);
    return err ? err : stroke_path(s);
}

static int stroke_segments(struct stroke *s, QXLPHYSICAL addr)
{
    struct reader r;
    uint8_t *data;
    QXLPath path;
    int err;

    if (qxl_read(s->w->q, addr, &path, sizeof(path)))
        return -EFAULT;
    if (path.data_size > MAX_DESCRIPTION)
        return -EINVAL;
    err = qxl_read_chunks(s->w->q, addr + offsetof(QXLPath, chunk), path.data_size, &data);
    if (err)
        return err;
    reader_init(&r, data, path.data_size);
    while (!err && reader_left(&r))
        err = stroke_segment(s, &r);
    if (!err)
        err = stroke_path(s);
    free(data);
    return err;
}

int qxl_draw_stroke(struct draw *w)
{
    const QXLStroke *k = &w->d.u.stroke;
    struct stroke s = {.w = w};
    pixman_image_t *held = NULL;
    int err = qxl_open_brush(w, &k->brush);

    /* Lines without a brush are black. */
    if (w->brush.type == SPICE_BRUSH_TYPE_NONE)
        w->brush = (struct canvas_brush){.type = SPICE_BRUSH_TYPE_SOLID};
    if (!err)
        err = read_dashes(&s, &k->attr);
    if (!err)
        err = canvas_hold_pattern(w->canvas, &w->brush, &held);
    if (!err)
        err = stroke_segments(&s, k->path);
    if (held)
        pixman_image_unref(held);
    path_fini(&s.path);
    return err;
}

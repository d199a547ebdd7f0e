#include "client/display_draw.h"

#include "canvas/path.h"

#include <errno.h>
#include <stdlib.h>

static int open_text(const struct spice_string *str, struct canvas_text *text)
{
    struct canvas_glyph *glyphs;

    *text = (struct canvas_text){.count = str->count,
                                 .top_down = str->flags & SPICE_STRING_FLAGS_RASTER_TOP_DOWN};
    text->bits = str->flags & SPICE_STRING_FLAGS_RASTER_A1   ? 1
                 : str->flags & SPICE_STRING_FLAGS_RASTER_A4 ? 4
                                                             : 8;
    glyphs = calloc(MAX(str->count, 1), sizeof(*glyphs));
    if (!glyphs)
        return -ENOMEM;
    for (size_t i = 0; i < str->count; i++) {
        const struct spice_glyph *g = &str->glyphs[i];

        /* Places that wrap around are as good as any: they are far outside. */
        glyphs[i] =
            (struct canvas_glyph){(int32_t)((uint32_t)g->render_pos.x + (uint32_t)g->origin.x),
                                  (int32_t)((uint32_t)g->render_pos.y + (uint32_t)g->origin.y),
                                  g->width, g->height, g->data};
    }
    text->glyphs = glyphs;
    return 0;
}

static int draw_text_parts(struct draw *w, const struct spice_msg_display_draw_text *m,
                           const struct canvas_brush *fore, const struct canvas_brush *back)
{
    struct canvas_target behind = {.clip = w->t.clip};
    struct canvas_text text;
    int err = open_text(m->str, &text);

    if (err)
        return err;
    display_begin(w->d, w->c);
    behind.box = rect_intersect(&m->back_area, &w->t.box);
    if (!rect_empty(&m->back_area))
        err = canvas_fill(w->c, &behind, back, m->back_mode);
    if (!err)
        err = canvas_text(w->c, &w->t, &text, fore, m->fore_mode);
    display_end(w->d, w->c, &w->t);
    free((void *)text.glyphs);
    return err;
}

int display_draw_text(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_text *m = msg;
    struct canvas_brush fore, back;
    struct draw w;
    int err = draw_open(&w, c, &m->base, NULL);

    if (!err)
        err = draw_get_brush(&w, &m->fore_brush, &fore);
    if (!err)
        err = draw_get_brush(&w, &m->back_brush, &back);
    if (!err)
        err = draw_text_parts(&w, m, &fore, &back);
    return draw_close(&w, err);
}

struct stroke {
    struct draw w;
    struct canvas_brush brush;
    struct canvas_line line;
    uint16_t rop;
    uint8_t dashes[CANVAS_MAX_DASHES];
    struct path path;
};

static int stroke_path(struct stroke *s)
{
    int err;

    s->line.points = s->path.points;
    s->line.count = s->path.count;
    err = canvas_stroke(s->w.c, &s->w.t, &s->line, &s->brush, s->rop);
    path_clear(&s->path);
    return err;
}

static int add_points(struct stroke *s, const struct spice_path_segment *seg, uint32_t first)
{
    bool curves = seg->flags & SPICE_PATH_BEZIER;
    int err = 0;

    for (uint32_t i = first; i < seg->count && !err; i += curves ? 3 : 1) {
        if (!curves)
            err = path_add(&s->path, seg->points[i].x, seg->points[i].y);
        else if (seg->count - i >= 3)
            err = path_add_curve(&s->path, (const struct canvas_point[]){
                                               {seg->points[i].x, seg->points[i].y},
                                               {seg->points[i + 1].x, seg->points[i + 1].y},
                                               {seg->points[i + 2].x, seg->points[i + 2].y}});
    }
    return err;
}

static int stroke_segment(struct stroke *s, const struct spice_path_segment *seg)
{
    uint32_t first = 0;
    int err = 0;

    if ((seg->flags & SPICE_PATH_BEGIN) && seg->count) {
        err = stroke_path(s);
        if (!err)
            err = path_add(&s->path, seg->points[0].x, seg->points[0].y);
        first = 1;
    }
    if (!err)
        err = add_points(s, seg, first);
    if (!err && (seg->flags & SPICE_PATH_END)) {
        if (seg->flags & SPICE_PATH_CLOSE)
            err = path_close(&s->path);
        return err ? err : stroke_path(s);
    }
    return err;
}

int display_draw_stroke(struct channel *c, const void *msg)
{
    const struct spice_msg_display_draw_stroke *m = msg;
    struct stroke s = {.rop = m->fore_mode};
    pixman_image_t *held = NULL;
    int err = draw_open(&s.w, c, &m->base, NULL);

    if (!err)
        err = draw_get_brush(&s.w, &m->brush, &s.brush);
    if (!err) {
        /* Lines without a brush are black. */
        if (s.brush.type == SPICE_BRUSH_TYPE_NONE)
            s.brush = (struct canvas_brush){.type = SPICE_BRUSH_TYPE_SOLID};
        if ((m->attr.flags & SPICE_LINE_FLAGS_STYLED) && m->attr.style)
            canvas_line_style(&s.line, s.dashes, m->attr.style, m->attr.style_count,
                              m->attr.flags & SPICE_LINE_FLAGS_START_WITH_GAP);
        display_begin(s.w.d, s.w.c);
        err = canvas_hold_pattern(s.w.c, &s.brush, &held);
        for (uint32_t i = 0; i < m->path->count && !err; i++)
            err = stroke_segment(&s, &m->path->segments[i]);
        if (!err)
            err = stroke_path(&s);
        display_end(s.w.d, s.w.c, &s.w.t);
    }
    if (held)
        pixman_image_unref(held);
    path_fini(&s.path);
    return draw_close(&s.w, err);
}

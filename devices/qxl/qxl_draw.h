/*
 * qxl_draw.h - one drawing command on its way to the canvas; shared by the files that know the operations.
 *
 * A command is taken (copied and checked), waits in the queue (qxl_pending.c), and is drawn or found to be hidden by later
 * ones. What it refers to in the guest's memory stays the guest's until then, and is read when it is drawn.
 */
#ifndef DEVICES_QXL_QXL_DRAW_H
#define DEVICES_QXL_QXL_DRAW_H

#include "devices/qxl/qxl_device.h"

/* What a command does to the pixels, as far as others depend on it. */
enum draw_kind {
    DRAW_ANY,    /* it may read anything */
    DRAW_BLENDS, /* it reads and writes its own place only */
    DRAW_COVERS, /* it writes all of its place, whatever was there */
    DRAW_MOVES,  /* one rectangle comes from another, all of which is in the canvas */
};

/* Not to be copied: it points into itself. */
struct draw {
    struct qxl *q;
    QXLPHYSICAL addr;
    QXLDrawable d; /* copied; what it says of the operation is not checked */
    enum draw_kind kind;
    struct canvas *canvas;
    struct canvas_target target;
    pixman_region32_t clip;
    pixman_region32_t place; /* what it may write: the box, cut by clip and canvas */
    struct qxl_picture mask, source, pattern;
    struct canvas_source src;
    struct canvas_brush brush;
};

/*
 * Take the command at addr. -EINVAL: it cannot be drawn; -EFAULT: it lies outside of its slot. qxl_draw_end() it in any case.
 */
int qxl_draw_take(struct draw *w, struct qxl *q, QXLPHYSICAL addr);
/* Carry it out and note what changed. The errors of the operation; then what changed is noted too. */
int qxl_draw_run(struct draw *w);
void qxl_draw_close(struct draw *w);
/* Close it and give it back to the guest, or latch the error state if err is -EFAULT. */
void qxl_draw_end(struct draw *w, int err);
/* Where it draws. */
struct rect qxl_draw_box(const struct draw *w);
/* With DRAW_BLENDS and DRAW_COVERS: let it draw only there. */
void qxl_draw_narrow(struct draw *w, const struct rect *r);
/* With DRAW_MOVES: from where, relative to that. */
struct canvas_point qxl_draw_source(const struct draw *w);
/* Do a move, or a part of it: `region` comes from its pixels' places plus `from`. `tell`: watchers hear that it moved. */
int qxl_draw_move(struct draw *w, pixman_region32_t *region, struct canvas_point from, bool tell);

/* Sane coordinates, or -EINVAL. */
int qxl_to_rect(struct rect *r, const QXLRect *q);
/* These fill in the parts of the command that an operation needs. 0 or -errno; -EFAULT is a guest bug. */
int qxl_open_source(struct draw *w, QXLPHYSICAL addr, const QXLRect *area, uint8_t scale_mode);
int qxl_open_brush(struct draw *w, const QXLBrush *brush);

int qxl_draw_transparent(struct draw *w);
int qxl_draw_alpha_blend(struct draw *w);
int qxl_draw_composite(struct draw *w);
int qxl_draw_text(struct draw *w);
int qxl_draw_stroke(struct draw *w);

#endif

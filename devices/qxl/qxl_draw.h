/* qxl_draw.h - one drawing command on its way to the canvas; shared by the files that know the operations. */
#ifndef DEVICES_QXL_QXL_DRAW_H
#define DEVICES_QXL_QXL_DRAW_H

#include "devices/qxl/qxl_device.h"

struct draw {
    struct qxl *q;
    QXLDrawable d; /* copied, but not checked */
    struct canvas *canvas;
    struct canvas_target target;
    pixman_region32_t clip;
    struct qxl_picture mask, source, pattern;
    struct canvas_source src;
    struct canvas_brush brush;
};

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

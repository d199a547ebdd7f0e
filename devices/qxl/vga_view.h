/*
 * vga_view.h - turns the VGA's memory into a display's picture.
 *
 * Thread: the display's loop.
 */
#ifndef DEVICES_QXL_VGA_VIEW_H
#define DEVICES_QXL_VGA_VIEW_H

#include "devices/qxl/screen.h"
#include "devices/qxl/vga_mode.h"

#define VGA_REFRESH_MS 33

struct vga_view {
    struct vga *vga;
    struct screen screen;
    struct vga_mode mode; /* of the picture now in `screen` */
    bool blink_off;       /* the half of the time when the cursor and blinking text are hidden */
    unsigned ticks;
    uint32_t *cells; /* text: what each cell shows; see vga_text.c */
    uint32_t cell_count;
    uint32_t font_sum;
    unsigned long *dirty; /* one bit a page of vga->ram */
};

int vga_view_init(struct vga_view *v, struct vga *vga, struct display *display);
void vga_view_fini(struct vga_view *v);
/* Draw what changed; all: whatever may have changed unseen, too. Reports damage. */
void vga_view_draw(struct vga_view *v, bool all);
/* Time passes: VGA_REFRESH_MS of it. Lets the cursor blink. */
void vga_view_tick(struct vga_view *v);
/* Nobody looks any more: the cursor stays visible, so that a picture taken now does not depend on the moment. */
void vga_view_rest(struct vga_view *v);

/* vga_text.c; all: forget what the cells showed. */
void vga_text_draw(struct vga_view *v, bool all);

#endif

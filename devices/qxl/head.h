/*
 * head.h - what the plain VGA card and QXL have in common: a display thread, a VGA core, and the picture of it.
 *
 * The display thread never waits for the device lock, so that whoever holds it may wait for the display thread.
 */
#ifndef DEVICES_QXL_HEAD_H
#define DEVICES_QXL_HEAD_H

#include "devices/qxl/vga_view.h"

struct head {
    struct loop loop; /* runs the display thread */
    struct display display;
    struct vga vga;
    struct vga_view view;
    uv_timer_t timer; /* refreshes the picture while somebody looks and the VGA is shown */
    bool watched, hidden;
};

/* `ram` begins with `size` bytes of video memory. The thread does not run yet. 0 or -errno. */
int head_init(struct head *h, struct machine *machine, struct ram *ram, uint32_t size, unsigned id,
              const struct display_device_ops *ops, void *device);
/* What the guest knows the device by. */
void head_set_address(struct head *h, uint8_t devfn);
int head_start(struct head *h);
/* Ends the thread; its loop's handles may then be closed by anybody. */
void head_stop(struct head *h);
void head_fini(struct head *h);

/* In the display thread, as display_device_ops: */
void head_watched(struct head *h, bool on);
void head_update(struct head *h);
/* Whether the VGA's picture is the display's; showing it draws it at once. */
void head_show_vga(struct head *h, bool shown);

#endif

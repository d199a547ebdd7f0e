#include "devices/qxl/head.h"

#include <stdio.h>

/* With what the guest wrote last; without that, if somebody has the device lock. */
static void draw(struct head *h)
{
    bus_try_settle(h->vga.machine->mmio);
    vga_view_draw(&h->view, false);
}

static void refresh(uv_timer_t *timer)
{
    struct head *h = timer->data;

    vga_view_tick(&h->view);
    draw(h);
}

static void run_timer(struct head *h)
{
    if (h->watched && !h->hidden) {
        uv_timer_start(&h->timer, refresh, 0, VGA_REFRESH_MS);
        return;
    }
    uv_timer_stop(&h->timer);
    vga_view_rest(&h->view);
}

int head_init(struct head *h, struct machine *machine, struct ram *ram, uint32_t size, unsigned id,
              const struct display_device_ops *ops, void *device)
{
    int err = loop_init(&h->loop);

    if (err)
        return err;
    h->watched = h->hidden = false;
    uv_timer_init(&h->loop.uv, &h->timer);
    h->timer.data = h;
    display_init(&h->display, &h->loop, id, ops, device);
    vga_init(&h->vga, machine, ram, size);
    err = vga_view_init(&h->view, &h->vga, &h->display);
    if (err)
        head_fini(h);
    return err;
}

void head_set_address(struct head *h, uint8_t devfn)
{
    snprintf(h->display.address, sizeof(h->display.address), "pci/0000/%02x.%x", devfn >> 3, devfn & 7);
}

int head_start(struct head *h)
{
    char name[16];

    snprintf(name, sizeof(name), "display %u", h->display.id);
    return loop_start(&h->loop, name);
}

void head_stop(struct head *h)
{
    if (h->loop.own_thread)
        loop_stop(&h->loop);
    loop_join(&h->loop);
}

void head_fini(struct head *h)
{
    vga_fini(&h->vga);
    vga_view_fini(&h->view);
    display_fini(&h->display);
    loop_fini(&h->loop);
}

void head_watched(struct head *h, bool on)
{
    h->watched = on;
    run_timer(h);
}

void head_update(struct head *h)
{
    if (!h->hidden)
        draw(h);
}

void head_show_vga(struct head *h, bool shown)
{
    h->hidden = !shown;
    run_timer(h);
    if (!shown)
        return;
    screen_show(&h->view.screen);
    vga_view_draw(&h->view, true);
}

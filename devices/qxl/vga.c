#include "devices/qxl/vga.h"

#include "base/error.h"

#include <errno.h>

void vga_init(struct vga *vga, struct machine *machine, struct ram *ram, uint32_t size)
{
    *vga = (struct vga){.machine = machine, .ram = ram, .size = size};
    pthread_mutex_init(&vga->lock, NULL);
    vga->ports = (struct region){"vga", &vga_port_ops, vga, 0x30, REGION_UNLOCKED};
    vga->dispi_ports = (struct region){"vga-dispi", &vga_dispi_ops, vga, 4, REGION_UNLOCKED};
    vga->window = (struct region){"vga-window", &vga_window_ops, vga, VGA_WINDOW_SIZE,
                                  REGION_UNLOCKED | REGION_LATE};
    vga_reset(vga);
}

static void unmap(struct bus *bus, struct region *region)
{
    if (region->mapped)
        bus_unmap(bus, region);
}

void vga_fini(struct vga *vga)
{
    unmap(vga->machine->pio, &vga->ports);
    unmap(vga->machine->pio, &vga->dispi_ports);
    unmap(vga->machine->mmio, &vga->window);
    pthread_mutex_destroy(&vga->lock);
}

int vga_map(struct vga *vga)
{
    int err;

    err = bus_map(vga->machine->pio, &vga->ports, 0x3b0);
    if (!err)
        err = bus_map(vga->machine->pio, &vga->dispi_ports, 0x1ce);
    if (!err)
        err = bus_map(vga->machine->mmio, &vga->window, VGA_WINDOW_BASE);
    return err;
}

void vga_reset(struct vga *vga)
{
    pthread_mutex_lock(&vga->lock);
    vga->regs = (struct vga_regs){.pel_mask = 0xff};
    vga->regs.dispi[DISPI_ID] = 0xb0c5;
    vga->regs.dispi[DISPI_BPP] = 8;
    vga->window_written = true;
    pthread_mutex_unlock(&vga->lock);
}

bool vga_snapshot(struct vga *vga, struct vga_regs *regs)
{
    bool written;

    pthread_mutex_lock(&vga->lock);
    *regs = vga->regs;
    written = vga->window_written;
    vga->window_written = false;
    pthread_mutex_unlock(&vga->lock);
    return written;
}

/* The fields of struct vga_regs in the order of the saved state; arrays of bytes, but for DISPI's words. */
#define FIELD(name)                                                                                \
    {                                                                                              \
        offsetof(struct vga_regs, name), sizeof(((struct vga_regs *)0)->name)                      \
    }

static const struct {
    uint16_t offset, size;
} saved_bytes[] = {
    FIELD(misc),          FIELD(feature),   FIELD(seq_index),    FIELD(seq),
    FIELD(crtc_index),    FIELD(crtc),      FIELD(gfx_index),    FIELD(gfx),
    FIELD(attr_index),    FIELD(attr),      FIELD(attr_is_data), FIELD(status1),
    FIELD(pel_mask),      FIELD(dac_state), FIELD(dac_read),     FIELD(dac_write),
    FIELD(dac_component), FIELD(dac),       FIELD(dac_latch),    FIELD(dispi_low),
};

void vga_save(struct vga *vga, struct writer *w)
{
    pthread_mutex_lock(&vga->lock);
    for (size_t i = 0; i < ARRAY_SIZE(saved_bytes); i++)
        writer_bytes(w, (uint8_t *)&vga->regs + saved_bytes[i].offset, saved_bytes[i].size);
    writer_u16(w, vga->regs.dispi_index);
    for (unsigned i = 0; i < DISPI_REGISTERS; i++)
        writer_u16(w, vga->regs.dispi[i]);
    writer_u32(w, vga->regs.latch);
    pthread_mutex_unlock(&vga->lock);
}

static int load_regs(struct vga_regs *regs, struct reader *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved_bytes); i++) {
        const uint8_t *bytes = reader_bytes(r, saved_bytes[i].size);

        if (bytes && saved_bytes[i].offset != offsetof(struct vga_regs, attr_is_data))
            memcpy((uint8_t *)regs + saved_bytes[i].offset, bytes, saved_bytes[i].size);
        else if (bytes)
            regs->attr_is_data = *bytes != 0;
    }
    regs->dispi_index = reader_u16(r);
    for (unsigned i = 0; i < DISPI_REGISTERS; i++)
        regs->dispi[i] = reader_u16(r);
    regs->latch = reader_u32(r);
    if (r->bad)
        return fail(-EINVAL, "the saved state of the VGA is too short");
    if (regs->dac_component > 2 || regs->seq_index > 7 || regs->gfx_index > 15 ||
        regs->crtc_index > 31 || !dispi_is_legal(regs))
        return fail(-EINVAL, "the saved state of the VGA is damaged");
    return 0;
}

int vga_load(struct vga *vga, struct reader *r)
{
    struct vga_regs regs = {0};
    int err = load_regs(&regs, r);

    if (err)
        return err;
    pthread_mutex_lock(&vga->lock);
    vga->regs = regs;
    vga->window_written = true;
    pthread_mutex_unlock(&vga->lock);
    return 0;
}

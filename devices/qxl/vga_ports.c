/* vga_ports.c - the classic registers behind ports 3b0-3df. */
#include "devices/qxl/vga.h"

#define PORT(n) ((n)-0x3b0)

/* Bits that exist in each register; the others read 0. */
static const uint8_t seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff};
static const uint8_t gfx_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

/* The CRTC and status ports are at 3bx or 3dx, as the miscellaneous register says; the other set is deaf. */
static bool port_is_hidden(const struct vga_regs *r, unsigned port)
{
    bool color = r->misc & 1;

    if (port <= PORT(0x3bf))
        return color;
    return port >= PORT(0x3d0) && !color;
}

/* 3bx as 3dx, so that one table serves both. */
static unsigned fold_port(unsigned port)
{
    return port <= PORT(0x3bf) ? port + 0x20 : port;
}

static uint8_t read_dac(struct vga_regs *r)
{
    uint8_t value = r->dac[r->dac_read * 3 + r->dac_component];

    if (++r->dac_component == 3) {
        r->dac_component = 0;
        r->dac_read++;
    }
    return value;
}

static void write_dac(struct vga_regs *r, uint8_t value)
{
    r->dac_latch[r->dac_component] = value;
    if (++r->dac_component < 3)
        return;
    memcpy(&r->dac[r->dac_write * 3], r->dac_latch, 3);
    r->dac_component = 0;
    r->dac_write++;
}

static uint8_t read_status1(struct vga_regs *r)
{
    /* Whoever waits for an edge of retrace or display enable sees one at the next read. */
    r->status1 ^= 0x09;
    r->attr_is_data = false;
    return r->status1;
}

static uint8_t read_attr(const struct vga_regs *r)
{
    unsigned index = r->attr_index & 0x1f;

    return index < 21 ? r->attr[index] : 0;
}

static uint8_t read_port(struct vga_regs *r, unsigned port)
{
    switch (fold_port(port)) {
    case PORT(0x3c0):
        return r->attr_is_data ? 0 : r->attr_index;
    case PORT(0x3c1):
        return read_attr(r);
    case PORT(0x3c2):
        return 0x10; /* input status 0: a monitor is there */
    case PORT(0x3c4):
        return r->seq_index;
    case PORT(0x3c5):
        return r->seq[r->seq_index];
    case PORT(0x3c6):
        return r->pel_mask;
    case PORT(0x3c7):
        return r->dac_state;
    case PORT(0x3c8):
        return r->dac_write;
    case PORT(0x3c9):
        return read_dac(r);
    case PORT(0x3ca):
        return r->feature;
    case PORT(0x3cc):
        return r->misc;
    case PORT(0x3ce):
        return r->gfx_index;
    case PORT(0x3cf):
        return r->gfx[r->gfx_index];
    case PORT(0x3d4):
        return r->crtc_index;
    case PORT(0x3d5):
        return r->crtc[r->crtc_index];
    case PORT(0x3da):
        return read_status1(r);
    default:
        return 0xff;
    }
}

static void write_attr(struct vga_regs *r, uint8_t value)
{
    unsigned index = r->attr_index & 0x1f;

    if (!r->attr_is_data)
        r->attr_index = value & 0x3f;
    else if (index < 16)
        r->attr[index] = value & 0x3f;
    else if (index < 21)
        r->attr[index] = value;
    r->attr_is_data = !r->attr_is_data;
}

static void write_crtc(struct vga_regs *r, uint8_t value)
{
    unsigned index = r->crtc_index;
    bool locked = r->crtc[0x11] & 0x80;

    if (!locked || index > 7)
        r->crtc[index] = value;
    else if (index == 7) /* but bit 8 of line compare stays free */
        r->crtc[7] = (r->crtc[7] & ~0x10) | (value & 0x10);
}

static void write_port(struct vga_regs *r, unsigned port, uint8_t value)
{
    switch (fold_port(port)) {
    case PORT(0x3c0):
        write_attr(r, value);
        break;
    case PORT(0x3c2):
        r->misc = value & ~0x10;
        break;
    case PORT(0x3c4):
        r->seq_index = value & 7;
        break;
    case PORT(0x3c5):
        r->seq[r->seq_index] = value & seq_mask[r->seq_index];
        break;
    case PORT(0x3c6):
        r->pel_mask = value;
        break;
    case PORT(0x3c7):
        r->dac_read = value;
        r->dac_component = 0;
        r->dac_state = 3;
        break;
    case PORT(0x3c8):
        r->dac_write = value;
        r->dac_component = 0;
        r->dac_state = 0;
        break;
    case PORT(0x3c9):
        write_dac(r, value);
        break;
    case PORT(0x3ce):
        r->gfx_index = value & 0x0f;
        break;
    case PORT(0x3cf):
        r->gfx[r->gfx_index] = value & gfx_mask[r->gfx_index];
        break;
    case PORT(0x3d4):
        r->crtc_index = value & 0x1f;
        break;
    case PORT(0x3d5):
        write_crtc(r, value);
        break;
    case PORT(0x3da):
        r->feature = value & 0x10;
        break;
    }
}

static uint64_t vga_port_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct vga *vga = opaque;
    uint8_t value = 0xff;

    pthread_mutex_lock(&vga->lock);
    if (!port_is_hidden(&vga->regs, offset))
        value = read_port(&vga->regs, offset);
    pthread_mutex_unlock(&vga->lock);
    return value;
}

static void vga_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct vga *vga = opaque;

    pthread_mutex_lock(&vga->lock);
    if (!port_is_hidden(&vga->regs, offset))
        write_port(&vga->regs, offset, value);
    pthread_mutex_unlock(&vga->lock);
    if (vga->port_written)
        vga->port_written(vga->opaque);
}

const struct region_ops vga_port_ops = {vga_port_read, vga_port_write, 1, 1};

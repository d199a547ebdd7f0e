/* vga_dispi.c - Bochs' VBE extension: a mode of any size and depth behind two ports, 1ce (index) and 1cf (data). */
#include "devices/qxl/vga.h"
#include "backend/display.h"

#define MAX_BPP 32

static unsigned bits_per_pixel(const struct vga_regs *r)
{
    return r->dispi[DISPI_BPP] == 15 ? 16 : r->dispi[DISPI_BPP];
}

static bool legal_bpp(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

uint32_t dispi_pitch(const struct vga_regs *r)
{
    if (!(r->dispi[DISPI_ENABLE] & DISPI_ENABLED))
        return 0;
    return (uint32_t)r->dispi[DISPI_VIRT_WIDTH] * bits_per_pixel(r) / 8;
}

bool dispi_is_legal(const struct vga_regs *r)
{
    return legal_bpp(r->dispi[DISPI_BPP]) && r->dispi[DISPI_BANK] < 0x1000;
}

/* Make the picture fit the video memory, whatever was asked for. */
static void fit_to_memory(struct vga *vga)
{
    uint16_t *d = vga->regs.dispi;
    uint32_t lines, pitch;

    d[DISPI_XRES] = CLAMP(d[DISPI_XRES], 8, DISPLAY_MAX_WIDTH);
    d[DISPI_VIRT_WIDTH] = CLAMP(d[DISPI_VIRT_WIDTH], d[DISPI_XRES], 2 * DISPLAY_MAX_WIDTH);
    pitch = dispi_pitch(&vga->regs);
    lines = vga->size / pitch;
    if (lines == 0) {
        d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
        pitch = dispi_pitch(&vga->regs);
        lines = vga->size / pitch;
    }
    d[DISPI_YRES] = CLAMP(d[DISPI_YRES], 1, MIN(lines, DISPLAY_MAX_HEIGHT));
    d[DISPI_VIRT_HEIGHT] = MIN(lines, UINT16_MAX);
    d[DISPI_X_OFFSET] = MIN(d[DISPI_X_OFFSET], d[DISPI_VIRT_WIDTH] - d[DISPI_XRES]);
    d[DISPI_Y_OFFSET] = MIN(d[DISPI_Y_OFFSET], d[DISPI_VIRT_HEIGHT] - d[DISPI_YRES]);
}

/* What a guest that looks at the classic registers, or uses the window, expects of a packed or planar mode. */
static void set_classic_registers(struct vga_regs *r)
{
    bool planar = r->dispi[DISPI_BPP] == 4;
    unsigned lines = r->dispi[DISPI_YRES] - 1;

    r->gfx[6] = (r->gfx[6] & ~0x0c) | 0x05;
    r->gfx[5] = (r->gfx[5] & ~0x60) | (planar ? 0 : 0x40);
    r->seq[4] = planar ? 0x06 : 0x0e;
    r->seq[2] |= 0x0f;
    r->crtc[0x01] = r->dispi[DISPI_XRES] / 8 - 1;
    r->crtc[0x07] = (r->crtc[0x07] & ~0x42) | (lines >> 7 & 0x02) | (lines >> 3 & 0x40);
    r->crtc[0x09] &= ~0x9f;
    r->crtc[0x11] &= 0x7f;
    r->crtc[0x12] = lines;
    r->crtc[0x13] = dispi_pitch(r) >> (planar ? 1 : 3);
    r->crtc[0x17] |= 0x03;
}

static void write_enable(struct vga *vga, uint16_t value)
{
    struct vga_regs *r = &vga->regs;
    bool was_on = r->dispi[DISPI_ENABLE] & DISPI_ENABLED;

    if ((value & DISPI_ENABLED) && !was_on && legal_bpp(r->dispi[DISPI_BPP])) {
        r->dispi[DISPI_VIRT_WIDTH] = r->dispi[DISPI_X_OFFSET] = r->dispi[DISPI_Y_OFFSET] = 0;
        r->dispi[DISPI_ENABLE] = value;
        fit_to_memory(vga);
        set_classic_registers(r);
        if (!(value & DISPI_NOCLEARMEM))
            memset(vga->ram->host, 0, dispi_pitch(r) * r->dispi[DISPI_YRES]);
        vga->window_written = true;
    }
    if (!(value & DISPI_ENABLED) || was_on)
        r->dispi[DISPI_ENABLE] = value;
    r->dispi[DISPI_BANK] = 0;
}

static void write_data(struct vga *vga, uint16_t value)
{
    uint16_t *d = vga->regs.dispi;
    bool on = d[DISPI_ENABLE] & DISPI_ENABLED;

    switch (vga->regs.dispi_index) {
    case DISPI_ID:
        if (value >= 0xb0c0 && value <= 0xb0c5)
            d[DISPI_ID] = value;
        break;
    case DISPI_XRES:
    case DISPI_YRES:
        if (!on)
            d[vga->regs.dispi_index] = value;
        break;
    case DISPI_BPP:
        if (!on && legal_bpp(value ? value : 8))
            d[DISPI_BPP] = value ? value : 8;
        break;
    case DISPI_ENABLE:
        write_enable(vga, value);
        break;
    case DISPI_BANK:
        if ((uint32_t)value << 16 < vga->size)
            d[DISPI_BANK] = value;
        break;
    case DISPI_VIRT_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        d[vga->regs.dispi_index] = value;
        if (on)
            fit_to_memory(vga);
        break;
    }
}

static uint16_t read_data(const struct vga *vga)
{
    const uint16_t *d = vga->regs.dispi;
    bool caps = d[DISPI_ENABLE] & DISPI_GETCAPS;

    switch (vga->regs.dispi_index) {
    case DISPI_XRES:
        return caps ? DISPLAY_MAX_WIDTH : d[DISPI_XRES];
    case DISPI_YRES:
        return caps ? DISPLAY_MAX_HEIGHT : d[DISPI_YRES];
    case DISPI_BPP:
        return caps ? MAX_BPP : d[DISPI_BPP];
    case DISPI_VIDEO_MEMORY_64K:
        return vga->size >> 16;
    default:
        return vga->regs.dispi_index < DISPI_REGISTERS ? d[vga->regs.dispi_index] : 0;
    }
}

/*
 * The data port is a word at the odd address 1cf; other machines have it at 1d0. The bus splits the odd word, so the low
 * byte waits in dispi_low for the high one. A word at offset 2 is the other machines' data port.
 */
static uint64_t dispi_read(void *opaque, uint64_t offset, unsigned width)
{
    struct vga *vga = opaque;
    uint16_t value;

    pthread_mutex_lock(&vga->lock);
    value = offset == 0 ? vga->regs.dispi_index : read_data(vga);
    pthread_mutex_unlock(&vga->lock);
    if (width == 1)
        value = offset == 2 ? value >> 8 : value & 0xff;
    return offset <= 2 ? value : 0xff;
}

static void dispi_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct vga *vga = opaque;

    pthread_mutex_lock(&vga->lock);
    if (offset == 0)
        vga->regs.dispi_index = value;
    else if (width == 2)
        write_data(vga, value);
    else if (offset == 1)
        vga->regs.dispi_low = value;
    else if (offset == 2)
        write_data(vga, value << 8 | vga->regs.dispi_low);
    pthread_mutex_unlock(&vga->lock);
}

const struct region_ops vga_dispi_ops = {dispi_read, dispi_write, 1, 2};

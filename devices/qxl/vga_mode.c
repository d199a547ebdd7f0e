#include "devices/qxl/vga_mode.h"

#include "backend/display.h"

#define PLANES_SIZE 0x40000 /* four planes of 64 KiB */

static uint8_t dac_to_8bit(const struct vga_regs *r, uint8_t value)
{
    if (r->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC)
        return value;
    value &= 0x3f;
    return value << 2 | value >> 4;
}

static void set_palette(struct vga_mode *m, const struct vga_regs *r)
{
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *c = &r->dac[3 * (i & r->pel_mask)];

        m->palette[i] =
            (uint32_t)dac_to_8bit(r, c[0]) << 16 | dac_to_8bit(r, c[1]) << 8 | dac_to_8bit(r, c[2]);
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned index = r->attr[i] & 0x3f;

        if (r->attr[0x10] & 0x80)
            index = (index & 0x0f) | (r->attr[0x14] & 0x0f) << 4;
        else
            index |= (r->attr[0x14] & 0x0c) << 4;
        m->colors[i] = m->palette[index];
    }
}

static uint32_t font_offset(unsigned map)
{
    return ((map & 3) * 0x4000 + (map & 4 ? 0x2000 : 0)) * 4;
}

static void set_text(struct vga_mode *m, const struct vga_regs *r)
{
    uint8_t maps = r->seq[3];

    m->kind = VGA_TEXT;
    m->columns = r->crtc[0x01] + 1;
    m->cell_width = r->seq[1] & 0x01 ? 8 : 9;
    m->width = m->columns * m->cell_width * m->repeat;
    m->font[0] = font_offset((maps & 3) | (maps >> 2 & 4));
    m->font[1] = font_offset((maps >> 2 & 3) | (maps >> 3 & 4));
    m->cursor = (r->crtc[0x0e] << 8 | r->crtc[0x0f]) * 4;
    m->cursor_first = r->crtc[0x0a] & 0x20 ? 32 : r->crtc[0x0a] & 0x1f;
    m->cursor_last = r->crtc[0x0b] & 0x1f;
    m->underline = r->attr[0x10] & 0x02 ? r->crtc[0x14] & 0x1f : 32;
    m->blink = r->attr[0x10] & 0x08;
    m->line_graphics = r->attr[0x10] & 0x04;
}

static void set_graphics(struct vga_mode *m, const struct vga_regs *r)
{
    unsigned shift = r->gfx[5] >> 5 & 3;

    m->kind = shift == 0 ? VGA_PLANAR : shift == 1 ? VGA_CGA : VGA_PACKED;
    m->width = (r->crtc[0x01] + 1) * 8 * m->repeat;
    if (m->kind == VGA_PACKED && (r->attr[0x10] & 0x40))
        m->repeat *= 2;
    m->pan = r->attr[0x13] & 7;
    if (m->kind == VGA_PACKED)
        m->pan /= 2;
    m->row_bits = ~r->crtc[0x17] & 3;
    /* Interleaved memory has A13 of a plane at bit 15; word mode counts pairs of bytes. */
    m->row_shift[0] = r->crtc[0x17] & 0x40 ? 15 : 14;
    m->row_shift[1] = m->row_shift[0] + 1;
}

static void set_classic(struct vga_mode *m, const struct vga_regs *r)
{
    const uint8_t *c = r->crtc;

    m->repeat = r->seq[1] & 0x08 ? 2 : 1;
    m->height = (c[0x12] | (c[0x07] & 0x02) << 7 | (c[0x07] & 0x40) << 3) + 1;
    m->double_scan = c[0x09] >> 7;
    m->scans = (c[0x09] & 0x1f) + 1;
    m->split = c[0x18] | (c[0x07] & 0x10) << 4 | (c[0x09] & 0x40) << 3;
    m->start = ((c[0x0c] << 8 | c[0x0d]) + (c[0x08] >> 5 & 3)) * 4;
    m->pitch = c[0x13] * 8;
    m->wrap = PLANES_SIZE;
    m->plane_mask = r->attr[0x12] & 0x0f;
    if (r->gfx[6] & 1)
        set_graphics(m, r);
    else
        set_text(m, r);
}

static void set_dispi(struct vga_mode *m, const struct vga_regs *r, uint32_t size)
{
    const uint16_t *d = r->dispi;
    uint32_t pitch = dispi_pitch(r), bpp = d[DISPI_BPP];
    uint64_t end = ((uint64_t)d[DISPI_Y_OFFSET] + d[DISPI_YRES]) * pitch;

    if (!d[DISPI_XRES] || !d[DISPI_YRES] || d[DISPI_XRES] > DISPLAY_MAX_WIDTH ||
        d[DISPI_YRES] > DISPLAY_MAX_HEIGHT || end > size ||
        d[DISPI_X_OFFSET] + d[DISPI_XRES] > d[DISPI_VIRT_WIDTH])
        return;
    m->kind = bpp == 4 ? VGA_PLANAR : VGA_LINEAR;
    m->width = d[DISPI_XRES];
    m->height = d[DISPI_YRES];
    m->pitch = pitch;
    m->bpp = bpp;
    m->repeat = m->scans = 1;
    m->split = UINT32_MAX;
    m->plane_mask = 0x0f;
    m->wrap = 1u << (31 - __builtin_clz(size));
    m->start = d[DISPI_Y_OFFSET] * pitch;
    if (bpp == 4)
        m->start += d[DISPI_X_OFFSET] / 8 * 4;
    else
        m->start += d[DISPI_X_OFFSET] * DIV_ROUND_UP(bpp, 8);
}

static bool is_blank(const struct vga_regs *r)
{
    return !(r->attr_index & 0x20) || (r->seq[1] & 0x20);
}

void vga_mode_from_regs(struct vga_mode *mode, const struct vga_regs *regs, uint32_t size)
{
    memset(mode, 0, sizeof(*mode));
    if (is_blank(regs))
        return;
    if (regs->dispi[DISPI_ENABLE] & DISPI_ENABLED)
        set_dispi(mode, regs, size);
    else
        set_classic(mode, regs);
    if (mode->kind != VGA_BLANK)
        set_palette(mode, regs);
}

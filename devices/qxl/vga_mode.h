/* vga_mode.h - what picture a set of VGA registers means. Plain data: equal registers give equal bytes. */
#ifndef DEVICES_QXL_VGA_MODE_H
#define DEVICES_QXL_VGA_MODE_H

#include "devices/qxl/vga.h"

enum vga_kind {
    VGA_BLANK,
    VGA_TEXT,
    VGA_PLANAR, /* 16 colours from four planes */
    VGA_CGA,    /* 4 colours, two bits side by side */
    VGA_PACKED, /* 256 colours */
    VGA_LINEAR, /* DISPI, 8 to 32 bits a pixel */
};

struct vga_mode {
    enum vga_kind kind;
    uint32_t width, height; /* dots; 0 for VGA_BLANK */
    uint32_t start, pitch;  /* bytes of (interleaved) video memory */
    uint32_t
        wrap; /* addresses are taken modulo this, a power of two; VGA_LINEAR stays inside anyway */
    uint32_t bpp;         /* VGA_LINEAR: 8, 15, 16, 24, 32 */
    uint32_t repeat;      /* dots a pixel is wide: 1, 2 or 4 */
    uint32_t pan;         /* pixels by which the row starts late */
    uint32_t scans;       /* rows of dots that show one row of pixels or characters, 1..32 */
    uint32_t double_scan; /* 1: each row of dots is shown twice */
    uint32_t split;       /* the row of dots after which addresses start from 0 again */
    uint32_t row_bits; /* CGA's banks: bits 0, 1: the row's bit 0, 1 replaces an address bit ... */
    uint32_t row_shift[2]; /* ... of this number */
    /* text: */
    uint32_t columns, cell_width; /* 8 or 9, before repetition */
    uint32_t font[2];             /* byte offsets of map B (attribute bit 3 clear) and map A */
    uint32_t cursor, cursor_first, cursor_last; /* byte offset; rows; first > last: none */
    uint32_t underline;                         /* row of it, 32: none */
    uint32_t blink, line_graphics;
    uint32_t plane_mask;   /* which bits of a colour count: 0..15 */
    uint32_t colors[16];   /* BGRx of attribute colours */
    uint32_t palette[256]; /* BGRx of 256-colour pixels */
};

/* size: of the video memory. Whatever the registers hold, the mode's picture lies inside it. */
void vga_mode_from_regs(struct vga_mode *mode, const struct vga_regs *regs, uint32_t size);

#endif

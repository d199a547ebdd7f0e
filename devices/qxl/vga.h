/*
 * vga.h - the VGA core that the plain VGA card and QXL share: registers, memory window, Bochs DISPI, pictures.
 *
 * References: IBM VGA as described in "FreeVGA", the Bochs VBE DISPI interface (b0c0..b0c5).
 *
 * Video memory holds the four planes interleaved: byte 4 * a + p is plane p at address a. Chain-4 and the linear frame
 * buffer address the same bytes in order.
 *
 * Thread: ports and window come from vCPU threads and take `lock` themselves (their regions are REGION_UNLOCKED); a
 * picture is drawn in the display thread from a copy of the registers. Video memory is the guest's: anybody may write it at
 * any time, and a picture drawn meanwhile shows some of it.
 */
#ifndef DEVICES_QXL_VGA_H
#define DEVICES_QXL_VGA_H

#include "vmm/device.h"

#define VGA_WINDOW_BASE 0xa0000
#define VGA_WINDOW_SIZE 0x20000

enum {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_VIDEO_MEMORY_64K,
    DISPI_REGISTERS,
};

enum {
    DISPI_ENABLED = 0x01,
    DISPI_GETCAPS = 0x02,
    DISPI_8BIT_DAC = 0x20,
    DISPI_LFB = 0x40,
    DISPI_NOCLEARMEM = 0x80,
};

/* All that a guest can set; plain data, so that a picture can be drawn from a copy. */
struct vga_regs {
    uint8_t misc, feature;
    uint8_t seq_index, seq[8];
    uint8_t crtc_index, crtc[32];
    uint8_t gfx_index, gfx[16];
    uint8_t attr_index, attr[32];
    bool attr_is_data; /* the flip-flop of port 3c0 */
    uint8_t status1;
    uint8_t pel_mask, dac_state, dac_read, dac_write, dac_component;
    uint8_t dac[768], dac_latch[3];
    uint16_t dispi_index, dispi[DISPI_REGISTERS];
    uint8_t dispi_low; /* low byte of a data write that comes in two halves */
    uint32_t latch;
};

struct vga {
    struct machine *machine;
    pthread_mutex_t lock; /* guards regs and window_written */
    struct vga_regs regs;
    bool window_written; /* video memory was written by other ways than the guest's mapping of it */
    struct ram *ram;     /* video memory is its start */
    uint32_t size;       /* bytes of it, a multiple of 64 KiB, at least 256 KiB */
    struct region ports, dispi_ports, window;
    /* After a write to one of the classic ports; without the lock; may be NULL. */
    void (*port_written)(void *opaque);
    void *opaque;
};

void vga_init(struct vga *vga, struct machine *machine, struct ram *ram, uint32_t size);
/* Unmaps what vga_map() mapped. */
void vga_fini(struct vga *vga);
/* Puts ports and window onto the machine's buses. 0 or -errno. */
int vga_map(struct vga *vga);
void vga_reset(struct vga *vga);
void vga_save(struct vga *vga, struct writer *w);
int vga_load(struct vga *vga, struct reader *r);

/* A copy of the registers for one picture; true if video memory may have changed behind the dirty log's back. */
bool vga_snapshot(struct vga *vga, struct vga_regs *regs);

/* Bytes from one row to the next of the DISPI picture; 0 if it is off. */
uint32_t dispi_pitch(const struct vga_regs *regs);
/* Whether registers from elsewhere could have been made by a guest. */
bool dispi_is_legal(const struct vga_regs *regs);

/* Parts of the core, for vga.c. */
extern const struct region_ops vga_port_ops, vga_dispi_ops, vga_window_ops;

#endif

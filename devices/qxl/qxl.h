/*
 * qxl.h - the display devices: QXL, and the plain VGA card.
 *
 * QXL is the paravirtual display of the SPICE project (PCI 1b36:0100, structures in <spice/qxl_dev.h>) on top of a VGA with
 * Bochs' DISPI; the VGA card (PCI 1234:1111) has the latter only. Each has a display thread of its own: display->loop.
 *
 * The display thread never waits for the device lock. What it is given to run (loop_call, sinks) must not either.
 */
#ifndef DEVICES_QXL_QXL_H
#define DEVICES_QXL_QXL_H

#include "backend/display.h"
#include "vmm/pci.h"

#define QXL_REVISION_DEFAULT 5
#define QXL_MAX_HEADS        4
#define QXL_ROM_FILE         "/usr/share/seabios/vgabios-qxl.bin"
#define VGA_ROM_FILE         "/usr/share/seabios/vgabios-stdvga.bin"

#define QXL_DEFAULT_MEMORY   MIB(64)
#define QXL_DEFAULT_VGAMEM   MIB(16)
#define QXL_MAX_MEMORY       MIB(512) /* of BAR 0, and of the others together */
#define QXL_MIN_VGAMEM       MIB(8)
#define QXL_MAX_VGAMEM       MIB(256)

/* Sizes in bytes; they are rounded up to powers of two and into the device's limits. 0 means the default. */
struct qxl_config {
    uint64_t ram;      /* BAR 0, default 64 MiB, at least twice vgamem; up to QXL_MAX_MEMORY */
    uint64_t vram;     /* BAR 1, default 64 MiB; up to QXL_MAX_MEMORY */
    uint64_t vram64;   /* BAR 4, of 64 bits, if that is more than vram, which is its begin then; default: as vram */
    uint64_t vgamem;   /* what modes may take, default 16 MiB */
    unsigned revision; /* 2..5, default 5 */
    unsigned heads;    /* monitors that the guest may have on it: 1..QXL_MAX_HEADS, default 1 */
    const char *rom;   /* option ROM; NULL: QXL_ROM_FILE or VGA_ROM_FILE */
    const char *record; /* where to write what the guest draws, or NULL; QXL only */
    unsigned id;       /* of the display; all but 0 are secondary: no VGA, no option ROM */
};

/* The device lives in the machine's list; *display is valid as long. 0 or -errno with fail_text(). */
int qxl_create(struct machine *machine, uint8_t devfn, const struct qxl_config *config,
               struct display **display);
/* Takes vgamem, rom and id of the configuration. */
int vga_create(struct machine *machine, uint8_t devfn, const struct qxl_config *config,
               struct display **display);

#endif

/*
 * boot_screen.h - a screen for a kernel that is booted without firmware: no video BIOS has set a mode, so this sets one of
 * the VGA's linear modes (Bochs' DISPI, vga_dispi.c), and the kernel is told where it is.
 */
#ifndef VMM_BOOT_SCREEN_H
#define VMM_BOOT_SCREEN_H

#include "vmm/device.h"

/* Pixels of 32 bits, bytes B G R x. */
struct boot_screen {
    uint32_t width, height; /* 0: there is none */
    uint32_t pitch;         /* bytes from one row to the next */
    gpa_t address;
};

/*
 * Device lock held, vCPUs stopped, after pci_setup(). devfn: the display device, whose BAR 0 is its video memory. With no
 * such device, or no room for its BAR, *screen has no size.
 */
void boot_screen_setup(struct machine *machine, unsigned devfn, struct boot_screen *screen);

#endif

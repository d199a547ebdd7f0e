#include "vmm/boot_screen.h"

#include "devices/qxl/vga.h"
#include "vmm/pci_setup.h"

/* What installers ask the video BIOS for (vga=788), and small enough to cost a start nothing. */
#define WIDTH  800
#define HEIGHT 600
#define BYTES  4

#define VGA_MISC     0x3c2
#define VGA_ATTR     0x3c0
#define VGA_STATUS1  0x3da
#define DISPI_INDEX  0x1ce
#define DISPI_DATA   0x1cf
#define MISC_COLOR   0x01 /* registers at 3dx */
#define ATTR_DISPLAY 0x20 /* the picture is on */

static void write_port(struct machine *machine, unsigned port, uint8_t value)
{
    bus_write(machine->pio, port, &value, 1);
}

static void write_dispi(struct machine *machine, uint16_t index, uint16_t value)
{
    bus_write(machine->pio, DISPI_INDEX, &index, 2);
    bus_write(machine->pio, DISPI_DATA, &value, 2);
}

/* After a reset the attribute controller shows nothing. */
static void unblank(struct machine *machine)
{
    uint8_t status;

    write_port(machine, VGA_MISC, MISC_COLOR);
    bus_read(machine->pio, VGA_STATUS1, &status, 1); /* the next write is an index */
    write_port(machine, VGA_ATTR, ATTR_DISPLAY);
}

void boot_screen_setup(struct machine *machine, unsigned devfn, struct boot_screen *screen)
{
    gpa_t address = pci_setup_bar(machine, devfn, 0);

    *screen = (struct boot_screen){0};
    if (!address)
        return;
    write_dispi(machine, DISPI_ENABLE, 0);
    write_dispi(machine, DISPI_XRES, WIDTH);
    write_dispi(machine, DISPI_YRES, HEIGHT);
    write_dispi(machine, DISPI_BPP, 8 * BYTES);
    write_dispi(machine, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
    unblank(machine);
    *screen = (struct boot_screen){WIDTH, HEIGHT, WIDTH * BYTES, address};
}

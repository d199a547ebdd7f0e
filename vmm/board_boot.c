/* board_boot.c - what firmware, or a kernel without it, finds: its image, tables, order of devices. */
#include "base/error.h"
#include "base/file.h"
#include "devices/disk/lock.h"
#include "devices/platform/i440fx.h"
#include "devices/platform/pflash.h"
#include "devices/platform/piix4_pm.h"
#include "vmm/board_private.h"
#include "vmm/pci_setup.h"
#include "vmm/smbios.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SEABIOS      "/usr/share/seabios/bios-256k.bin"
#define FIRMWARE_MAX MIB(16)

/* Without firmware. */
#define EBDA          0x9fc00
#define BIOS_AREA     0xf0000 /* the ACPI root pointer, then SMBIOS */
#define SMBIOS_ANCHOR 0xf0100
#define SMBIOS_TABLES 0xf0200

#define BOOT_ORDER_MAX 1024

/* --- the image --- */

static int open_variables(struct board *board)
{
    const struct vm_config *c = board->config;
    int fd, err = uefi_make_store(&c->uefi);

    if (err)
        return err;
    fd = open(c->uefi.variables, (c->snapshot ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return fail(-errno, "UEFI variables '%s': %s", c->uefi.variables, strerror(errno));
    if (!c->relayed)
        err = disk_lock(fd, c->uefi.variables, !c->snapshot);
    if (err || c->snapshot)
        close(fd);
    else
        board->variables_fd = fd;
    return err;
}

/* The store lies right below the code, where OVMF expects it. */
static int load_variables(struct board *board)
{
    const char *path = board->config->uefi.variables;
    struct file file;
    int err = open_variables(board);

    if (!err)
        err = file_open(&file, "UEFI variables", path);
    if (err)
        return err;
    if (file.size > PFLASH_MAX_SIZE || !IS_ALIGNED(file.size, PFLASH_BLOCK))
        err = fail(-EINVAL, "UEFI variables '%s' have no size that such a store has", path);
    else
        err = ram_init(&board->variables, "UEFI variables", file.size, RAM_READ_ONLY);
    if (!err)
        err = file_read(&file, board->variables.host, file.size, 0);
    file_close(&file);
    return err;
}

/* Read the whole ROM to right below 4 GiB. */
static int load_firmware(struct board *board)
{
    const char *path = board->config->firmware ? board->config->uefi.code : SEABIOS;
    struct file file;
    int err = board->config->uefi.present ? load_variables(board) : 0;

    if (err)
        return err;
    err = file_open(&file, "firmware", path);

    if (err == -ENOENT && !board->config->firmware)
        return fail(err, "firmware '%s' is missing; install the package 'seabios'", path);
    if (err)
        return err;
    if (file.size < I440FX_BIOS_SIZE || file.size > FIRMWARE_MAX || !IS_ALIGNED(file.size, 4096))
        err = fail(-EINVAL, "firmware '%s' is not a BIOS image of 128 KiB to 16 MiB", path);
    else
        err = ram_init(&board->rom, "firmware", file.size, RAM_READ_ONLY);
    if (!err)
        err = file_read(&file, board->rom.host, file.size, 0);
    file_close(&file);
    return err ? err : memory_map_ram(board->machine.memory, &board->rom, ABOVE_4G - board->rom.size);
}

int board_open_boot_files(struct board *board)
{
    const struct vm_config *c = board->config;

    return c->kernel ? direct_boot_open(&board->kernel, c->kernel, c->initrd, c->append) : load_firmware(board);
}

/* --- what firmware is told --- */

static void add_e820(struct board *board, uint64_t base, uint64_t end, enum e820_type type)
{
    if (base < end)
        board->e820[board->e820_count++] = (struct e820_entry){base, end - base, type};
}

static void build_acpi(struct board *board, struct acpi_tables *acpi)
{
    struct acpi_config config = {.cpus = board->config->cpus,
                                 .pci_start = board->pci_start,
                                 .hpet = board->hpet,
                                 .pm_base = piix4_pm_base(board->pm)};

    if (!config.pm_base)
        config.pm_base = PCI_SETUP_PM_BASE;
    if (acpi_build(acpi, &config))
        *acpi = (struct acpi_tables){0};
}

/* The three files are built from the live registers when the firmware first reads them. */
#define ACPI_FILE(blob)                                                                            \
    static void build_##blob(void *opaque, uint8_t *data, size_t size)                             \
    {                                                                                              \
        struct acpi_tables acpi;                                                                   \
                                                                                                   \
        build_acpi(opaque, &acpi);                                                                 \
        memcpy(data, acpi.blob.data, MIN(size, acpi.blob.size));                                   \
        acpi_free(&acpi);                                                                          \
    }

ACPI_FILE(rsdp)
ACPI_FILE(tables)
ACPI_FILE(loader)

static int add_acpi_files(struct board *board)
{
    struct acpi_tables acpi;
    int err;

    build_acpi(board, &acpi);
    err = fw_cfg_add_built_file(board->fw_cfg, "etc/acpi/rsdp", acpi.rsdp.size, build_rsdp, board);
    if (!err)
        err = fw_cfg_add_built_file(board->fw_cfg, "etc/acpi/tables", acpi.tables.size, build_tables, board);
    if (!err)
        err = fw_cfg_add_built_file(board->fw_cfg, "etc/table-loader", acpi.loader.size, build_loader, board);
    acpi_free(&acpi);
    return err;
}

static int build_smbios(struct board *board, struct smbios *smbios, bool bios)
{
    struct smbios_config config = {.cpus = board->config->cpus,
                                   .memory_low = board->low_top,
                                   .memory_high = board->high.size,
                                   .bios = bios};

    memcpy(config.uuid, board->config->uuid, UUID_SIZE);
    return smbios_build(smbios, &config);
}

static int add_smbios_files(struct board *board)
{
    struct smbios smbios;
    int err = build_smbios(board, &smbios, false);

    if (err)
        return err;
    err = fw_cfg_add(board->fw_cfg, FW_CFG_UUID, board->config->uuid, UUID_SIZE);
    if (!err)
        err = fw_cfg_add_file(board->fw_cfg, "etc/smbios/smbios-anchor", smbios.anchor, sizeof(smbios.anchor));
    if (!err)
        err = fw_cfg_add_file(board->fw_cfg, "etc/smbios/smbios-tables", smbios.tables.data, smbios.tables.size);
    smbios_free(&smbios);
    return err;
}

static void firmware_e820(struct board *board)
{
    board->e820_count = 0;
    add_e820(board, 0, board->low_top, E820_RAM);
    add_e820(board, ABOVE_4G, ABOVE_4G + board->high.size, E820_RAM);
    add_e820(board, KVM_IDENTITY_ADDRESS, KVM_TSS_ADDRESS + 3 * 4096, E820_RESERVED);
}

/* Lines as SeaBIOS looks for them (src/boot.c). */
static void print_boot_ide(FILE *order, unsigned unit)
{
    fprintf(order, "/pci@i0cf8/*@1,1/drive@%x/disk@%x\n", unit / 2, unit % 2);
}

static void print_boot_disks(const struct board *board, FILE *order)
{
    unsigned i;

    for (i = 0; i < board->config->disk_count; i++) {
        if (board->config->drives[i].bus == BUS_IDE)
            print_boot_ide(order, board->ide_units[i]);
        else
            fprintf(order, "/pci@i0cf8/*@%x/disk@0,0\n", SLOT_DISKS + i);
    }
}

static void print_boot(const struct board *board, FILE *order, enum config_boot what)
{
    unsigned i;

    if (what == BOOT_DISK)
        print_boot_disks(board, order);
    else if (what == BOOT_NETWORK)
        fprintf(order, "/pci@i0cf8/*@%x/ethernet-phy@0\n", SLOT_NET);
    else
        for (i = 0; i < board->config->cdrom_count; i++)
            print_boot_ide(order, IDE_CDROM_UNIT + i);
}

static int add_boot_order(struct board *board)
{
    char lines[BOOT_ORDER_MAX];
    FILE *order = fmemopen(lines, sizeof(lines), "w");
    unsigned i;
    long size;

    if (!order)
        return -ENOMEM;
    for (i = 0; i < board->config->boot_count; i++)
        print_boot(board, order, board->config->boot[i]);
    fprintf(order, "HALT"); /* nothing else is tried, and there is no "press any key" */
    size = ftell(order);
    fclose(order);
    return fw_cfg_add_file(board->fw_cfg, "bootorder", lines, (size_t)size + 1);
}

int board_fill_fw_cfg(struct board *board)
{
    static const uint8_t sleep_states[6] = {[3] = 0, [4] = 0, [5] = 128}; /* S5 alone */
    struct fw_cfg *f = board->fw_cfg;
    uint64_t ram = board->low_top;
    int err;

    firmware_e820(board);
    err = fw_cfg_add(f, FW_CFG_RAM_SIZE, &ram, sizeof(ram));
    if (!err)
        err = fw_cfg_add_u16(f, FW_CFG_NB_CPUS, (uint16_t)board->config->cpus);
    if (!err)
        err = fw_cfg_add_u16(f, FW_CFG_MAX_CPUS, (uint16_t)board->config->cpus);
    if (!err)
        err = fw_cfg_add_file(f, "etc/e820", board->e820, board->e820_count * sizeof(board->e820[0]));
    if (!err)
        err = fw_cfg_add_file(f, "etc/system-states", sleep_states, sizeof(sleep_states));
    if (!err)
        err = add_boot_order(board);
    if (!err)
        err = add_smbios_files(board);
    return err ? err : add_acpi_files(board);
}

/* --- without firmware --- */

int board_boot_directly(struct board *board, struct vcpu_entry *entry)
{
    uint64_t tables = board->low_top - ACPI_MAX_SIZE;
    struct boot_screen screen = {0};
    struct acpi_tables acpi;
    struct smbios smbios;
    int err;

    board->e820_count = 0;
    add_e820(board, 0, EBDA, E820_RAM);
    add_e820(board, EBDA, LOW_END, E820_RESERVED);
    add_e820(board, BIOS_AREA, HIGH_START, E820_RESERVED);
    add_e820(board, HIGH_START, tables, E820_RAM);
    add_e820(board, tables, board->low_top, E820_ACPI);
    add_e820(board, KVM_IDENTITY_ADDRESS, KVM_TSS_ADDRESS + 3 * 4096, E820_RESERVED);
    add_e820(board, ABOVE_4G, ABOVE_4G + board->high.size, E820_RAM);
    pci_setup(&board->machine, board->pci_start);
    if (board->displays[0])
        boot_screen_setup(&board->machine, PCI_DEVFN(SLOT_DISPLAY, 0), &screen);
    build_acpi(board, &acpi);
    err = acpi_install(&acpi, board->machine.memory, BIOS_AREA, tables);
    acpi_free(&acpi);
    if (!err)
        err = build_smbios(board, &smbios, true);
    if (!err) {
        err = smbios_install(&smbios, board->machine.memory, SMBIOS_ANCHOR, SMBIOS_TABLES);
        smbios_free(&smbios);
    }
    return err ? err
               : direct_boot_load(board->kernel,
                                  &(struct boot_machine){board->machine.memory, board->e820, board->e820_count, tables,
                                                         BIOS_AREA, screen},
                                  entry);
}

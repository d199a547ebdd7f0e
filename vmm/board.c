#include "vmm/board.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "devices/ide/ide.h"
#include "devices/platform/debugport.h"
#include "devices/platform/fw_cfg.h"
#include "devices/platform/hpet.h"
#include "devices/platform/i440fx.h"
#include "devices/platform/pflash.h"
#include "devices/platform/i6300esb.h"
#include "devices/platform/i8042.h"
#include "devices/platform/piix3.h"
#include "devices/platform/piix4_pm.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/rtc.h"
#include "devices/platform/uart16550.h"
#include "devices/qxl/qxl.h"
#include "devices/disk/lock.h"
#include "devices/virtio/virtio_balloon.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_net.h"
#include "devices/virtio/virtio_rng.h"
#include "vmm/acpi.h"
#include "vmm/cloud_init.h"
#include "vmm/direct_boot.h"
#include "vmm/kvm.h"
#include "vmm/pci_setup.h"
#include "vmm/save.h"
#include "vmm/smbios.h"
#include "vmm/vcpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEABIOS "/usr/share/seabios/bios-256k.bin"
#define FIRMWARE_MAX MIB(16)

/* The map below 1 MiB and 4 GiB. */
#define LOW_END 0xa0000
#define EBDA 0x9fc00
#define BIOS_AREA 0xf0000 /* without firmware: the ACPI root pointer, then SMBIOS */
#define SMBIOS_ANCHOR 0xf0100
#define SMBIOS_TABLES 0xf0200
#define HIGH_START 0x100000
#define ABOVE_4G GIB(4)

/* Slots of the PCI bus; disks follow one another. */
#define SLOT_DISPLAY 2
#define SLOT_NET 3
#define SLOT_RNG 4
#define SLOT_DISKS 5
#define SLOT_BALLOON 29 /* the last: what comes later has room before them */
#define SLOT_SEED 30
#define SLOT_WATCHDOG 31

/* CD-ROM drives are the secondary channel's, as software expects; IDE disks take what is free. */
#define IDE_CDROM_UNIT 2
#define BOOT_ORDER_MAX 1024
#define CDROM_MIN      2048 /* bytes */

struct board {
    struct machine machine;
    const struct vm_config *config;
    void (*on_request)(void *opaque, enum machine_request what);
    void *opaque;
    bool request_pending; /* atomic: one request a run */

    struct kvm kvm;
    struct vcpus *vcpus;

    /* Guest memory: 0-640K, 1M to low_top, 4G and up; between the first two the host bridge's shadow; the ROM. */
    struct ram low, main, high, rom, variables;
    uint8_t *shadow;
    uint64_t low_top;
    uint32_t pci_start;

    struct fw_cfg *fw_cfg;
    struct pci_device *pm;
    struct device *hpet; /* NULL: none */
    int variables_fd;    /* UEFI's store; -1: what is written is lost */
    struct input input;
    struct display *display;
    struct chardev *serial, *debug;
    struct loop io_loop; /* the thread of the network and the balloon */
    bool io_thread;
    struct net *net;
    struct virtio_net *net_card;
    struct virtio_balloon *balloon;
    struct loop disk_loop; /* the disks' thread */
    bool disk_thread;
    struct disk *disks[CONFIG_MAX_DISKS], *cdroms[CONFIG_MAX_CDROMS], *seed; /* NULL: none, no medium, no cloud-init */
    struct ide *ide;                      /* NULL: nothing is attached to it */
    unsigned ide_units[CONFIG_MAX_DISKS]; /* of the disks that are */

    struct save *save; /* its file waits for the disks to be closed */
    struct direct_boot *kernel; /* NULL: firmware boots */
    struct e820_entry e820[E820_MAX];
    unsigned e820_count;
};

/* --- the machine's hooks --- */

static struct board *board_of(struct machine *machine)
{
    return container_of(machine, struct board, machine);
}

static void set_gsi(void *opaque, unsigned line, bool level)
{
    kvm_set_line(opaque, line, level);
}

static struct irq board_gsi(struct machine *machine, unsigned n)
{
    return (struct irq){set_gsi, &board_of(machine)->kvm, n};
}

static void pit_interrupts(struct machine *machine, bool on)
{
    kvm_set_pit_interrupts(&board_of(machine)->kvm, on);
}

static void msi_send(struct machine *machine, uint64_t addr, uint32_t data)
{
    kvm_send_msi(&board_of(machine)->kvm, addr, data);
}

static int msi_eventfd(struct machine *machine, uint64_t addr, uint32_t data, int fd, int *route)
{
    return kvm_add_msi_eventfd(&board_of(machine)->kvm, addr, data, fd, route);
}

static void msi_eventfd_remove(struct machine *machine, int fd, int route)
{
    kvm_remove_msi_eventfd(&board_of(machine)->kvm, fd, route);
}

struct request {
    struct board *board;
    enum machine_request what;
};

static void deliver_request(void *arg)
{
    struct request request = *(struct request *)arg;

    free(arg);
    /* The CPUs may have gone on for a while; what they ask for now belongs to the same end. */
    board_stop(request.board);
    __atomic_store_n(&request.board->request_pending, false, __ATOMIC_RELEASE);
    request.board->on_request(request.board->opaque, request.what);
}

static void board_request(struct machine *machine, enum machine_request what)
{
    struct board *board = board_of(machine);
    struct request *request;

    if (__atomic_exchange_n(&board->request_pending, true, __ATOMIC_ACQ_REL))
        return;
    request = malloc(sizeof(*request));
    if (!request)
        abort();
    *request = (struct request){board, what};
    loop_call(machine->loop, deliver_request, request);
}

static int init_machine(struct board *board, struct loop *loop)
{
    struct machine *m = &board->machine;
    pthread_mutexattr_t recursive;
    int err = kvm_create(&board->kvm);

    if (err)
        return err;
    if (board->config->no_hyperv)
        kvm_hide_hyperv(&board->kvm);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    TAILQ_INIT(&m->devices);
    m->loop = loop;
    m->gsi = board_gsi;
    m->pit_interrupts = pit_interrupts;
    m->request = board_request;
    m->msi_send = msi_send;
    m->msi_eventfd = msi_eventfd;
    m->msi_eventfd_remove = msi_eventfd_remove;
    m->paused_at = 1;
    m->memory = memory_create(&kvm_memory_backend, &board->kvm);
    m->pio = bus_create("pio", UINT16_MAX + 1, &m->lock, &kvm_bus_backend, &board->kvm);
    m->mmio = bus_create("mmio", UINT64_MAX, &m->lock, &kvm_bus_backend, &board->kvm);
    if (!m->memory || !m->pio || !m->mmio)
        return -ENOMEM;
    board->kvm.pio = m->pio;
    m->pci = pci_bus_create(m);
    return m->pci ? 0 : -ENOMEM;
}

/* --- memory --- */

/* The PCI window starts where SeaBIOS puts it: at 2 GiB for small machines, 3, else 3.5; larger RAM splits at 3 GiB. */
static void place_memory(struct board *board)
{
    uint64_t size = board->config->memory;

    board->pci_start = size <= GIB(2) ? 0x80000000 : size <= GIB(3) ? 0xc0000000 : 0xe0000000;
    board->low_top = size <= 0xe0000000 ? size : GIB(3);
    /* OVMF has it begin right above RAM. */
    if (board->config->uefi.present)
        board->pci_start = (uint32_t)MAX(board->low_top, GIB(2));
}

static void add_e820(struct board *board, uint64_t base, uint64_t end, enum e820_type type)
{
    if (base < end)
        board->e820[board->e820_count++] = (struct e820_entry){base, end - base, type};
}

static int add_ram(struct board *board, struct ram *ram, const char *name, uint64_t base, uint64_t end)
{
    int err;

    if (base >= end)
        return 0;
    err = ram_init_huge(ram, name, end - base, base);
    return err ? err : memory_map_ram(board->machine.memory, ram, base);
}

/* Memory is reserved as the guest touches it: refuse at once what could never be given. */
static int check_host_memory(uint64_t wanted)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    if (wanted <= all)
        return 0;
    return fail(-ENOMEM, "the machine's memory of %llu MiB is more than this computer has (%llu MiB); ask for less with --memory",
                (unsigned long long)(wanted >> 20), (unsigned long long)(all >> 20));
}

static int create_memory(struct board *board)
{
    int err = check_host_memory(board->config->memory);

    if (err)
        return err;
    place_memory(board);
    err = add_ram(board, &board->low, "low memory", 0, LOW_END);
    if (!err)
        err = add_ram(board, &board->main, "memory", HIGH_START, board->low_top);
    if (!err)
        err = add_ram(board, &board->high, "high memory", ABOVE_4G,
                      ABOVE_4G + board->config->memory - board->low_top);
    if (err)
        return err;
    board->shadow = mmap(NULL, I440FX_SHADOW_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (board->shadow == MAP_FAILED) {
        board->shadow = NULL;
        return -ENOMEM;
    }
    return 0;
}

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

/* --- what firmware is told --- */

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

static int fill_fw_cfg(struct board *board)
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

/* --- devices --- */

static int need(const void *created, const char *what)
{
    return created ? 0 : fail(-ENOMEM, "cannot create the %s: out of memory", what);
}

/* The HPET first, since it may take the other's interrupt. */
static int create_clocks(struct board *board, struct rtc_config *rtc)
{
    if (!board->config->no_hpet) {
        board->hpet = hpet_create(&board->machine);
        if (!board->hpet)
            return need(NULL, "HPET");
        rtc->irq = hpet_rtc_irq(board->hpet);
    }
    return need(rtc_create(&board->machine, rtc), "real-time clock");
}

static int create_chipset(struct board *board)
{
    struct machine *m = &board->machine;
    const struct i440fx_config bridge = {
        .shadow = board->shadow,
        .bios = board->rom.host ? board->rom.host + board->rom.size - I440FX_BIOS_SIZE : NULL};
    struct rtc_config rtc = {.ram_low = board->low_top,
                             .ram_high = board->high.size,
                             .cpus = board->config->cpus,
                             .local_time = board->config->rtc_local,
                             .boot = {RTC_BOOT_DISK}};
    int err = need(i440fx_create(m, &bridge), "host bridge");

    if (!err)
        err = need(piix3_create(m), "ISA bridge");
    if (!err)
        err = need(board->pm = piix4_pm_create(m), "power management");
    if (!err)
        err = create_clocks(board, &rtc);
    if (!err)
        err = need(board->fw_cfg = fw_cfg_create(m), "firmware configuration");
    return err;
}

static int create_flash(struct board *board)
{
    const struct pflash_config config = {.ram = &board->variables,
                                         .base = ABOVE_4G - board->rom.size - board->variables.size,
                                         .fd = board->variables_fd,
                                         .path = board->config->uefi.variables};

    return board->variables.host ? need(pflash_create(&board->machine, &config), "flash chip") : 0;
}

static int create_legacy(struct board *board)
{
    struct machine *m = &board->machine;
    const struct vm_config *c = board->config;
    int err = need(i8042_create(m, &board->input), "keyboard controller");

    if (!err)
        err = chardev_create(&board->serial, m->loop, c->serial);
    if (!err)
        err = need(uart16550_create(m, UART_COM1, UART_COM1_IRQ, board->serial), "serial port");
    if (!err)
        err = c->debug_port ? chardev_create(&board->debug, m->loop, c->debug_port) : 0;
    if (!err)
        err = need(debugport_create(m, board->debug), "debug port");
    return err;
}

/* Nobody fed the watchdog. Ending is what follows a crash: a guest that hangs is no better off. */
static void on_watchdog(void *opaque)
{
    static const enum machine_request requests[] = {[WATCHDOG_RESET] = MACHINE_RESET,
                                                    [WATCHDOG_POWEROFF] = MACHINE_POWEROFF,
                                                    [WATCHDOG_DESTROY] = MACHINE_CRASH,
                                                    [WATCHDOG_PAUSE] = MACHINE_PAUSE};
    struct board *board = opaque;
    enum config_watchdog action = board->config->watchdog;

    log_warn("the guest did not feed its watchdog in time%s", action == WATCHDOG_PAUSE ? ": it stands still" : "");
    if (action != WATCHDOG_NONE)
        board_request(&board->machine, requests[action]);
}

/* What notices that a guest has failed. */
static int create_guards(struct board *board)
{
    const struct i6300esb_config watchdog = {on_watchdog, board};
    int err = need(pvpanic_create(&board->machine), "panic port");

    if (!err && board->config->watchdog != WATCHDOG_ABSENT)
        err = need(i6300esb_create(&board->machine, PCI_DEVFN(SLOT_WATCHDOG, 0), &watchdog), "watchdog");
    return err;
}

static int create_display(struct board *board)
{
    const struct vm_config *c = board->config;
    const struct qxl_config qxl = {.ram = c->qxl.ram,
                                   .vram = c->qxl.vram,
                                   .vgamem = c->qxl.vgamem,
                                   .revision = c->qxl.revision};

    switch (c->video) {
    case VIDEO_QXL:
        return qxl_create(&board->machine, PCI_DEVFN(SLOT_DISPLAY, 0), &qxl, &board->display);
    case VIDEO_VGA:
        return vga_create(&board->machine, PCI_DEVFN(SLOT_DISPLAY, 0), &qxl, &board->display);
    default:
        return 0;
    }
}

static int find_boot_rom(const struct vm_config *config, const char **rom)
{
    *rom = config_boots_from(config, BOOT_NETWORK) ? BOARD_NETWORK_ROM : NULL;
    if (*rom && access(*rom, R_OK) != 0)
        return fail(-errno, "--boot network needs '%s'; install the package 'ipxe-qemu'", *rom);
    return 0;
}

struct net_opening {
    struct board *board;
    int err;
    char text[512];
};

/* In its thread. */
static void open_net(void *arg)
{
    struct net_opening *opening = arg;
    struct board *board = opening->board;
    const struct vm_config *c = board->config;
    struct net_user_options user = c->net_user;

    user.forwards = c->forwards;
    user.forward_count = c->forward_count;
    opening->err = c->net == NET_TAP ? net_tap_create(&board->net, &board->io_loop, c->tap, c->net_queues)
                                     : net_user_create(&board->net, &board->io_loop, &user);
    if (opening->err)
        snprintf(opening->text, sizeof(opening->text), "%s", fail_text());
}

static int create_net(struct board *board)
{
    struct net_opening opening = {.board = board};
    struct virtio_net_options net = {.loop = &board->io_loop};
    int err;

    if (board->config->net == NET_NONE)
        return 0;
    loop_call_wait(&board->io_loop, open_net, &opening);
    if (opening.err)
        return fail(opening.err, "%s", opening.text);
    net.net = board->net;
    memcpy(net.mac, board->config->mac, sizeof(net.mac));
    err = find_boot_rom(board->config, &net.rom);
    return err ? err : virtio_net_create(&board->machine, PCI_DEVFN(SLOT_NET, 0), &net, &board->net_card);
}

static int create_balloon(struct board *board)
{
    const struct virtio_balloon_options options = {board->config->memory, &board->io_loop};

    if (board->config->no_balloon)
        return 0;
    return virtio_balloon_create(&board->machine, PCI_DEVFN(SLOT_BALLOON, 0), &options, &board->balloon);
}

static int create_io(struct board *board)
{
    int err = loop_init(&board->io_loop);

    if (!err)
        err = loop_start(&board->io_loop, "io");
    board->io_thread = !err;
    if (!err)
        err = create_net(board);
    return err ? err : create_balloon(board);
}

struct disk_opening {
    struct board *board;
    struct disk **disk;
    const struct disk_options *options;
    int err;
    char text[512];
};

/* In the disks' thread: an image belongs to the loop that opens it. */
static void open_in_loop(void *arg)
{
    struct disk_opening *opening = arg;

    opening->err = disk_open(opening->disk, &opening->board->disk_loop, opening->options);
    if (opening->err)
        snprintf(opening->text, sizeof(opening->text), "%s", fail_text());
}

static int open_disk(struct board *board, struct disk **disk, const struct disk_options *options)
{
    struct disk_opening opening = {.board = board, .disk = disk, .options = options};

    loop_call_wait(&board->disk_loop, open_in_loop, &opening);
    return opening.err ? fail(opening.err, "%s", opening.text) : 0;
}

static int check_medium(const struct disk *disk, const char *path)
{
    return disk->size >= CDROM_MIN ? 0 : fail(-EINVAL, "CD '%s' has not even one block of %d bytes", path, CDROM_MIN);
}

static void attach_to_ide(struct board *board, unsigned n, struct ide_options *ide)
{
    unsigned unit = 0;

    while (ide->units[unit].kind != IDE_NONE)
        unit++;
    board->ide_units[n] = unit;
    ide->units[unit] = (struct ide_unit_options){IDE_DISK, board->disks[n], board->config->drives[n].serial};
}

static int create_disk(struct board *board, unsigned n, struct ide_options *ide)
{
    const struct config_drive *drive = &board->config->drives[n];
    struct virtio_blk_options blk = {.loop = &board->disk_loop, .serial = drive->serial};
    int err = open_disk(board, &board->disks[n], &board->config->disks[n]);

    if (err)
        return err;
    if (drive->bus == BUS_IDE) {
        attach_to_ide(board, n, ide);
        return 0;
    }
    blk.disk = board->disks[n];
    blk.queues = board->config->disks[n].queues ? board->config->disks[n].queues : board->config->cpus;
    return virtio_blk_create(&board->machine, PCI_DEVFN(SLOT_DISKS + n, 0), &blk);
}

/* A disk of memory, which the image layer opens by the name that this process has for it. */
static int create_seed(struct board *board)
{
    const struct vm_config *c = board->config;
    struct disk_options options = {.format = "raw", .read_only = true, .no_lock = true, .cache = DISK_CACHE_WRITEBACK};
    struct virtio_blk_options blk = {.loop = &board->disk_loop, .serial = "cidata"};
    int fd = cloud_init_create(c->cloud_init, c->name, c->uuid), err;
    char path[32];

    if (fd < 0)
        return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    options.path = path;
    err = open_disk(board, &board->seed, &options);
    close(fd);
    blk.disk = board->seed;
    return err ? err : virtio_blk_create(&board->machine, PCI_DEVFN(SLOT_SEED, 0), &blk);
}

static int create_cdrom(struct board *board, unsigned n, struct ide_options *ide)
{
    const struct disk_options *iso = &board->config->cdroms[n];
    int err = iso->path ? open_disk(board, &board->cdroms[n], iso) : 0;

    if (!err && board->cdroms[n])
        err = check_medium(board->cdroms[n], iso->path);
    ide->units[IDE_CDROM_UNIT + n] = (struct ide_unit_options){.kind = IDE_CDROM, .disk = board->cdroms[n]};
    return err;
}

/* The IDE function is there only if something is attached to it: to look for drives takes guests a while. */
static int create_disks(struct board *board)
{
    const struct vm_config *c = board->config;
    struct ide_options ide = {.loop = &board->disk_loop};
    unsigned i;
    int err;

    if (!c->disk_count && !c->cdrom_count && !c->cloud_init)
        return 0;
    err = loop_init(&board->disk_loop);
    if (!err)
        err = loop_start(&board->disk_loop, "disk");
    board->disk_thread = !err;
    for (i = 0; i < c->cdrom_count && !err; i++)
        err = create_cdrom(board, i, &ide);
    for (i = 0; i < c->disk_count && !err; i++)
        err = create_disk(board, i, &ide);
    if (!err && c->cloud_init)
        err = create_seed(board);
    for (i = 0; i < IDE_UNITS && !err; i++)
        if (ide.units[i].kind != IDE_NONE)
            return ide_create(&board->ide, &board->machine, &ide);
    return err;
}

/* The parts list, top to bottom. */
static int create_devices(struct board *board)
{
    int err = create_chipset(board);

    if (!err)
        err = create_flash(board);
    if (!err)
        err = create_legacy(board);
    if (!err)
        err = create_guards(board);
    if (!err)
        err = create_display(board);
    if (!err)
        err = create_io(board);
    if (!err)
        err = virtio_rng_create(&board->machine, PCI_DEVFN(SLOT_RNG, 0), 0);
    if (!err)
        err = create_disks(board);
    return err ? err : fill_fw_cfg(board);
}

static int open_boot_files(struct board *board)
{
    const struct vm_config *c = board->config;

    return c->kernel ? direct_boot_open(&board->kernel, c->kernel, c->initrd, c->append) : load_firmware(board);
}

int board_create(struct board **created, const struct vm_config *config, struct loop *loop,
                 void (*request)(void *opaque, enum machine_request what), void *opaque)
{
    struct board *board = calloc(1, sizeof(*board));
    int err;

    if (!board)
        return -ENOMEM;
    board->config = config;
    board->on_request = request;
    board->opaque = opaque;
    board->variables_fd = -1;
    input_init(&board->input);
    err = init_machine(board, loop);
    if (!err)
        err = create_memory(board);
    if (!err)
        err = open_boot_files(board);
    if (!err)
        err = create_devices(board);
    if (!err)
        err = vcpus_create(&board->vcpus, &board->machine, &board->kvm, config->cpus);
    if (!err)
        err = config->restore ? board_restore(board, config->restore) : board_reset(board);
    *created = board;
    return err;
}

/* --- life --- */

/* Without firmware: what it would have left in memory and in the chipset. */
static int direct_boot(struct board *board, struct vcpu_entry *entry)
{
    uint64_t tables = board->low_top - ACPI_MAX_SIZE;
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
                                                         BIOS_AREA},
                                  entry);
}

int board_reset(struct board *board)
{
    struct vcpu_entry entry = {0};
    struct device *device;
    int err = 0;

    machine_lock(&board->machine);
    kvm_reset(&board->kvm);
    pci_bus_reset(board->machine.pci);
    TAILQ_FOREACH(device, &board->machine.devices, link)
        if (device->ops->reset)
            device->ops->reset(device);
    if (board->kernel)
        err = direct_boot(board, &entry);
    vcpus_reset(board->vcpus, &entry);
    machine_unlock(&board->machine);
    return err;
}

static struct save_machine save_parts(struct board *board)
{
    return (struct save_machine){&board->machine, &board->kvm, board->vcpus, board->config,
                                 {&board->low, &board->main, &board->high}};
}

int board_save(struct board *board, const char *path)
{
    const struct save_machine parts = save_parts(board);
    int err = save_begin(&board->save, &parts, path);

    if (err)
        save_resume(&board->machine);
    return err;
}

int board_restore(struct board *board, const char *path)
{
    const struct save_machine parts = save_parts(board);
    int err = save_read(&parts, path);

    if (!err)
        save_resume(&board->machine);
    return err;
}

void board_start(struct board *board)
{
    vcpus_start(board->vcpus);
}

void board_stop(struct board *board)
{
    vcpus_stop(board->vcpus);
}

bool board_running(const struct board *board)
{
    return vcpus_running(board->vcpus);
}

void board_power_button(struct board *board)
{
    piix4_pm_power_button(board->pm);
}

struct input *board_input(struct board *board)
{
    return &board->input;
}

struct display *board_display(struct board *board)
{
    return board->display;
}

struct chardev *board_serial(struct board *board)
{
    return board->serial;
}

static void close_medium(void *arg)
{
    disk_close(arg);
}

int board_change_cdrom(struct board *board, unsigned n, const char *path, bool force)
{
    const struct disk_options iso = {
        .path = path, .format = "raw", .read_only = true, .no_lock = board->config->relayed};
    struct disk *new = NULL, *old = NULL;
    int err = 0;

    if (n >= board->config->cdrom_count)
        return fail(-ENODEV, "the machine has no CD-ROM drive %u; start it with --cdrom none", n);
    if (path)
        err = open_disk(board, &new, &iso);
    if (new)
        err = check_medium(new, path);
    if (!err)
        err = ide_cdrom_change(board->ide, IDE_CDROM_UNIT + n, new, force, &old);
    if (!err)
        board->cdroms[n] = new;
    else
        old = new;
    if (old)
        loop_call_wait(&board->disk_loop, close_medium, old);
    return err;
}

struct virtio_net *board_net(struct board *board)
{
    return board->net_card;
}

struct virtio_balloon *board_balloon(struct board *board)
{
    return board->balloon;
}

struct disk_closing {
    struct board *board;
    int err;
};

static void close_disks(void *arg)
{
    struct disk_closing *closing = arg;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(closing->board->disks); i++) {
        int err = closing->board->disks[i] ? disk_close(closing->board->disks[i]) : 0;

        closing->err = closing->err ? closing->err : err;
    }
    /* These are read-only: they have nothing to lose. */
    for (i = 0; i < ARRAY_SIZE(closing->board->cdroms); i++)
        if (closing->board->cdroms[i])
            disk_close(closing->board->cdroms[i]);
    if (closing->board->seed)
        disk_close(closing->board->seed);
}

static int destroy_disks(struct board *board)
{
    struct disk_closing closing = {.board = board};

    if (!board->disk_thread)
        return 0;
    loop_call_wait(&board->disk_loop, close_disks, &closing);
    loop_stop(&board->disk_loop);
    loop_join(&board->disk_loop);
    loop_fini(&board->disk_loop);
    return closing.err;
}

static void close_net(void *arg)
{
    net_destroy(((struct board *)arg)->net);
}

static void destroy_io(struct board *board)
{
    if (!board->io_thread)
        return;
    loop_call_wait(&board->io_loop, close_net, board);
    loop_stop(&board->io_loop);
    loop_join(&board->io_loop);
    loop_fini(&board->io_loop);
}

static void destroy_devices(struct board *board)
{
    struct device *device;

    machine_lock(&board->machine);
    while ((device = TAILQ_LAST(&board->machine.devices, device_list))) {
        TAILQ_REMOVE(&board->machine.devices, device, link);
        if (device->ops->destroy)
            device->ops->destroy(device);
    }
    machine_unlock(&board->machine);
}

static int finish_save(struct board *board, int err)
{
    if (!board->save)
        return err;
    if (err) {
        save_abort(board->save);
        return err;
    }
    return save_commit(board->save);
}

int board_destroy(struct board *board)
{
    int err;

    if (!board)
        return 0;
    vcpus_destroy(board->vcpus);
    destroy_devices(board);
    err = destroy_disks(board);
    err = finish_save(board, err);
    destroy_io(board);
    chardev_destroy(board->serial);
    chardev_destroy(board->debug);
    direct_boot_close(board->kernel);
    pci_bus_destroy(board->machine.pci);
    bus_destroy(board->machine.pio);
    bus_destroy(board->machine.mmio);
    kvm_destroy(&board->kvm);
    memory_destroy(board->machine.memory);
    ram_fini(&board->low);
    ram_fini(&board->main);
    ram_fini(&board->high);
    ram_fini(&board->rom);
    ram_fini(&board->variables);
    if (board->variables_fd >= 0)
        close(board->variables_fd);
    if (board->shadow)
        munmap(board->shadow, I440FX_SHADOW_SIZE);
    pthread_mutex_destroy(&board->machine.lock);
    free(board);
    return err;
}

#include "vmm/board.h"

#include "base/error.h"
#include "base/log.h"
#include "devices/audio/ac97.h"
#include "devices/audio/hda.h"
#include "devices/platform/debugport.h"
#include "devices/platform/hpet.h"
#include "devices/platform/i440fx.h"
#include "devices/platform/i6300esb.h"
#include "devices/platform/i8042.h"
#include "devices/platform/pflash.h"
#include "devices/platform/piix3.h"
#include "devices/platform/piix4_pm.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/rtc.h"
#include "devices/platform/uart16550.h"
#include "devices/qxl/qxl.h"
#include "devices/virtio/virtio_rng.h"
#include "vmm/board_private.h"
#include "vmm/board_sandbox.h"
#include "vmm/pci_setup.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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
    if (!request.board->vcpus)
        return; /* it is being destroyed */
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
        err = board_create_hotplug(board);
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

static int create_qxl(struct board *board, unsigned n)
{
    const struct vm_config *c = board->config;
    const struct config_qxl *q = &c->qxl[n];
    const struct qxl_config qxl = {.ram = q->ram,
                                   .vram = q->vram,
                                   .vram64 = q->vram64,
                                   .vgamem = q->vgamem,
                                   .revision = q->revision,
                                   .heads = c->heads,
                                   .record = n ? NULL : c->spice_record,
                                   .id = n};

    return qxl_create(&board->machine, PCI_DEVFN(SLOT_DISPLAY, n), &qxl, &board->displays[n]);
}

/* What does not fit is not there for the guest, or keeps firmware from starting. */
static int check_pci_window(const struct board *board)
{
    uint64_t window = PCI_WINDOW_END - board->pci_start, wanted = pci_bus_memory(board->machine.pci);

    if (wanted <= window)
        return 0;
    return fail(-EINVAL, "the memory of the devices, %llu MiB, does not fit into the %llu MiB below 4 GiB that PCI has; ask for "
                         "less with --qxl%s", (unsigned long long)wanted >> 20, (unsigned long long)window >> 20,
                board->config->memory > GIB(2) ? ", or for --memory 2G" : "");
}

static int create_displays(struct board *board)
{
    const struct qxl_config vga = {0};
    int err = 0;

    switch (board->config->video) {
    case VIDEO_QXL:
        for (unsigned n = 0; n < MAX(board->config->qxl_count, 1) && !err; n++)
            err = create_qxl(board, n);
        return err ? err : check_pci_window(board);
    case VIDEO_VGA:
        return vga_create(&board->machine, PCI_DEVFN(SLOT_DISPLAY, 0), &vga, &board->displays[0]);
    default:
        return 0;
    }
}

static int create_sound(struct board *board)
{
    struct machine *m = &board->machine;

    switch (board->config->card) {
    case CARD_ICH6:
        return need(hda_create(m, PCI_DEVFN(SLOT_SOUND, 2), HDA_DUPLEX, &board->sound), "sound card");
    case CARD_AC97:
        return need(ac97_create(m, PCI_DEVFN(SLOT_SOUND, 2), &board->sound), "sound card");
    default:
        return 0;
    }
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
        err = create_displays(board);
    if (!err)
        err = board_create_net(board);
    if (!err)
        err = virtio_rng_create(&board->machine, PCI_DEVFN(SLOT_RNG, 0), 0);
    if (!err)
        err = board_create_ports(board);
    if (!err)
        err = create_sound(board);
    if (!err)
        err = board_create_disks(board);
    return err ? err : board_fill_fw_cfg(board);
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
    sound_init(&board->sound, loop);
    err = board_init_plugs(board);
    if (!err)
        err = init_machine(board, loop);
    if (!err)
        err = create_memory(board);
    if (!err)
        err = board_open_boot_files(board);
    if (!err)
        err = create_devices(board);
    if (!err)
        err = vcpus_create(&board->vcpus, &board->machine, &board->kvm, config->cpus, &vcpu_sandbox);
    if (!err)
        err = config->restore ? board_restore(board, config->restore) : board_reset(board);
    *created = board;
    return err;
}

/* --- life --- */

int board_reset(struct board *board)
{
    struct vcpu_entry entry = {0};
    struct device *device;
    int err = 0;

    board_remove_drawn(board, true);
    machine_lock(&board->machine);
    kvm_reset(&board->kvm);
    pci_bus_reset(board->machine.pci);
    TAILQ_FOREACH(device, &board->machine.devices, link)
        if (device->ops->reset)
            device->ops->reset(device);
    if (board->kernel)
        err = board_boot_directly(board, &entry);
    vcpus_reset(board->vcpus, &entry);
    machine_unlock(&board->machine);
    return err;
}

static struct save_machine save_parts(struct board *board)
{
    return (struct save_machine){&board->machine, &board->kvm, board->vcpus, board->config,
                                 {&board->low, &board->main, &board->high},
                                 board_plugged_disk, board_save_plugged, board_load_plugged, board};
}

int board_save(struct board *board, const char *path)
{
    const struct save_machine parts = save_parts(board);
    int err = board_check_disks(board);

    if (err)
        return err;
    board_remove_drawn(board, false);
    err = save_begin(&board->save, &parts, path);
    /* What was in flight has ended by now, perhaps without having been done. */
    if (!err && (err = board_check_disks(board))) {
        save_abort(board->save);
        board->save = NULL;
    }
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

static void discard_missed_ticks(void *arg)
{
    kvm_discard_missed_ticks(&((struct board *)arg)->kvm);
}

void board_start(struct board *board)
{
    vcpus_start(board->vcpus);
    /* From the loop, when the guest runs already: nobody shall wait for it. */
    if (!board->started)
        loop_call(board->machine.loop, discard_missed_ticks, board);
    board->started = true;
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

struct display *board_display(struct board *board, unsigned n)
{
    return board->displays[n];
}

struct sound *board_sound(struct board *board)
{
    return board->config->card == CARD_NONE ? NULL : &board->sound;
}

struct chardev *board_serial(struct board *board)
{
    return board->serial;
}

struct virtio_net *board_net(struct board *board)
{
    return board->net_card;
}

struct virtio_balloon *board_balloon(struct board *board)
{
    return board->balloon;
}

static void destroy_devices(struct board *board)
{
    struct device *device;

    machine_lock(&board->machine);
    while ((device = TAILQ_LAST(&board->machine.devices, device_list)))
        device_destroy(device);
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
    int err, lost;

    if (!board)
        return 0;
    vcpus_destroy(board->vcpus);
    board->vcpus = NULL;
    loop_run_calls(board->machine.loop); /* nobody asks for anything any more: what was asked for must not come later */
    lost = board_unwatch_disks(board);
    destroy_devices(board);
    err = board_destroy_disks(board);
    err = finish_save(board, err);
    board_destroy_net(board);
    board_destroy_plugs(board);
    board_destroy_ports(board);
    sound_fini(&board->sound);
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
    return err ? err : lost;
}

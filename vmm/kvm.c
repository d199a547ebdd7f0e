#include "vmm/kvm.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

#include <asm/kvm_para.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUID_ENTRIES 256
#define PAGE_SIZE 4096 /* <linux/kvm.h> wants to know it */
#define FIRST_MSI_GSI KVM_GSI_COUNT
#define MAX_ROUTES (2 * KVM_GSI_COUNT + KVM_MSI_ROUTES)

static const struct {
    int capability;
    const char *name;
} needed[] = {
    {KVM_CAP_IRQCHIP, "interrupt controllers"}, {KVM_CAP_USER_MEMORY, "memory slots"},
    {KVM_CAP_PIT2, "interval timer"},           {KVM_CAP_IRQFD, "irqfd"},
    {KVM_CAP_IOEVENTFD, "ioeventfd"},           {KVM_CAP_IRQ_ROUTING, "interrupt routing"},
    {KVM_CAP_SIGNAL_MSI, "MSI"},                {KVM_CAP_READONLY_MEM, "read-only memory"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"}, {KVM_CAP_EXT_CPUID, "CPUID"},
};

static int open_device(struct kvm *kvm)
{
    size_t i;
    int version;

    kvm->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm->fd < 0 && errno == EACCES)
        return fail(-EACCES, "no access to /dev/kvm; add yourself to the group 'kvm' and log in again, "
                             "or use --accel nested");
    if (kvm->fd < 0)
        return fail(-errno, "cannot open /dev/kvm: %s; load kvm-intel or kvm-amd (and enable "
                            "virtualisation in the firmware), or use --accel nested",
                    strerror(errno));
    version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return fail(-ENOTSUP, "/dev/kvm speaks version %d, not %d", version, KVM_API_VERSION);
    for (i = 0; i < ARRAY_SIZE(needed); i++)
        if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0)
            return fail(-ENOTSUP, "/dev/kvm lacks %s; a newer kernel has it", needed[i].name);
    kvm->run_size = (size_t)ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    kvm->late_page = MAX(ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO), 0);
    return 0;
}

/* What devices ask of it in any thread. */
static const struct sandbox_ioctl kvm_ioctls[] = {
    SANDBOX_IOCTL(KVM_IRQ_LINE), SANDBOX_IOCTL(KVM_SIGNAL_MSI), SANDBOX_IOCTL(KVM_SET_GSI_ROUTING), SANDBOX_IOCTL(KVM_IRQFD),
    SANDBOX_IOCTL(KVM_IOEVENTFD), SANDBOX_IOCTL(KVM_SET_USER_MEMORY_REGION), SANDBOX_IOCTL(KVM_GET_DIRTY_LOG),
    SANDBOX_IOCTL(KVM_REGISTER_COALESCED_MMIO), SANDBOX_IOCTL(KVM_UNREGISTER_COALESCED_MMIO),
    SANDBOX_IOCTL(KVM_REINJECT_CONTROL), SANDBOX_IOCTL(KVM_GET_PIT2), SANDBOX_IOCTL(KVM_SET_PIT2), {0}};
const struct sandbox_calls kvm_sandbox = {.name = "KVM's interrupts and memory", .ioctls = kvm_ioctls};

static int fetch_list(struct kvm *kvm, unsigned long request, struct kvm_cpuid2 **list)
{
    *list = calloc(1, sizeof(**list) + CPUID_ENTRIES * sizeof((*list)->entries[0]));
    if (!*list)
        return -ENOMEM;
    (*list)->nent = CPUID_ENTRIES;
    return ioctl(kvm->fd, request, *list) ? -errno : 0;
}

void kvm_hide_hyperv(struct kvm *kvm)
{
    free(kvm->hyperv);
    kvm->hyperv = NULL;
}

/* Whether QEMU emulates this very computer, as it does a software host. */
static bool host_is_emulated(void)
{
    uint32_t eax, ebx, ecx, edx;
    char name[12];

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & 1u << 31)) /* no hypervisor */
        return false;
    __cpuid(0x40000000, eax, ebx, ecx, edx);
    store_le32((uint8_t *)name, ebx);
    store_le32((uint8_t *)name + 4, ecx);
    store_le32((uint8_t *)name + 8, edx);
    return memcmp(name, "TCGTCGTCGTCG", sizeof(name)) == 0;
}

/*
 * KVM_FEATURE_PV_UNHALT has Linux' CPUs queue for a spin lock and halt after a while. That while is counted in instructions:
 * on a real CPU some microseconds, on an emulated one a whole time slice, so that CPUs which share one of the host's hand
 * each lock over by time slices.
 */
static void hide_lock_halts(struct kvm_cpuid2 *cpuid)
{
    unsigned i;

    for (i = 0; i < cpuid->nent; i++)
        if (cpuid->entries[i].function == KVM_CPUID_FEATURES)
            cpuid->entries[i].eax &= ~(1u << KVM_FEATURE_PV_UNHALT);
}

static int fetch_cpuid(struct kvm *kvm)
{
    int err = fetch_list(kvm, KVM_GET_SUPPORTED_CPUID, &kvm->cpuid);

    if (err)
        return fail(err, "/dev/kvm does not tell its CPU features: %s", strerror(-err));
    if (host_is_emulated())
        hide_lock_halts(kvm->cpuid);
    /* Kernels before 5.11 tell it per vCPU only: Windows does without there. */
    if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYS_HYPERV_CPUID) <= 0 ||
        fetch_list(kvm, KVM_GET_SUPPORTED_HV_CPUID, &kvm->hyperv))
        kvm_hide_hyperv(kvm);
    return 0;
}

static int apply_routing(struct kvm *kvm)
{
    return ioctl(kvm->vm, KVM_SET_GSI_ROUTING, kvm->routing) ? -errno : 0;
}

static void add_pin(struct kvm *kvm, unsigned gsi, unsigned chip, unsigned pin)
{
    kvm->routing->entries[kvm->routing->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {.irqchip = chip, .pin = pin}};
}

/* ISA lines go to PIC and IOAPIC; the timer's is pin 2 of the IOAPIC, as the MADT says. */
static int init_routing(struct kvm *kvm)
{
    unsigned gsi;

    kvm->routing = calloc(1, sizeof(*kvm->routing) + MAX_ROUTES * sizeof(kvm->routing->entries[0]));
    if (!kvm->routing)
        return -ENOMEM;
    for (gsi = 0; gsi < KVM_GSI_COUNT; gsi++) {
        if (gsi < 16 && gsi != 2)
            add_pin(kvm, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
        if (gsi != 2)
            add_pin(kvm, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
    }
    return apply_routing(kvm);
}

static int create_chips(struct kvm *kvm)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    unsigned i;
    int err;

    if (ioctl(kvm->vm, KVM_CREATE_IRQCHIP, 0) || ioctl(kvm->vm, KVM_CREATE_PIT2, &pit))
        return -errno;
    err = init_routing(kvm);
    for (i = 0; !err && i < ARRAY_SIZE(kvm->chips); i++) {
        kvm->chips[i].chip_id = i;
        err = ioctl(kvm->vm, KVM_GET_IRQCHIP, &kvm->chips[i]) ? -errno : 0;
    }
    if (!err && ioctl(kvm->vm, KVM_GET_PIT2, &kvm->pit))
        err = -errno;
    return err;
}

static int create_vm(struct kvm *kvm)
{
    uint64_t identity = KVM_IDENTITY_ADDRESS;
    int err;

    do
        kvm->vm = ioctl(kvm->fd, KVM_CREATE_VM, 0);
    while (kvm->vm < 0 && errno == EINTR);
    if (kvm->vm < 0)
        return fail(-errno, "/dev/kvm refuses a new machine: %s", strerror(errno));
    if (ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
        ioctl(kvm->vm, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDRESS))
        return fail(-errno, "/dev/kvm refuses its reserved pages: %s", strerror(errno));
    err = create_chips(kvm);
    return err ? fail(err, "/dev/kvm refuses interrupt controllers and timer: %s", strerror(-err)) : 0;
}

int kvm_create(struct kvm *kvm)
{
    int err;

    *kvm = (struct kvm){.fd = -1, .vm = -1};
    pthread_mutex_init(&kvm->lock, NULL);
    err = open_device(kvm);
    if (!err)
        err = fetch_cpuid(kvm);
    if (!err)
        err = create_vm(kvm);
    if (err)
        kvm_destroy(kvm);
    return err;
}

void kvm_destroy(struct kvm *kvm)
{
    if (kvm->late)
        munmap(kvm->late, PAGE_SIZE);
    if (kvm->vm >= 0)
        close(kvm->vm);
    if (kvm->fd >= 0)
        close(kvm->fd);
    free(kvm->cpuid);
    free(kvm->hyperv);
    free(kvm->routing);
    pthread_mutex_destroy(&kvm->lock);
}

void kvm_discard_missed_ticks(struct kvm *kvm)
{
    struct kvm_reinject_control discard = {.pit_reinject = 0};

    ioctl(kvm->vm, KVM_REINJECT_CONTROL, &discard); /* without it they are made up: no harm but load */
}

void kvm_reset(struct kvm *kvm)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(kvm->chips); i++)
        ioctl(kvm->vm, KVM_SET_IRQCHIP, &kvm->chips[i]);
    ioctl(kvm->vm, KVM_SET_PIT2, &kvm->pit);
}

void kvm_set_pit_interrupts(struct kvm *kvm, bool on)
{
    struct kvm_pit_state2 pit;

    if (ioctl(kvm->vm, KVM_GET_PIT2, &pit))
        return;
    pit.flags = on ? pit.flags & ~(uint32_t)KVM_PIT_FLAGS_HPET_LEGACY : pit.flags | KVM_PIT_FLAGS_HPET_LEGACY;
    ioctl(kvm->vm, KVM_SET_PIT2, &pit);
}

/* --- saved state --- */

int kvm_save(struct kvm *kvm, struct writer *w)
{
    struct kvm_clock_data clock = {0};
    struct kvm_pit_state2 pit;
    struct kvm_irqchip chip;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(kvm->chips); i++) {
        chip.chip_id = i;
        if (ioctl(kvm->vm, KVM_GET_IRQCHIP, &chip))
            return -errno;
        writer_bytes(w, &chip.chip, sizeof(chip.chip));
    }
    if (ioctl(kvm->vm, KVM_GET_PIT2, &pit) || ioctl(kvm->vm, KVM_GET_CLOCK, &clock))
        return -errno;
    writer_bytes(w, &pit, sizeof(pit));
    writer_u64(w, clock.clock);
    return 0;
}

int kvm_load(struct kvm *kvm, struct reader *r, uint64_t elapsed)
{
    struct kvm_irqchip chips[ARRAY_SIZE(kvm->chips)];
    struct kvm_clock_data clock = {0};
    struct kvm_pit_state2 pit;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(chips); i++) {
        chips[i].chip_id = i;
        reader_copy(r, &chips[i].chip, sizeof(chips[i].chip));
    }
    reader_copy(r, &pit, sizeof(pit));
    clock.clock = reader_u64(r) + elapsed;
    if (r->bad)
        return -EINVAL;
    for (i = 0; i < ARRAY_SIZE(chips); i++)
        if (ioctl(kvm->vm, KVM_SET_IRQCHIP, &chips[i]))
            return -errno;
    return ioctl(kvm->vm, KVM_SET_PIT2, &pit) || ioctl(kvm->vm, KVM_SET_CLOCK, &clock) ? -errno : 0;
}

/* --- memory --- */

static int map_slot(void *opaque, struct ram *ram, bool mapped)
{
    struct kvm *kvm = opaque;
    struct kvm_userspace_memory_region slot = {
        .slot = ram->slot,
        .flags = (ram->flags & RAM_READ_ONLY ? KVM_MEM_READONLY : 0) |
                 (ram->flags & RAM_LOG_DIRTY ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = ram->base,
        .memory_size = mapped ? ram->size : 0,
        .userspace_addr = (uintptr_t)ram->host,
    };

    if (ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0)
        return 0;
    return fail(-errno, "/dev/kvm refuses %zu KiB of %s at %#llx: %s", ram->size >> 10, ram->name,
                (unsigned long long)ram->base, strerror(errno));
}

static int fetch_dirty(void *opaque, struct ram *ram, unsigned long *bitmap)
{
    struct kvm *kvm = opaque;
    struct kvm_dirty_log log = {.slot = ram->slot, .dirty_bitmap = bitmap};

    if (!(ram->flags & RAM_LOG_DIRTY))
        return -ENOTSUP;
    return ioctl(kvm->vm, KVM_GET_DIRTY_LOG, &log) ? -errno : 0;
}

const struct memory_backend kvm_memory_backend = {.map = map_slot, .fetch_dirty = fetch_dirty};

/* --- notifiers --- */

static int set_ioeventfd(void *opaque, struct bus *bus, uint64_t addr, unsigned width, int fd, bool match,
                         uint64_t value, bool add)
{
    struct kvm *kvm = opaque;
    struct kvm_ioeventfd event = {
        .addr = addr,
        .len = width,
        .fd = fd,
        .datamatch = value,
        .flags = (bus == kvm->pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) | (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    return ioctl(kvm->vm, KVM_IOEVENTFD, &event) ? -errno : 0;
}

/* Coalesced MMIO: KVM puts writes into a ring that all vCPUs share. Without it, or when it is full, each is an exit. */
static void set_late(void *opaque, struct bus *bus, uint64_t base, uint64_t size, bool on)
{
    struct kvm *kvm = opaque;
    struct kvm_coalesced_mmio_zone zone = {.addr = base, .size = (uint32_t)size};

    if (kvm->late_page && bus != kvm->pio)
        ioctl(kvm->vm, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

static bool next_late(void *opaque, struct late_write *write)
{
    const struct kvm_coalesced_mmio_ring *ring = ((struct kvm *)opaque)->late;
    const struct kvm_coalesced_mmio *from;
    uint32_t first = ring ? __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) : 0;

    if (!ring || first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
        return false;
    if (!write)
        return true;
    from = &ring->coalesced_mmio[first];
    *write = (struct late_write){.addr = from->phys_addr, .width = from->len};
    memcpy(write->data, from->data, sizeof(write->data));
    return true;
}

static void drop_late(void *opaque)
{
    struct kvm_coalesced_mmio_ring *ring = ((struct kvm *)opaque)->late;

    __atomic_store_n(&ring->first, (ring->first + 1) % KVM_COALESCED_MMIO_MAX, __ATOMIC_RELEASE);
}

int kvm_map_late_writes(struct kvm *kvm, int vcpu)
{
    void *ring;

    if (!kvm->late_page || kvm->late)
        return 0;
    ring = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, (off_t)kvm->late_page * PAGE_SIZE);
    if (ring == MAP_FAILED)
        return -errno;
    kvm->late = ring;
    return 0;
}

const struct bus_backend kvm_bus_backend = {
    .ioeventfd = set_ioeventfd, .late = set_late, .next_late = next_late, .drop_late = drop_late};

/* --- interrupts --- */

void kvm_set_line(struct kvm *kvm, unsigned gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    ioctl(kvm->vm, KVM_IRQ_LINE, &line);
}

void kvm_send_msi(struct kvm *kvm, uint64_t addr, uint32_t data)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};

    ioctl(kvm->vm, KVM_SIGNAL_MSI, &msi);
}

static int set_irqfd(struct kvm *kvm, int fd, int route, bool add)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)fd,
                              .gsi = FIRST_MSI_GSI + (uint32_t)route,
                              .flags = add ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

    return ioctl(kvm->vm, KVM_IRQFD, &irqfd) ? -errno : 0;
}

static void remove_route(struct kvm *kvm, int route)
{
    struct kvm_irq_routing *table = kvm->routing;
    unsigned i;

    for (i = 0; i < table->nr; i++)
        if (table->entries[i].gsi == FIRST_MSI_GSI + (unsigned)route)
            table->entries[i] = table->entries[--table->nr];
    kvm->route_used[route] = false;
}

static int add_route(struct kvm *kvm, uint64_t addr, uint32_t data)
{
    int route;

    for (route = 0; route < KVM_MSI_ROUTES && kvm->route_used[route]; route++)
        ;
    if (route == KVM_MSI_ROUTES)
        return -ENOSPC;
    kvm->route_used[route] = true;
    kvm->routing->entries[kvm->routing->nr++] = (struct kvm_irq_routing_entry){
        .gsi = FIRST_MSI_GSI + (unsigned)route,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = {.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data}};
    return route;
}

int kvm_add_msi_eventfd(struct kvm *kvm, uint64_t addr, uint32_t data, int fd, int *route)
{
    int err;

    pthread_mutex_lock(&kvm->lock);
    err = add_route(kvm, addr, data);
    if (err >= 0) {
        *route = err;
        err = apply_routing(kvm);
        if (!err)
            err = set_irqfd(kvm, fd, *route, true);
        if (err)
            remove_route(kvm, *route);
    }
    pthread_mutex_unlock(&kvm->lock);
    return err;
}

void kvm_remove_msi_eventfd(struct kvm *kvm, int fd, int route)
{
    pthread_mutex_lock(&kvm->lock);
    set_irqfd(kvm, fd, route, false);
    remove_route(kvm, route);
    apply_routing(kvm);
    pthread_mutex_unlock(&kvm->lock);
}

#include "vmm/vcpu.h"

#include "base/error.h"
#include "base/log.h"
#include "vmm/cpu_state.h"
#include "vmm/cpuid.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HYPERV_INVALID_CALL 2 /* HV_STATUS_INVALID_HYPERCALL_CODE */

struct vcpu {
    struct vcpus *set;
    unsigned index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool have_thread;
    bool confined; /* its thread's */
    struct cpu_state initial; /* what a reset brings back */
    uint64_t exits;
};

struct vcpus {
    struct machine *machine;
    struct kvm *kvm;
    const struct sandbox_calls *calls;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool run, quit;
    unsigned starts;  /* so that a parked vCPU sees a stop and start that it slept through */
    unsigned running; /* vCPUs that are not parked */
    unsigned count;
    struct vcpu cpu[];
};

/* --- reset --- */

/* Flat segments, paging off, interrupts off: what Linux' 32-bit boot protocol, PVH and Multiboot want. */
static void enter_protected_mode(struct vcpu *cpu, const struct vcpu_entry *entry)
{
    const struct kvm_segment code = {.limit = 0xffffffff, .selector = 0x10, .type = 11, .present = 1,
                                     .db = 1, .s = 1, .g = 1};
    const struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1,
                                     .db = 1, .s = 1, .g = 1};
    struct kvm_sregs sregs = cpu->initial.sregs;
    struct kvm_regs regs = {
        .rip = entry->eip, .rax = entry->eax, .rbx = entry->ebx, .rsi = entry->esi, .rflags = 2};

    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr.limit = 0x67;
    sregs.gdt.base = entry->gdt;
    sregs.gdt.limit = 4 * 8 - 1;
    sregs.cr0 = 0x11; /* PE, ET */
    ioctl(cpu->fd, KVM_SET_SREGS, &sregs);
    ioctl(cpu->fd, KVM_SET_REGS, &regs);
}

void vcpus_reset(struct vcpus *vcpus, const struct vcpu_entry *entry)
{
    unsigned i;

    for (i = 0; i < vcpus->count; i++)
        cpu_state_reset(&vcpus->cpu[i].initial, vcpus->cpu[i].fd);
    if (entry->direct)
        enter_protected_mode(&vcpus->cpu[0], entry);
}

/* --- running --- */

static void on_kick(int signal UNUSED)
{
}

static void handle_io(struct vcpu *cpu)
{
    struct kvm_run *run = cpu->run;
    struct bus *pio = cpu->set->machine->pio;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    if (run->io.direction == KVM_EXIT_IO_OUT)
        bus_write_string(pio, run->io.port, data, run->io.size, run->io.count);
    else
        bus_read_string(pio, run->io.port, data, run->io.size, run->io.count);
}

static void handle_mmio(struct vcpu *cpu)
{
    struct kvm_run *run = cpu->run;
    struct bus *mmio = cpu->set->machine->mmio;

    if (run->mmio.is_write)
        bus_write(mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    else
        bus_read(mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

/* The vCPU cannot go on: say where it was, ask for the machine's crash action, and park. */
static void report_crash(struct vcpu *cpu, const char *reason, uint64_t detail)
{
    struct vcpus *set = cpu->set;
    struct kvm_regs regs = {0};

    ioctl(cpu->fd, KVM_GET_REGS, &regs);
    log_error("CPU %u cannot go on: %s (%#llx) at rip %#llx", cpu->index, reason, (unsigned long long)detail,
              (unsigned long long)regs.rip);
    set->machine->request(set->machine, MACHINE_CRASH);
}

/* Some systems reboot so on purpose; where it is none, this is the only trace. KVM on AMD has reset rip by now. */
static void report_triple_fault(struct vcpu *cpu)
{
    struct kvm_regs regs = {0};
    struct kvm_sregs sregs = {0};

    ioctl(cpu->fd, KVM_GET_REGS, &regs);
    ioctl(cpu->fd, KVM_GET_SREGS, &sregs);
    log_warn("the guest resets by a triple fault: CPU %u, rip %#llx, cr2 %#llx", cpu->index,
             (unsigned long long)regs.rip, (unsigned long long)sregs.cr2);
}

/* False: this vCPU shall park until the machine is stopped. */
static bool handle_exit(struct vcpu *cpu)
{
    struct kvm_run *run = cpu->run;
    struct machine *machine = cpu->set->machine;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        handle_io(cpu);
        return true;
    case KVM_EXIT_MMIO:
        handle_mmio(cpu);
        return true;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_HLT:
        return true;
    case KVM_EXIT_SHUTDOWN:
        report_triple_fault(cpu);
        machine->request(machine, MACHINE_RESET);
        return false;
    case KVM_EXIT_SYSTEM_EVENT:
        machine->request(machine, run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? MACHINE_POWEROFF
                                  : run->system_event.type == KVM_SYSTEM_EVENT_RESET  ? MACHINE_RESET
                                                                                      : MACHINE_CRASH);
        return false;
    case KVM_EXIT_HYPERV: /* a call that no leaf has offered */
        if (run->hyperv.type == KVM_EXIT_HYPERV_HCALL)
            run->hyperv.u.hcall.result = HYPERV_INVALID_CALL;
        return true;
    case KVM_EXIT_FAIL_ENTRY:
        report_crash(cpu, "KVM cannot enter the guest", run->fail_entry.hardware_entry_failure_reason);
        return false;
    case KVM_EXIT_INTERNAL_ERROR:
        report_crash(cpu, "KVM cannot emulate an instruction", run->internal.suberror);
        return false;
    default:
        report_crash(cpu, "KVM exits for an unknown reason", run->exit_reason);
        return false;
    }
}

/* Runs until somebody wants the vCPUs parked. */
static void run_guest(struct vcpu *cpu)
{
    while (__atomic_load_n(&cpu->set->run, __ATOMIC_ACQUIRE)) {
        int err = ioctl(cpu->fd, KVM_RUN, 0) ? errno : 0;

        bus_settle(cpu->set->machine->mmio);
        if (err == EINTR || err == EAGAIN)
            continue;
        if (err) {
            report_crash(cpu, strerror(err), (uint64_t)err);
            return;
        }
        __atomic_store_n(&cpu->exits, cpu->exits + 1, __ATOMIC_RELAXED);
        if (!handle_exit(cpu))
            return;
    }
}

/* An IN or MMIO read is complete only when KVM was entered again; do so without running the guest. */
static void complete_io(struct vcpu *cpu)
{
    __atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_RELEASE); /* vcpus_stop() may write it now, too */
    ioctl(cpu->fd, KVM_RUN, 0);
    __atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_RELEASE);
    bus_settle(cpu->set->machine->mmio);
}

static const struct sandbox_ioctl run_ioctls[] = {SANDBOX_IOCTL(KVM_RUN), SANDBOX_IOCTL(KVM_GET_REGS),
                                                  SANDBOX_IOCTL(KVM_GET_SREGS), {0}};
const struct sandbox_calls vcpu_run_sandbox = {.name = "running a vCPU", .ioctls = run_ioctls};

static const struct sandbox_ioctl state_ioctls[] = {
    SANDBOX_IOCTL(KVM_KVMCLOCK_CTRL), SANDBOX_IOCTL(KVM_CHECK_EXTENSION),
    SANDBOX_IOCTL(KVM_GET_MSR_INDEX_LIST), SANDBOX_IOCTL(KVM_GET_REGS), SANDBOX_IOCTL(KVM_SET_REGS),
    SANDBOX_IOCTL(KVM_GET_SREGS), SANDBOX_IOCTL(KVM_SET_SREGS), SANDBOX_IOCTL(KVM_GET_FPU), SANDBOX_IOCTL(KVM_SET_FPU),
    SANDBOX_IOCTL(KVM_GET_XSAVE), SANDBOX_IOCTL(KVM_GET_XSAVE2), SANDBOX_IOCTL(KVM_SET_XSAVE),
    SANDBOX_IOCTL(KVM_GET_XCRS), SANDBOX_IOCTL(KVM_SET_XCRS), SANDBOX_IOCTL(KVM_GET_DEBUGREGS),
    SANDBOX_IOCTL(KVM_SET_DEBUGREGS), SANDBOX_IOCTL(KVM_GET_LAPIC), SANDBOX_IOCTL(KVM_SET_LAPIC),
    SANDBOX_IOCTL(KVM_GET_MSRS), SANDBOX_IOCTL(KVM_SET_MSRS), SANDBOX_IOCTL(KVM_GET_MP_STATE),
    SANDBOX_IOCTL(KVM_SET_MP_STATE), SANDBOX_IOCTL(KVM_GET_VCPU_EVENTS), SANDBOX_IOCTL(KVM_SET_VCPU_EVENTS),
    SANDBOX_IOCTL(KVM_GET_TSC_KHZ), SANDBOX_IOCTL(KVM_GET_CLOCK), SANDBOX_IOCTL(KVM_SET_CLOCK),
    SANDBOX_IOCTL(KVM_GET_IRQCHIP), SANDBOX_IOCTL(KVM_SET_IRQCHIP), SANDBOX_IOCTL(KVM_GET_PIT2),
    SANDBOX_IOCTL(KVM_SET_PIT2), {0}};
const struct sandbox_calls vcpu_state_sandbox = {.name = "the state of vCPUs", .ioctls = state_ioctls};

/* Before it runs for the first time: by then the machine is set up. */
static void confine(struct vcpu *cpu)
{
    if (!cpu->confined)
        sandbox_confine((void *)cpu->set->calls);
    cpu->confined = true;
}

static void *vcpu_thread(void *arg)
{
    struct vcpu *cpu = arg;
    struct vcpus *set = cpu->set;
    unsigned start;
    char name[16];

    snprintf(name, sizeof(name), "vcpu%u", cpu->index);
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&set->lock);
    while (!set->quit) {
        if (!set->run) {
            pthread_cond_wait(&set->changed, &set->lock);
            continue;
        }
        start = set->starts;
        set->running++;
        pthread_mutex_unlock(&set->lock);
        confine(cpu);
        run_guest(cpu);
        complete_io(cpu);
        pthread_mutex_lock(&set->lock);
        set->running--;
        pthread_cond_broadcast(&set->changed);
        while (set->run && set->starts == start && !set->quit) /* parked before the others */
            pthread_cond_wait(&set->changed, &set->lock);
    }
    pthread_mutex_unlock(&set->lock);
    return NULL;
}

void vcpus_start(struct vcpus *vcpus)
{
    unsigned i;

    pthread_mutex_lock(&vcpus->lock);
    if (!vcpus->run) {
        for (i = 0; i < vcpus->count; i++) {
            vcpus->cpu[i].run->immediate_exit = 0;
            /* A guest with a paravirtual clock shall not take the pause for a lock-up; others are refused. */
            ioctl(vcpus->cpu[i].fd, KVM_KVMCLOCK_CTRL, 0);
        }
        machine_clock_start(vcpus->machine);
        vcpus->starts++;
        __atomic_store_n(&vcpus->run, true, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&vcpus->changed);
    }
    pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_stop(struct vcpus *vcpus)
{
    unsigned i;

    pthread_mutex_lock(&vcpus->lock);
    if (vcpus->run) {
        __atomic_store_n(&vcpus->run, false, __ATOMIC_RELEASE);
        for (i = 0; i < vcpus->count; i++) {
            __atomic_store_n(&vcpus->cpu[i].run->immediate_exit, 1, __ATOMIC_RELEASE);
            pthread_kill(vcpus->cpu[i].thread, SIGUSR1);
        }
        pthread_cond_broadcast(&vcpus->changed);
        while (vcpus->running)
            pthread_cond_wait(&vcpus->changed, &vcpus->lock);
        machine_clock_stop(vcpus->machine);
    }
    pthread_mutex_unlock(&vcpus->lock);
}

bool vcpus_running(const struct vcpus *vcpus)
{
    return __atomic_load_n(&vcpus->run, __ATOMIC_ACQUIRE);
}

uint64_t vcpus_exits(const struct vcpus *vcpus)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < vcpus->count; i++)
        sum += __atomic_load_n(&vcpus->cpu[i].exits, __ATOMIC_RELAXED);
    return sum;
}

/* --- saved state --- */

int vcpus_save(struct vcpus *vcpus, struct writer *w)
{
    struct cpu_state state;
    unsigned i;
    int err = 0;

    for (i = 0; i < vcpus->count && !err; i++) {
        err = cpu_state_get(&state, vcpus->kvm, vcpus->cpu[i].fd);
        if (!err)
            cpu_state_save(&state, w);
        cpu_state_fini(&state);
    }
    return err;
}

int vcpus_load(struct vcpus *vcpus, struct reader *r, uint64_t elapsed)
{
    struct cpu_state state;
    unsigned i;
    int err = 0;

    for (i = 0; i < vcpus->count && !err; i++) {
        err = cpu_state_load(&state, &vcpus->cpu[i].initial, r);
        if (!err)
            err = cpu_state_set(&state, vcpus->cpu[i].fd, elapsed);
        cpu_state_fini(&state);
    }
    return err;
}

/* --- creation --- */

static int create_vcpu(struct vcpus *set, struct vcpu *cpu)
{
    struct kvm *kvm = set->kvm;
    struct kvm_cpuid2 *cpuid;
    int err;

    cpu->fd = ioctl(kvm->vm, KVM_CREATE_VCPU, cpu->index);
    if (cpu->fd < 0)
        return -errno;
    cpu->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    if (cpu->run == MAP_FAILED) {
        cpu->run = NULL;
        return -errno;
    }
    err = kvm_map_late_writes(kvm, cpu->fd);
    if (err)
        return err;
    cpuid = cpuid_create(kvm->cpuid, kvm->hyperv, cpu->index, set->count);
    if (!cpuid)
        return -ENOMEM;
    err = ioctl(cpu->fd, KVM_SET_CPUID2, cpuid) ? -errno : 0;
    free(cpuid);
    return err ? err : cpu_state_get(&cpu->initial, kvm, cpu->fd);
}

static int start_thread(struct vcpu *cpu)
{
    int err = pthread_create(&cpu->thread, NULL, vcpu_thread, cpu);

    if (err)
        return -err;
    cpu->have_thread = true;
    return 0;
}

int vcpus_create(struct vcpus **vcpus, struct machine *machine, struct kvm *kvm, unsigned count,
                 const struct sandbox_calls *calls)
{
    struct vcpus *set = calloc(1, sizeof(*set) + count * sizeof(set->cpu[0]));
    struct sigaction kick = {.sa_handler = on_kick};
    unsigned i;
    int err = 0;

    if (!set)
        return -ENOMEM;
    set->machine = machine;
    set->kvm = kvm;
    set->calls = calls;
    set->count = count;
    pthread_mutex_init(&set->lock, NULL);
    pthread_cond_init(&set->changed, NULL);
    sigaction(SIGUSR1, &kick, NULL);
    for (i = 0; i < count; i++) {
        set->cpu[i].set = set;
        set->cpu[i].index = i;
        set->cpu[i].fd = -1;
    }
    for (i = 0; i < count && !err; i++)
        err = create_vcpu(set, &set->cpu[i]);
    for (i = 0; i < count && !err; i++)
        err = start_thread(&set->cpu[i]);
    if (err) {
        vcpus_destroy(set);
        return fail(err, "/dev/kvm refuses CPU %u of %u: %s", i ? i - 1 : 0, count, strerror(-err));
    }
    *vcpus = set;
    return 0;
}

void vcpus_destroy(struct vcpus *vcpus)
{
    unsigned i;

    if (!vcpus)
        return;
    vcpus_stop(vcpus);
    pthread_mutex_lock(&vcpus->lock);
    vcpus->quit = true;
    pthread_cond_broadcast(&vcpus->changed);
    pthread_mutex_unlock(&vcpus->lock);
    for (i = 0; i < vcpus->count; i++) {
        struct vcpu *cpu = &vcpus->cpu[i];

        if (cpu->have_thread)
            pthread_join(cpu->thread, NULL);
        if (cpu->run)
            munmap(cpu->run, vcpus->kvm->run_size);
        if (cpu->fd >= 0)
            close(cpu->fd);
        cpu_state_fini(&cpu->initial);
    }
    pthread_cond_destroy(&vcpus->changed);
    pthread_mutex_destroy(&vcpus->lock);
    free(vcpus);
}

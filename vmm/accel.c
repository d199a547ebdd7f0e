#include "vmm/accel.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LOOPS     20000
#define CODE_BASE 0x1000
#define TSS_BASE  0xfeffd000
/* Emulators manage a few million; an emulated CPU with virtualisation hundreds; hardware thousands. */
#define RATE_USABLE 40000000

/* mov ecx, LOOPS; again: dec ecx; jnz again; hlt */
static const uint8_t code[] = {0x66, 0xb9, LOOPS & 0xff, LOOPS >> 8, 0,   0,
                               0x66, 0x49, 0x75,         0xfc,       0xf4};

struct scratch {
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
};

static int map_memory(struct scratch *s)
{
    struct kvm_userspace_memory_region region = {.guest_phys_addr = CODE_BASE, .memory_size = 4096};

    s->memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->memory == MAP_FAILED)
        return -ENOMEM;
    memcpy(s->memory, code, sizeof(code));
    region.userspace_addr = (uintptr_t)s->memory;
    return ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* Real mode, flat from 0. */
static int set_registers(struct scratch *s)
{
    struct kvm_regs regs = {.rip = CODE_BASE, .rflags = 2};
    struct kvm_sregs sregs;

    if (ioctl(s->vcpu, KVM_GET_SREGS, &sregs))
        return -errno;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(s->vcpu, KVM_SET_SREGS, &sregs) || ioctl(s->vcpu, KVM_SET_REGS, &regs))
        return -errno;
    return 0;
}

static int create(struct scratch *s)
{
    int err;

    s->vm = ioctl(s->kvm, KVM_CREATE_VM, 0);
    if (s->vm < 0)
        return -errno;
    ioctl(s->vm, KVM_SET_TSS_ADDR, TSS_BASE); /* older Intel CPUs need it for real mode */
    err = map_memory(s);
    if (err)
        return err;
    s->vcpu = ioctl(s->vm, KVM_CREATE_VCPU, 0);
    if (s->vcpu < 0)
        return -errno;
    s->run_size = (size_t)ioctl(s->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    s->run = mmap(NULL, s->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->vcpu, 0);
    return s->run == MAP_FAILED ? -errno : set_registers(s);
}

static void destroy(struct scratch *s)
{
    if (s->run && s->run != MAP_FAILED)
        munmap(s->run, s->run_size);
    if (s->memory && s->memory != MAP_FAILED)
        munmap(s->memory, 4096);
    if (s->vcpu >= 0)
        close(s->vcpu);
    if (s->vm >= 0)
        close(s->vm);
    close(s->kvm);
}

/* Of this thread, so that a busy computer does not look like a slow KVM. */
static uint64_t cpu_nanoseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int run_loop(struct scratch *s, uint64_t *rate)
{
    uint64_t start = cpu_nanoseconds();
    int result;

    do {
        result = ioctl(s->vcpu, KVM_RUN, 0);
    } while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    if (s->run->exit_reason != KVM_EXIT_HLT)
        return -EIO;
    *rate = 2ull * LOOPS * 1000000000 / MAX(cpu_nanoseconds() - start, 1ull);
    return 0;
}

void kvm_probe(struct kvm_probe *probe)
{
    struct scratch s = {.vm = -1, .vcpu = -1};
    int err;

    *probe = (struct kvm_probe){.state = KVM_MISSING};
    s.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (s.kvm < 0) {
        probe->error = errno;
        probe->state = errno == EACCES || errno == EPERM ? KVM_NO_ACCESS : KVM_MISSING;
        return;
    }
    err = create(&s);
    if (!err)
        err = run_loop(&s, &probe->rate);
    destroy(&s);
    probe->error = -err;
    probe->state = err ? KVM_FAILS : probe->rate < RATE_USABLE ? KVM_EMULATES : KVM_HARDWARE;
}

void kvm_probe_describe(const struct kvm_probe *probe, char *text, size_t size)
{
    const char *reason = strerror(probe->error);

    switch (probe->state) {
    case KVM_MISSING:
        snprintf(
            text, size,
            "/dev/kvm: %s; enable virtualisation in the firmware and load kvm-intel or kvm-amd",
            reason);
        break;
    case KVM_NO_ACCESS:
        snprintf(text, size, "/dev/kvm: %s; add yourself to the group 'kvm' and log in again",
                 reason);
        break;
    case KVM_FAILS:
        snprintf(text, size, "/dev/kvm opens but runs no guest: %s; see the kernel's log", reason);
        break;
    case KVM_EMULATES:
        snprintf(text, size,
                 "/dev/kvm only emulates guests, at %.1f million instructions a second; use a "
                 "computer with "
                 "hardware virtualisation for full speed",
                 (double)probe->rate / 1e6);
        break;
    case KVM_HARDWARE:
        snprintf(text, size,
                 "/dev/kvm runs guests, a tight loop at %.0f million instructions a second",
                 (double)probe->rate / 1e6);
        break;
    }
}

enum config_accel accel_choose(enum config_accel wanted)
{
    struct kvm_probe probe;
    char text[256];

    if (wanted != ACCEL_AUTO)
        return wanted;
    kvm_probe(&probe);
    if (probe.state == KVM_HARDWARE)
        return ACCEL_KVM;
    kvm_probe_describe(&probe, text, sizeof(text));
    log_warn("the machine runs in a software host, many times slower: %s", text);
    return ACCEL_NESTED;
}

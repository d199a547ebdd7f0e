#include "vmm/cpu_state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define MSR_TSC          0x10
#define MSR_TSC_DEADLINE 0x6e0

/* The parts of one size. */
static const struct part {
    size_t offset;
    uint32_t size;
    unsigned long get;
    bool optional; /* older or smaller KVMs lack it */
} parts[] = {
#define PART(field, request, optional)                                                             \
    {offsetof(struct cpu_state, field), sizeof(((struct cpu_state *)0)->field), request, optional}
    /* First, for KVM may change the registers as it is read. */
    PART(mp_state, KVM_GET_MP_STATE, false),
    PART(events, KVM_GET_VCPU_EVENTS, false),
    PART(regs, KVM_GET_REGS, false),
    PART(sregs, KVM_GET_SREGS, false),
    PART(fpu, KVM_GET_FPU, false),
    PART(xcrs, KVM_GET_XCRS, true),
    PART(lapic, KVM_GET_LAPIC, false),
    PART(debugregs, KVM_GET_DEBUGREGS, true),
};

static_assert(sizeof(struct kvm_msr_entry) == 16, "the MSR list is sized by entries");

static uint8_t *at(const struct cpu_state *state, const struct part *part)
{
    return (uint8_t *)state + part->offset;
}

/* --- model-specific registers --- */

static struct kvm_msrs *new_msrs(void)
{
    return calloc(1, sizeof(struct kvm_msrs) + CPU_MAX_MSRS * sizeof(struct kvm_msr_entry));
}

static struct kvm_msrs *list_msrs(const struct kvm *kvm)
{
    struct {
        struct kvm_msr_list head;
        uint32_t indices[CPU_MAX_MSRS];
    } list = {.head.nmsrs = CPU_MAX_MSRS};
    struct kvm_msrs *msrs = new_msrs();
    unsigned i;

    if (!msrs || ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, &list))
        return msrs;
    for (i = 0; i < list.head.nmsrs; i++)
        msrs->entries[msrs->nmsrs++].index = list.indices[i];
    return msrs;
}

/* One at a time: of several KVM stops at the first that it does not give. */
static bool transfer_msr(int vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } one = {.head.nmsrs = 1, .entry = *entry};
    bool done = ioctl(vcpu, request, &one) == 1;

    entry->data = one.entry.data;
    return done;
}

static void get_msrs(int vcpu, struct kvm_msrs *msrs)
{
    unsigned done = 0;

    while (done < msrs->nmsrs)
        if (transfer_msr(vcpu, KVM_GET_MSRS, &msrs->entries[done]))
            done++;
        else
            msrs->entries[done] = msrs->entries[--msrs->nmsrs];
}

static void set_msr(int vcpu, uint32_t index, uint64_t data)
{
    transfer_msr(vcpu, KVM_SET_MSRS, &(struct kvm_msr_entry){.index = index, .data = data});
}

/* All but those that count time. */
static void set_msrs(int vcpu, const struct kvm_msrs *msrs)
{
    unsigned i;

    for (i = 0; i < msrs->nmsrs; i++)
        if (msrs->entries[i].index != MSR_TSC && msrs->entries[i].index != MSR_TSC_DEADLINE)
            set_msr(vcpu, msrs->entries[i].index, msrs->entries[i].data);
}

static uint64_t find_msr(const struct kvm_msrs *msrs, uint32_t index)
{
    unsigned i;

    for (i = 0; i < msrs->nmsrs; i++)
        if (msrs->entries[i].index == index)
            return msrs->entries[i].data;
    return 0;
}

/* --- from and to KVM --- */

static int get_xsave(struct cpu_state *s, const struct kvm *kvm, int vcpu)
{
    int size = ioctl(kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
    bool two = size > 0;

    if (!two && ioctl(kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE) <= 0)
        return 0;
    s->xsave_size = MAX((size_t)(two ? size : 0), sizeof(struct kvm_xsave));
    if (s->xsave_size > CPU_MAX_XSAVE)
        return -E2BIG;
    s->xsave = calloc(1, s->xsave_size);
    if (!s->xsave)
        return -ENOMEM;
    return ioctl(vcpu, two ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, s->xsave) ? -errno : 0;
}

int cpu_state_get(struct cpu_state *s, const struct kvm *kvm, int vcpu)
{
    size_t i;

    *s = (struct cpu_state){0};
    for (i = 0; i < ARRAY_SIZE(parts); i++)
        if (ioctl(vcpu, parts[i].get, at(s, &parts[i])) && !parts[i].optional)
            return -errno;
    s->msrs = list_msrs(kvm);
    if (!s->msrs)
        return -ENOMEM;
    get_msrs(vcpu, s->msrs);
    return get_xsave(s, kvm, vcpu);
}

void cpu_state_fini(struct cpu_state *s)
{
    free(s->xsave);
    free(s->msrs);
    s->xsave = NULL;
    s->msrs = NULL;
}

static int put(int vcpu, unsigned long request, const void *value)
{
    return ioctl(vcpu, request, value) ? -errno : 0;
}

static int set_all(const struct cpu_state *s, int vcpu)
{
    struct kvm_vcpu_events events = s->events;
    int err = put(vcpu, KVM_SET_SREGS, &s->sregs);

    events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR;
    if (!err)
        err = put(vcpu, KVM_SET_REGS, &s->regs);
    if (!err)
        err = s->xsave ? put(vcpu, KVM_SET_XSAVE, s->xsave) : put(vcpu, KVM_SET_FPU, &s->fpu);
    if (!err && s->xcrs.nr_xcrs)
        err = put(vcpu, KVM_SET_XCRS, &s->xcrs);
    put(vcpu, KVM_SET_DEBUGREGS, &s->debugregs);
    /* The local APIC's mode is among them. */
    set_msrs(vcpu, s->msrs);
    if (!err)
        err = put(vcpu, KVM_SET_LAPIC, &s->lapic);
    if (!err)
        err = put(vcpu, KVM_SET_VCPU_EVENTS, &events);
    return err ? err : put(vcpu, KVM_SET_MP_STATE, &s->mp_state);
}

void cpu_state_reset(const struct cpu_state *s, int vcpu)
{
    set_all(s, vcpu);
}

/* What the counter has gone on by meanwhile. */
static uint64_t elapsed_ticks(int vcpu, uint64_t elapsed)
{
    long khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);

    return khz > 0 ? (uint64_t)((unsigned __int128)elapsed * (unsigned long)khz / 1000000) : 0;
}

int cpu_state_set(const struct cpu_state *s, int vcpu, uint64_t elapsed)
{
    int err;

    set_msr(vcpu, MSR_TSC, find_msr(s->msrs, MSR_TSC) + elapsed_ticks(vcpu, elapsed));
    err = set_all(s, vcpu);
    set_msr(vcpu, MSR_TSC_DEADLINE, find_msr(s->msrs, MSR_TSC_DEADLINE));
    return err;
}

/* --- from and to a file --- */

void cpu_state_save(const struct cpu_state *s, struct writer *w)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(parts); i++) {
        writer_u32(w, parts[i].size);
        writer_bytes(w, at(s, &parts[i]), parts[i].size);
    }
    writer_u32(w, (uint32_t)s->xsave_size);
    writer_bytes(w, s->xsave, s->xsave_size);
    writer_u32(w, s->msrs->nmsrs);
    for (i = 0; i < s->msrs->nmsrs; i++) {
        writer_u32(w, s->msrs->entries[i].index);
        writer_u64(w, s->msrs->entries[i].data);
    }
}

static int load_msrs(struct cpu_state *s, struct reader *r)
{
    uint32_t i, count = reader_u32(r);

    s->msrs = new_msrs();
    if (!s->msrs)
        return -ENOMEM;
    if (count > CPU_MAX_MSRS)
        return -EINVAL;
    for (i = 0; i < count; i++) {
        s->msrs->entries[i].index = reader_u32(r);
        s->msrs->entries[i].data = reader_u64(r);
    }
    s->msrs->nmsrs = count;
    return 0;
}

int cpu_state_load(struct cpu_state *s, const struct cpu_state *like, struct reader *r)
{
    size_t i;

    *s = (struct cpu_state){0};
    for (i = 0; i < ARRAY_SIZE(parts); i++) {
        if (reader_u32(r) != parts[i].size)
            return -EINVAL;
        reader_copy(r, at(s, &parts[i]), parts[i].size);
    }
    if (reader_u32(r) != like->xsave_size)
        return -EINVAL;
    if (like->xsave) {
        s->xsave_size = like->xsave_size;
        s->xsave = malloc(s->xsave_size);
        if (!s->xsave)
            return -ENOMEM;
        reader_copy(r, s->xsave, s->xsave_size);
    }
    return load_msrs(s, r) || r->bad ? -EINVAL : 0;
}

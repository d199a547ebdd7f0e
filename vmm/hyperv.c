#include "vmm/hyperv.h"

#include "base/base.h"

#include <string.h>

/* Leaf numbers are the specification's. */
#define LEAF_FIRST 0x40000000u
#define LEAF_INTERFACE 0x40000001u
#define LEAF_VERSION 0x40000002u
#define LEAF_FEATURES 0x40000003u
#define LEAF_RECOMMENDATIONS 0x40000004u
#define LEAF_LIMITS 0x40000005u

#define INTERFACE_HV1 0x31237648u /* "Hv#1": what guests look for */

/* Partition privileges: which MSRs there are (LEAF_FEATURES, eax). */
enum {
    MSR_VP_RUNTIME = 1 << 0,
    MSR_TIME_REF_COUNT = 1 << 1,
    MSR_APIC_ACCESS = 1 << 4,
    MSR_HYPERCALL = 1 << 5,
    MSR_VP_INDEX = 1 << 6,
    MSR_RESET = 1 << 7,
    MSR_REFERENCE_TSC = 1 << 9,
    MSR_FREQUENCIES = 1 << 11,
    FEATURES_TAKEN = MSR_VP_RUNTIME | MSR_TIME_REF_COUNT | MSR_APIC_ACCESS | MSR_HYPERCALL | MSR_VP_INDEX | MSR_RESET |
                     MSR_REFERENCE_TSC | MSR_FREQUENCIES,
    FEATURES_NEEDED = MSR_HYPERCALL | MSR_VP_INDEX,
};

/* LEAF_FEATURES, edx */
enum { FREQUENCIES_AVAILABLE = 1 << 8 };

/* LEAF_RECOMMENDATIONS, eax: what a guest had better use. */
enum { USE_APIC_MSRS = 1 << 3, USE_RELAXED_TIMING = 1 << 5 };

#define SPINLOCK_RETRIES 0x1fff /* then the guest tells the hypervisor that it waits for another CPU */
#define CPUS_MAX 64

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *offered, uint32_t function)
{
    unsigned i;

    for (i = 0; i < offered->nent; i++)
        if (offered->entries[i].function == function)
            return &offered->entries[i];
    return NULL;
}

/*
 * The vendor says that this is KVM: Linux, FreeBSD and systemd then take the leaves of KVM instead, while Windows goes
 * by the interface alone.
 */
static struct kvm_cpuid_entry2 vendor_leaf(void)
{
    static const char vendor[12] = "Linux KVM Hv";
    struct kvm_cpuid_entry2 e = {.function = LEAF_FIRST, .eax = LEAF_LIMITS};

    memcpy(&e.ebx, vendor, 4);
    memcpy(&e.ecx, vendor + 4, 4);
    memcpy(&e.edx, vendor + 8, 4);
    return e;
}

unsigned hyperv_leaves(const struct kvm_cpuid2 *offered, struct kvm_cpuid_entry2 *leaves)
{
    const struct kvm_cpuid_entry2 *interface = find(offered, LEAF_INTERFACE), *version = find(offered, LEAF_VERSION);
    const struct kvm_cpuid_entry2 *features = find(offered, LEAF_FEATURES);
    uint32_t taken = features ? features->eax & FEATURES_TAKEN : 0;

    if (!interface || interface->eax != INTERFACE_HV1 || !version || (taken & FEATURES_NEEDED) != FEATURES_NEEDED)
        return 0;
    if (!(features->edx & FREQUENCIES_AVAILABLE))
        taken &= ~(uint32_t)MSR_FREQUENCIES;
    leaves[0] = vendor_leaf();
    leaves[1] = (struct kvm_cpuid_entry2){.function = LEAF_INTERFACE, .eax = INTERFACE_HV1};
    leaves[2] = *version;
    leaves[3] = (struct kvm_cpuid_entry2){
        .function = LEAF_FEATURES, .eax = taken, .edx = taken & MSR_FREQUENCIES ? FREQUENCIES_AVAILABLE : 0};
    leaves[4] = (struct kvm_cpuid_entry2){.function = LEAF_RECOMMENDATIONS,
                                          .eax = USE_RELAXED_TIMING | (taken & MSR_APIC_ACCESS ? USE_APIC_MSRS : 0),
                                          .ebx = SPINLOCK_RETRIES};
    leaves[5] = (struct kvm_cpuid_entry2){.function = LEAF_LIMITS, .eax = CPUS_MAX, .ebx = CPUS_MAX};
    return HYPERV_LEAVES;
}

#include "vmm/cpuid.h"

#include "base/base.h"
#include "vmm/hyperv.h"

#include <stdlib.h>
#include <string.h>

#define ECX_TSC_DEADLINE (1u << 24)
#define ECX_HYPERVISOR (1u << 31)
#define EDX_HTT (1u << 28)
#define ECX_CMP_LEGACY (1u << 1) /* AMD: HTT means cores, not threads */

/* Two leaves of three levels, of which a newer KVM gives only the first. */
#define TOPOLOGY_LEVELS 3
#define ADDED_LEAVES (HYPERV_LEAVES + 2 * TOPOLOGY_LEVELS)

/* KVM's own leaves: where KVM puts them, and where they go when Hyper-V's are there, as guests expect of both. */
#define KVM_LEAF 0x40000000u
#define KVM_LEAF_BESIDE 0x40000100u
#define KVM_LEAF_END 0x400000ffu

struct topology {
    unsigned index, count;
    bool amd;
};

/* Bits needed to number `count` CPUs. */
static unsigned id_bits(unsigned count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

static void set_features(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    e->ebx = (e->ebx & 0x0000ffff) | t->index << 24 | 1u << id_bits(t->count) << 16;
    e->ecx |= ECX_HYPERVISOR | ECX_TSC_DEADLINE;
    if (t->count > 1)
        e->edx |= EDX_HTT;
    else
        e->edx &= ~EDX_HTT;
}

/* Leaves 4 and 0x8000001d: caches are private to a core but the third level; all cores are in one package. */
static void set_cache_sharing(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    unsigned level = e->eax >> 5 & 7, ids = 1u << id_bits(t->count);

    if ((e->eax & 31) == 0)
        return;
    e->eax &= 0x3fff;
    e->eax |= (level >= 3 ? ids - 1 : 0) << 14;
    if (e->function == 4)
        e->eax |= (ids - 1) << 26;
}

static void set_extended_features(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    if (t->amd && t->count > 1)
        e->ecx |= ECX_CMP_LEGACY;
    else
        e->ecx &= ~ECX_CMP_LEGACY;
}

static void adjust(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    switch (e->function) {
    case 1:
        set_features(e, t);
        break;
    case 4:
    case 0x8000001d:
        set_cache_sharing(e, t);
        break;
    case 0xa: /* no performance counters: they say more of the host than of the guest */
        e->eax = e->ebx = e->ecx = e->edx = 0;
        break;
    case 0x80000001:
        set_extended_features(e, t);
        break;
    case 0x80000008: /* AMD: number of cores */
        e->ecx = (e->ecx & ~0xf0ffu) | id_bits(t->count) << 12 | (t->count - 1);
        break;
    case 0x8000001e: /* AMD: extended APIC id, core id, node */
        e->eax = t->index;
        e->ebx = t->index;
        e->ecx = 0;
        break;
    }
}

static bool is_topology(uint32_t function)
{
    return function == 0xb || function == 0x1f;
}

/* Leaves 0xb and 0x1f: one thread a core, `count` cores. */
static void add_topology(struct kvm_cpuid2 *cpuid, uint32_t function, const struct topology *t)
{
    static const uint32_t types[TOPOLOGY_LEVELS] = {1, 2, 0}; /* threads, cores, end */
    unsigned level;

    for (level = 0; level < TOPOLOGY_LEVELS; level++)
        cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
            .function = function,
            .index = level,
            .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .eax = level == 1 ? id_bits(t->count) : 0,
            .ebx = level == 0 ? 1 : level == 1 ? t->count : 0,
            .ecx = level | types[level] << 8,
            .edx = t->index,
        };
}

/* KVM's leaves step aside, for the guest looks for Hyper-V's at the first place only. */
static void add_hyperv(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *offered)
{
    unsigned i, old = cpuid->nent, added = hyperv_leaves(offered, cpuid->entries + old);

    if (!added)
        return;
    cpuid->nent += added;
    for (i = 0; i < old; i++) {
        struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

        if (e->function < KVM_LEAF || e->function > KVM_LEAF_END)
            continue;
        e->function += KVM_LEAF_BESIDE - KVM_LEAF;
        if (e->function == KVM_LEAF_BESIDE && e->eax)
            e->eax += KVM_LEAF_BESIDE - KVM_LEAF;
    }
}

static void examine(const struct kvm_cpuid2 *host, struct topology *t, uint32_t *last)
{
    unsigned i;

    for (i = 0; i < host->nent; i++)
        if (host->entries[i].function == 0) {
            *last = host->entries[i].eax;
            t->amd = memcmp(&host->entries[i].ebx, "Auth", 4) == 0 || memcmp(&host->entries[i].ebx, "Hygo", 4) == 0;
        }
}

struct kvm_cpuid2 *cpuid_create(const struct kvm_cpuid2 *host, const struct kvm_cpuid2 *hyperv, unsigned index,
                                unsigned count)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + (host->nent + ADDED_LEAVES) * sizeof(cpuid->entries[0]));
    struct topology t = {.index = index, .count = count};
    uint32_t last = 0;
    unsigned i;

    if (!cpuid)
        return NULL;
    examine(host, &t, &last);
    for (i = 0; i < host->nent; i++)
        if (!is_topology(host->entries[i].function)) {
            cpuid->entries[cpuid->nent] = host->entries[i];
            adjust(&cpuid->entries[cpuid->nent++], &t);
        }
    if (last >= 0xb)
        add_topology(cpuid, 0xb, &t);
    if (last >= 0x1f)
        add_topology(cpuid, 0x1f, &t);
    if (hyperv)
        add_hyperv(cpuid, hyperv);
    return cpuid;
}

#include "vmm/cpuid.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#define ECX_TSC_DEADLINE (1u << 24)
#define ECX_HYPERVISOR (1u << 31)
#define EDX_HTT (1u << 28)

/* Bits needed to number `count` CPUs. */
static unsigned id_bits(unsigned count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

static void set_features(struct kvm_cpuid_entry2 *e, unsigned index, unsigned count)
{
    e->ebx = (e->ebx & 0x0000ffff) | index << 24 | count << 16;
    e->ecx |= ECX_HYPERVISOR | ECX_TSC_DEADLINE;
    if (count > 1)
        e->edx |= EDX_HTT;
    else
        e->edx &= ~EDX_HTT;
}

/* Leaf 4: caches are private to a core but the third level; all cores are in one package. */
static void set_cache_sharing(struct kvm_cpuid_entry2 *e, unsigned count)
{
    unsigned level = e->eax >> 5 & 7;

    if ((e->eax & 31) == 0)
        return;
    e->eax &= 0x3fff;
    e->eax |= (count - 1) << 26 | (level >= 3 ? count - 1 : 0) << 14;
}

/* Leaves 0xb and 0x1f: one thread a core, `count` cores. */
static void set_topology(struct kvm_cpuid_entry2 *e, unsigned index, unsigned count)
{
    static const uint32_t types[] = {1, 2, 0}; /* threads, cores, end */
    unsigned level = MIN(e->index, 2u);

    e->eax = level == 1 ? id_bits(count) : 0;
    e->ebx = level == 0 ? 1 : level == 1 ? count : 0;
    e->ecx = e->index | types[level] << 8;
    e->edx = index;
}

static void adjust(struct kvm_cpuid_entry2 *e, unsigned index, unsigned count)
{
    switch (e->function) {
    case 1:
        set_features(e, index, count);
        break;
    case 4:
        set_cache_sharing(e, count);
        break;
    case 0xa: /* no performance counters: they say more of the host than of the guest */
        e->eax = e->ebx = e->ecx = e->edx = 0;
        break;
    case 0xb:
    case 0x1f:
        set_topology(e, index, count);
        break;
    case 0x80000008: /* AMD: number of cores */
        e->ecx = (e->ecx & ~0xf0ffu) | id_bits(count) << 12 | (count - 1);
        break;
    case 0x8000001e: /* AMD: extended APIC id, core id, node */
        e->eax = index;
        e->ebx = index;
        e->ecx = 0;
        break;
    }
}

struct kvm_cpuid2 *cpuid_create(const struct kvm_cpuid2 *host, unsigned index, unsigned count)
{
    size_t size = sizeof(*host) + host->nent * sizeof(host->entries[0]);
    struct kvm_cpuid2 *cpuid = malloc(size);
    unsigned i;

    if (!cpuid)
        return NULL;
    memcpy(cpuid, host, size);
    for (i = 0; i < cpuid->nent; i++)
        adjust(&cpuid->entries[i], index, count);
    return cpuid;
}

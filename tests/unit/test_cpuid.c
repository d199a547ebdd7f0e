/* test_cpuid.c - topology and the hypervisors' leaves as each vCPU sees them. */
#include "base/base.h"
#include "vmm/cpuid.h"
#include "vmm/hyperv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAF_MAX 32

struct list {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[LEAF_MAX];
};

static void add(struct list *list, struct kvm_cpuid_entry2 entry)
{
    assert_true(list->head.nent < LEAF_MAX);
    list->entries[list->head.nent++] = entry;
}

static struct kvm_cpuid_entry2 named(uint32_t function, uint32_t eax, const char *b, const char *c, const char *d)
{
    struct kvm_cpuid_entry2 e = {.function = function, .eax = eax};

    memcpy(&e.ebx, b, 4);
    memcpy(&e.ecx, c, 4);
    memcpy(&e.edx, d, 4);
    return e;
}

/* What a KVM of today gives: one subleaf of 0xb, with nothing in it. */
static struct list host_list(bool amd)
{
    struct list l = {0};

    add(&l, amd ? named(0, 0x1f, "Auth", "cAMD", "enti") : named(0, 0x1f, "Genu", "ntel", "ineI"));
    add(&l, (struct kvm_cpuid_entry2){.function = 1, .ebx = 0x07040800, .edx = 1 << 28});
    add(&l, (struct kvm_cpuid_entry2){.function = 4, .index = 0, .eax = 0x3c004121}); /* L1 */
    add(&l, (struct kvm_cpuid_entry2){.function = 4, .index = 3, .eax = 0x3c1fc163}); /* L3 */
    add(&l, (struct kvm_cpuid_entry2){.function = 0xa, .eax = 0x07300402});
    add(&l, (struct kvm_cpuid_entry2){.function = 0xb, .edx = 77});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x1f, .edx = 77});
    add(&l, named(0x40000000, 0x40000001, "KVMK", "VMKV", "M\0\0\0"));
    add(&l, (struct kvm_cpuid_entry2){.function = 0x40000001, .eax = 0x01007afb});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x80000001, .ecx = 0x123 & ~2u});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0x3030, .ecx = 0x7fff});
    return l;
}

static struct list hyperv_list(void)
{
    struct list l = {0};

    add(&l, named(0x40000000, 0x4000000a, "Linu", "x KV", "M Hv"));
    add(&l, (struct kvm_cpuid_entry2){.function = 0x40000001, .eax = 0x31237648});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x40000002, .eax = 0x3839, .ebx = 0xa0000});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x40000003, .eax = 0x2fff, .ebx = 0x30, .edx = 0x80d10});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x40000004, .eax = 0x4e24, .ebx = ~0u});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x40000005, .eax = 1024, .ebx = 64});
    add(&l, (struct kvm_cpuid_entry2){.function = 0x4000000a, .eax = 0x20101});
    return l;
}

/* The entry, which must be the only one; NULL: there is none. */
static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
    const struct kvm_cpuid_entry2 *found = NULL;
    unsigned i;

    for (i = 0; i < c->nent; i++)
        if (c->entries[i].function == function && c->entries[i].index == index) {
            assert_null(found);
            found = &c->entries[i];
        }
    return found;
}

/* As the SDM's algorithm reads leaf 0xb: which bits of the x2APIC id tell the cores of a package apart. */
static void check_topology_leaf(const struct kvm_cpuid2 *c, uint32_t function, unsigned index, unsigned count)
{
    const struct kvm_cpuid_entry2 *thread = find(c, function, 0), *core = find(c, function, 1);

    assert_int_equal(thread->eax, 0);
    assert_int_equal(thread->ebx, 1);
    assert_int_equal(thread->ecx, 0x100);
    assert_true(1u << core->eax >= count && (core->eax == 0 || 1u << (core->eax - 1) < count));
    assert_int_equal(core->ebx, count);
    assert_int_equal(core->ecx, 0x201);
    assert_int_equal(thread->edx, index);
    assert_int_equal(core->edx, index);
    assert_int_equal(find(c, function, 2)->ecx, 2);
    assert_int_equal(core->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
}

static void check_topology(bool amd, unsigned index, unsigned count)
{
    struct list host = host_list(amd);
    struct kvm_cpuid2 *c = cpuid_create(&host.head, NULL, index, count);
    unsigned ids = (find(c, 4, 0)->eax >> 26) + 1;

    assert_int_equal(find(c, 1, 0)->ebx >> 24, index);
    assert_int_equal(find(c, 1, 0)->ebx & 0xffff, 0x0800); /* the CLFLUSH size stays */
    assert_int_equal(find(c, 1, 0)->ebx >> 16 & 255, ids);
    assert_int_equal(find(c, 1, 0)->edx >> 28 & 1, count > 1);
    assert_int_equal(find(c, 1, 0)->ecx >> 31, 1);
    assert_true(ids >= count && ids < 2 * count && IS_POWER_OF_2(ids));
    assert_int_equal(find(c, 4, 0)->eax >> 14 & 0xfff, 0);       /* L1: one core */
    assert_int_equal(find(c, 4, 3)->eax >> 14 & 0xfff, ids - 1); /* L3: all */
    check_topology_leaf(c, 0xb, index, count);
    check_topology_leaf(c, 0x1f, index, count);
    assert_int_equal(find(c, 0x80000001, 0)->ecx >> 1 & 1, amd && count > 1);
    assert_int_equal((find(c, 0x80000008, 0)->ecx & 0xff) + 1, count);
    assert_int_equal(1u << (find(c, 0x80000008, 0)->ecx >> 12 & 15), ids);
    assert_int_equal(find(c, 0xa, 0)->eax, 0);
    free(c);
}

static void test_one_package_of_cores(void **state UNUSED)
{
    unsigned count, index;

    for (count = 1; count <= 16; count++)
        for (index = 0; index < count; index++) {
            check_topology(false, index, count);
            check_topology(true, index, count);
        }
}

static void test_old_cpus_have_no_topology_leaves(void **state UNUSED)
{
    struct list host = host_list(false);
    struct kvm_cpuid2 *c;

    host.entries[0].eax = 7;
    c = cpuid_create(&host.head, NULL, 0, 2);
    assert_null(find(c, 0xb, 0));
    assert_null(find(c, 0x1f, 0));
    free(c);
}

static void test_kvm_alone_is_as_kvm_says(void **state UNUSED)
{
    struct list host = host_list(false);
    struct kvm_cpuid2 *c = cpuid_create(&host.head, NULL, 0, 2);

    assert_memory_equal(&find(c, 0x40000000, 0)->ebx, "KVMKVMKVM\0\0\0", 12);
    assert_int_equal(find(c, 0x40000001, 0)->eax, 0x01007afb);
    assert_null(find(c, 0x40000100, 0));
    free(c);
}

static void test_hyperv_beside_kvm(void **state UNUSED)
{
    struct list host = host_list(false), hyperv = hyperv_list();
    struct kvm_cpuid2 *c = cpuid_create(&host.head, &hyperv.head, 0, 2);

    assert_memory_equal(&find(c, 0x40000000, 0)->ebx, "Linux KVM Hv", 12);
    assert_int_equal(find(c, 0x40000000, 0)->eax, 0x40000005);
    assert_int_equal(find(c, 0x40000001, 0)->eax, 0x31237648);
    /* Of the privileges those that need no more than CPUID: no synthetic interrupts, timers, or debugging. */
    assert_int_equal(find(c, 0x40000003, 0)->eax, 0xaf3);
    assert_int_equal(find(c, 0x40000003, 0)->ebx, 0);
    assert_int_equal(find(c, 0x40000003, 0)->edx, 0x100);
    assert_int_equal(find(c, 0x40000004, 0)->eax, 0x28);
    assert_int_equal(find(c, 0x40000004, 0)->ebx, 0x1fff);
    assert_null(find(c, 0x4000000a, 0));
    assert_memory_equal(&find(c, 0x40000100, 0)->ebx, "KVMKVMKVM\0\0\0", 12);
    assert_int_equal(find(c, 0x40000100, 0)->eax, 0x40000101);
    assert_int_equal(find(c, 0x40000101, 0)->eax, 0x01007afb);
    free(c);
}

static void test_no_hyperv_that_a_guest_would_refuse(void **state UNUSED)
{
    struct kvm_cpuid_entry2 leaves[HYPERV_LEAVES];
    struct list hyperv = hyperv_list(), none = {0};

    assert_int_equal(hyperv_leaves(&none.head, leaves), 0);
    hyperv.entries[3].eax &= ~0x20u; /* no hypercall page */
    assert_int_equal(hyperv_leaves(&hyperv.head, leaves), 0);
    hyperv = hyperv_list();
    hyperv.entries[3].edx = 0; /* frequencies are told of in two places, or not at all */
    assert_int_equal(hyperv_leaves(&hyperv.head, leaves), HYPERV_LEAVES);
    assert_int_equal(leaves[3].eax, 0x2f3);
    assert_int_equal(leaves[3].edx, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_package_of_cores),
        cmocka_unit_test(test_old_cpus_have_no_topology_leaves),
        cmocka_unit_test(test_kvm_alone_is_as_kvm_says),
        cmocka_unit_test(test_hyperv_beside_kvm),
        cmocka_unit_test(test_no_hyperv_that_a_guest_would_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

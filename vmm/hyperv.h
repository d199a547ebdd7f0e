/*
 * hyperv.h - Hyper-V enlightenments (Microsoft's "Hypervisor Top Level Functional Specification", chapter 2): leaves from
 * 0x40000000 by which Windows gives up timers and registers that are slow under a hypervisor. KVM serves the MSRs.
 */
#ifndef VMM_HYPERV_H
#define VMM_HYPERV_H

#include <linux/kvm.h>

#define HYPERV_LEAVES 6

/*
 * Of what KVM offers (KVM_GET_SUPPORTED_HV_CPUID) what needs nothing of us: relaxed timing, virtual APIC registers,
 * spinlock hints, reference time by MSR and by page, frequencies, VP index and run time, reset. Writes at most
 * HYPERV_LEAVES and returns how many; 0: KVM offers no interface that a guest would accept.
 */
unsigned hyperv_leaves(const struct kvm_cpuid2 *offered, struct kvm_cpuid_entry2 *leaves);

#endif

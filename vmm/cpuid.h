/* cpuid.h - what CPUID tells each vCPU: the host's features, the hypervisor's, and the machine's topology. */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/kvm.h>

/*
 * A list for CPU `index` of `count`, one package of `count` cores; free() it. NULL: no memory. host: what KVM supports;
 * hyperv: what KVM offers to guests that know Hyper-V (vmm/hyperv.h), or NULL to offer them nothing.
 */
struct kvm_cpuid2 *cpuid_create(const struct kvm_cpuid2 *host, const struct kvm_cpuid2 *hyperv, unsigned index,
                                unsigned count);

#endif

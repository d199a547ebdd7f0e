/* cpuid.h - what CPUID tells each vCPU: the host's features and the machine's topology. */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/kvm.h>

/* A copy of the host's list for CPU `index` of `count`, one package of `count` cores; free() it. NULL: no memory. */
struct kvm_cpuid2 *cpuid_create(const struct kvm_cpuid2 *host, unsigned index, unsigned count);

#endif

/*
 * cpu_state.h - all registers of a virtual CPU, as KVM gives and takes them (Documentation/virt/kvm/api.rst of Linux).
 *
 * A state is taken once at creation, for resets, and at each save of the machine. In a saved file the structures are
 * KVM's own, which are ABI; each goes with its size.
 *
 * Thread: the main loop's, with the vCPU stopped.
 */
#ifndef VMM_CPU_STATE_H
#define VMM_CPU_STATE_H

#include "base/bytes.h"
#include "vmm/kvm.h"

#define CPU_MAX_MSRS 512
#define CPU_MAX_XSAVE KIB(16) /* with AMX it is 11 KiB */

struct cpu_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_fpu fpu; /* where there is no xsave */
    struct kvm_xcrs xcrs;
    struct kvm_lapic_state lapic;
    struct kvm_mp_state mp_state;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debugregs;
    uint8_t *xsave; /* owned; NULL: KVM has none */
    size_t xsave_size;
    struct kvm_msrs *msrs; /* owned */
};

/* 0 or -errno; cpu_state_fini() in any case. */
int cpu_state_get(struct cpu_state *state, const struct kvm *kvm, int vcpu);
void cpu_state_fini(struct cpu_state *state);
/* As at power-on; time goes on. */
void cpu_state_reset(const struct cpu_state *state, int vcpu);
/* As saved `elapsed` nanoseconds ago: the time stamp counter has gone on since. */
int cpu_state_set(const struct cpu_state *state, int vcpu, uint64_t elapsed);

void cpu_state_save(const struct cpu_state *state, struct writer *w);
/* -EINVAL for what cannot be a state that `like`, of this host's KVM, had; cpu_state_fini() in any case. */
int cpu_state_load(struct cpu_state *state, const struct cpu_state *like, struct reader *r);

#endif

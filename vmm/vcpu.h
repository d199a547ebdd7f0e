/*
 * vcpu.h - virtual CPUs: a thread each, started, stopped and reset together.
 *
 * Threads: every function below is called in the main loop's thread. The vCPU threads report through machine->request().
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include "vmm/device.h"
#include "vmm/kvm.h"

struct vcpu;
struct vcpus;

extern const struct sandbox_calls vcpu_run_sandbox;   /* running one */
extern const struct sandbox_calls vcpu_state_sandbox; /* looking into them: stop, reset, save */

/* Where the first CPU starts; the others wait for INIT and SIPI. */
struct vcpu_entry {
    bool direct;           /* false: at the reset vector */
    uint32_t eip;          /* direct: flat 32-bit protected mode, paging off (Linux' boot protocol, PVH, Multiboot) */
    uint32_t eax, ebx, esi;
    gpa_t gdt;             /* direct: 4 descriptors: null, null, code at 0x10, data at 0x18 */
};

/* The threads exist but do not run yet. Errors come with fail_text(). */
int vcpus_create(struct vcpus **vcpus, struct machine *machine, struct kvm *kvm, unsigned count,
                 const struct sandbox_calls *calls);
void vcpus_destroy(struct vcpus *vcpus);

void vcpus_start(struct vcpus *vcpus);
/* Returns when no vCPU runs and none will touch the machine. Do not hold the device lock. */
void vcpus_stop(struct vcpus *vcpus);
bool vcpus_running(const struct vcpus *vcpus);
/* Stopped. Registers as at power-on, then the entry. */
void vcpus_reset(struct vcpus *vcpus, const struct vcpu_entry *entry);
/* Stopped. All registers of all CPUs; load: of as many, saved `elapsed` nanoseconds ago. 0 or -errno. */
int vcpus_save(struct vcpus *vcpus, struct writer *w);
int vcpus_load(struct vcpus *vcpus, struct reader *r, uint64_t elapsed);
/* KVM exits so far, all vCPUs. Any thread. */
uint64_t vcpus_exits(const struct vcpus *vcpus);

#endif

/* accel.h - what this computer can run guests with: its KVM, or a software host (nested.h). */
#ifndef VMM_ACCEL_H
#define VMM_ACCEL_H

#include "vmm/config.h"

enum kvm_state {
    KVM_MISSING,   /* there is no /dev/kvm */
    KVM_NO_ACCESS, /* it may not be opened */
    KVM_FAILS,     /* it opens, but runs no guest */
    KVM_EMULATES, /* it interprets guest instructions: hundreds of times too slow for a real guest */
    KVM_HARDWARE,
};

struct kvm_probe {
    enum kvm_state state;
    int error;     /* errno behind MISSING, NO_ACCESS, FAILS */
    uint64_t rate; /* instructions a second of a tight loop */
};

/* Opens /dev/kvm and runs a loop in it: about a millisecond, up to 20 where it emulates. */
void kvm_probe(struct kvm_probe *probe);
/* In words: what was found, and, unless it is KVM_HARDWARE, what to do about it. */
void kvm_probe_describe(const struct kvm_probe *probe, char *text, size_t size);

/* Replace ACCEL_AUTO by what this computer can do; warns if that is a software host. */
enum config_accel accel_choose(enum config_accel wanted);

/* `minivm doctor`: one line for each thing that a machine needs. 0 if one can be run, else 1. */
int doctor_main(int argc, char **argv);

#endif

/*
 * kvm.h - the kernel's virtual machine: memory slots, interrupts, notifiers.
 *
 * In-kernel PIC, IOAPIC, LAPIC and PIT (Documentation/virt/kvm/api.rst of Linux). Thread: kvm_create in the main thread
 * before any other exists; the rest from any thread.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include "base/bytes.h"
#include "base/sandbox.h"
#include "vmm/bus.h"
#include "vmm/memory.h"

#include <linux/kvm.h>

#define KVM_GSI_COUNT 24     /* IOAPIC pins */
#define KVM_MSI_ROUTES 512

/* Three pages for VMX' TSS and one for its identity map, outside RAM, reserved in e820. */
#define KVM_TSS_ADDRESS 0xfeffd000u
#define KVM_IDENTITY_ADDRESS 0xfeffc000u

struct kvm {
    int fd, vm;
    size_t run_size; /* of struct kvm_run's mapping */
    struct kvm_cpuid2 *cpuid;  /* what the host supports */
    struct kvm_cpuid2 *hyperv; /* and for guests that know Hyper-V; NULL: nothing, or kvm_hide_hyperv() */
    pthread_mutex_t lock;     /* guards the routes */
    struct kvm_irq_routing *routing;
    bool route_used[KVM_MSI_ROUTES];
    int late_page;                        /* of a vCPU's mapping: the ring of late writes; 0: KVM has none */
    struct kvm_coalesced_mmio_ring *late; /* NULL: none is collected */
    struct bus *pio;
    struct kvm_irqchip chips[3]; /* PIC, PIC, IOAPIC as created, for reset */
    struct kvm_pit_state2 pit;
};

/* Errors come with fail_text(). */
int kvm_create(struct kvm *kvm);
void kvm_destroy(struct kvm *kvm);
/* Before vCPUs are made: no Hyper-V leaves for the guest. */
void kvm_hide_hyperv(struct kvm *kvm);
/* Interrupt controllers and timer as at power-on; vCPUs stopped. */
void kvm_reset(struct kvm *kvm);
/* Once, any time: the timer does not make up later for ticks that a guest was too slow for. KVM takes 15 ms for it. */
void kvm_discard_missed_ticks(struct kvm *kvm);
/* Interrupt controllers, timer and the paravirtual clock; load: saved `elapsed` nanoseconds ago. 0 or -errno. */
int kvm_save(struct kvm *kvm, struct writer *w);
int kvm_load(struct kvm *kvm, struct reader *r, uint64_t elapsed);

extern const struct sandbox_calls kvm_sandbox;
extern const struct memory_backend kvm_memory_backend; /* opaque: struct kvm */
extern const struct bus_backend kvm_bus_backend;       /* opaque: struct kvm; kvm->pio tells ports from memory */

/* Before any vCPU runs: one of them, which has the ring of all. 0 or -errno. */
int kvm_map_late_writes(struct kvm *kvm, int vcpu);

/* Whether the interval timer drives IRQ 0; off while an HPET replaces it. */
void kvm_set_pit_interrupts(struct kvm *kvm, bool on);

void kvm_set_line(struct kvm *kvm, unsigned gsi, bool level);
void kvm_send_msi(struct kvm *kvm, uint64_t addr, uint32_t data);
int kvm_add_msi_eventfd(struct kvm *kvm, uint64_t addr, uint32_t data, int fd, int *route);
void kvm_remove_msi_eventfd(struct kvm *kvm, int fd, int route);

#endif

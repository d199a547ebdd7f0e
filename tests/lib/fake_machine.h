/*
 * fake_machine.h - a machine without CPUs or KVM, in which a test drives a device model as its driver would.
 *
 * Memory, buses and PCI are the real ones; interrupts are recorded. RAM lies at 0. The main loop runs in the test's
 * thread, and only inside fake_machine_run() and fake_machine_wait(). Any thread may play a CPU through the accessors.
 */
#ifndef TESTS_FAKE_MACHINE_H
#define TESTS_FAKE_MACHINE_H

#include "vmm/pci.h"

#define FAKE_GSIS   24
#define FAKE_LINKS  4
#define FAKE_MSIS   256
#define FAKE_ROUTES 64

struct fake_msi {
    uint64_t addr;
    uint32_t data;
};

struct fake_route {
    struct fake_msi msi;
    int fd; /* -1: free */
};

struct fake_machine {
    struct machine base;
    struct loop loop;
    struct ram ram;
    pthread_mutex_t record_lock; /* guards all below */
    bool gsi_level[FAKE_GSIS];
    unsigned gsi_edges[FAKE_GSIS]; /* how often it rose */
    bool link_level[FAKE_LINKS];   /* PIRQA..D: INTx of PCI devices */
    unsigned link_edges[FAKE_LINKS];
    struct fake_msi msis[FAKE_MSIS]; /* those not taken yet */
    unsigned msi_count;
    struct fake_route routes[FAKE_ROUTES];
    unsigned requests[4]; /* by enum machine_request */
};

/* With irqfd, MSI-X vectors that are enabled go by eventfd as they do with KVM, else by msi_send(). */
int fake_machine_init(struct fake_machine *m, size_t ram_size, bool irqfd);
/* Destroys the devices too, newest first. */
void fake_machine_fini(struct fake_machine *m);
/* What the board does on a reset: PCI first, then each device in order of creation. */
void fake_machine_reset(struct fake_machine *m);

/* Run the main loop until condition(arg), at most ms milliseconds; returns what condition() said last. */
bool fake_machine_wait(struct fake_machine *m, bool (*condition)(void *arg), void *arg,
                       unsigned ms);
/* Run the main loop for so long, or (ms 0) for what is ready. */
void fake_machine_run(struct fake_machine *m, unsigned ms);

/* The oldest message not taken yet; false if there is none. */
bool fake_machine_take_msi(struct fake_machine *m, struct fake_msi *msi);

uint32_t fake_in(struct fake_machine *m, uint16_t port, unsigned width);
void fake_out(struct fake_machine *m, uint16_t port, uint32_t value, unsigned width);
uint64_t fake_mmio_read(struct fake_machine *m, uint64_t addr, unsigned width);
void fake_mmio_write(struct fake_machine *m, uint64_t addr, uint64_t value, unsigned width);

/* By ports 0xcf8 and 0xcfc. */
uint32_t fake_pci_read(struct fake_machine *m, uint8_t devfn, unsigned offset, unsigned width);
void fake_pci_write(struct fake_machine *m, uint8_t devfn, unsigned offset, uint32_t value,
                    unsigned width);
/* Size and place all BARs as firmware does (ports from 0xc000, memory from 0xe0000000, apart by devfn); enable all. */
void fake_pci_setup(struct fake_machine *m, uint8_t devfn);
/* The address in BAR n. */
uint64_t fake_pci_bar(struct fake_machine *m, uint8_t devfn, unsigned n);
/* Offset of the first capability `id` after `after` (0: the first at all), 0 if there is none. */
unsigned fake_pci_capability(struct fake_machine *m, uint8_t devfn, uint8_t id, unsigned after);

#endif

/*
 * pci.h - PCI configuration mechanism 1, one bus (PCI Local Bus 3.0).
 *
 * A PCI device model embeds `struct pci_device` and fills config space through the helpers below; pci.c keeps BARs
 * mapped where the guest puts them, gives legal bits to the rest, and routes interrupts: INTx as counted levels over the
 * PIIX PIRQ router, MSI and MSI-X by KVM.
 *
 * Thread: all under the device lock, but for pci_msix_notify(), pci_msix_try_notify() and pci_msi_notify(), which may be called
 * anywhere.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include "vmm/device.h"

#define PCI_DEVFN(slot, function) (((slot) << 3) | (function))
#define PCI_BARS 6
#define PCI_HEADER_MULTIFUNCTION 0x80 /* in the header type of function 0: look for others; pci_init() sees to it */
#define PCI_MSIX_MAX 64

struct pci_ids {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class; /* 24 bits: class, subclass, interface */
    uint8_t revision;
    uint8_t interrupt_pin; /* 1..4 for INTA..INTD, 0 none */
};

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM, PCI_BAR_MEM_PREFETCH, PCI_BAR_MEM64_PREFETCH };

struct pci_bar {
    enum pci_bar_type type;
    uint64_t size;         /* power of two */
    struct region *region; /* registers, or */
    struct ram *ram;       /* memory */
    uint64_t address; /* while mapped */
    bool mapped;
};

struct pci_msix_vector {
    uint64_t addr;
    uint32_t data, control; /* control bit 0: masked */
    struct notifier notifier; /* irqfd, made on demand */
    int route;              /* -1: no irqfd now */
    bool pending;
};

struct pci_device {
    struct device base;
    struct pci_bus *bus;
    uint8_t devfn;
    uint8_t config[256], writable[256], clearable[256]; /* masks: plain bits, write-one-to-clear bits */
    struct pci_bar bars[PCI_BARS];
    struct ram *rom; /* expansion ROM, or NULL */
    bool rom_mapped;
    uint8_t next_cap;
    bool intx;        /* the device asks for an interrupt */
    bool intx_driven; /* and its link counts it */
    uint8_t msi_cap, msix_cap; /* offsets, 0: none */
    uint16_t msix_count;
    struct pci_msix_vector *msix;
    struct region msix_region;
    /* After every configuration write to [offset, offset + size), changed or not; may be NULL. */
    void (*config_written)(struct pci_device *pci, unsigned offset, unsigned size);
    /* Before a configuration read of these bytes, for registers that are made on demand; may be NULL. */
    void (*config_read)(struct pci_device *pci, unsigned offset, unsigned size);
};

struct pci_bus *pci_bus_create(struct machine *machine);
void pci_bus_destroy(struct pci_bus *bus);
/* Resets the configuration space of every device: command, BARs, interrupts. */
void pci_bus_reset(struct pci_bus *bus);
/* INTx goes out on one of four links (PIRQA..D); the bridge that routes them takes their levels. */
void pci_bus_set_router(struct pci_bus *bus, void (*set)(void *opaque, unsigned link, bool level), void *opaque);

/*
 * devfn must be free, else -EBUSY; a slot's function 0 comes first. ops are the model's own; their reset need not care for
 * configuration space.
 */
int pci_init(struct pci_device *pci, const struct device_ops *ops, struct machine *machine, uint8_t devfn,
             const struct pci_ids *ids);
void pci_fini(struct pci_device *pci);
/*
 * The device is drawn from its slot: it answers nowhere, its interrupts and notifiers lead nowhere, the slot is free. Its
 * model lives on until it is destroyed, with the vCPUs stopped, since one of them may be on its way into it right now.
 */
void pci_unplug(struct pci_device *pci);
/* Bytes that all memory BARs and ROMs take below 4 GiB. */
uint64_t pci_bus_memory(const struct pci_bus *bus);
/* What is at devfn, or NULL. */
struct pci_device *pci_bus_device(const struct pci_bus *bus, uint8_t devfn);
void pci_save(struct pci_device *pci, struct writer *w);
int pci_load(struct pci_device *pci, struct reader *r);

/* size is rounded up to a power of two, at least 16 (IO) or 4096 (memory). */
void pci_add_bar(struct pci_device *pci, unsigned n, enum pci_bar_type type, struct region *region);
void pci_add_ram_bar(struct pci_device *pci, unsigned n, enum pci_bar_type type, struct ram *ram);
/* Reads the file, and gives it the device's PCI ids if it has others. 0 or -errno with fail_text(). */
int pci_add_rom(struct pci_device *pci, const char *path);
/* Room for a capability of `size` bytes (header included); returns its offset. */
uint8_t pci_add_capability(struct pci_device *pci, uint8_t id, uint8_t size);
/* Where BAR n is now, or UINT64_MAX. */
uint64_t pci_bar_address(const struct pci_device *pci, unsigned n);

void pci_set_intx(struct pci_device *pci, bool level);

void pci_add_msi(struct pci_device *pci);
bool pci_msi_enabled(const struct pci_device *pci);
void pci_msi_notify(struct pci_device *pci);

/* The table and PBA take `bar` for themselves (8 KiB). */
int pci_add_msix(struct pci_device *pci, unsigned bar, unsigned count);
bool pci_msix_enabled(const struct pci_device *pci);
void pci_msix_notify(struct pci_device *pci, unsigned vector);
/*
 * The same for a thread that must not wait for the device lock: true if the interrupt is on its way, false if it takes
 * the lock (the vector is masked, or there are no irqfds) and pci_msix_notify() must be called from elsewhere.
 */
bool pci_msix_try_notify(struct pci_device *pci, unsigned vector);

#endif

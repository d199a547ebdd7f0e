/*
 * board_private.h - the machine's parts as the files of the board share them: board.c puts them together, board_io.c has
 * those that run in threads of their own, board_boot.c what firmware, or a kernel without it, finds.
 *
 * Thread: the main loop's.
 */
#ifndef VMM_BOARD_PRIVATE_H
#define VMM_BOARD_PRIVATE_H

#include "backend/sound.h"
#include "base/loop.h"
#include "devices/ide/ide.h"
#include "devices/platform/fw_cfg.h"
#include "devices/virtio/virtio_serial.h"
#include "vmm/acpi.h"
#include "vmm/board_plug.h"
#include "vmm/direct_boot.h"
#include "vmm/kvm.h"
#include "vmm/pci.h"
#include "vmm/save.h"
#include "vmm/vcpu.h"

/* The map below 1 MiB and 4 GiB. */
#define LOW_END    0xa0000
#define HIGH_START 0x100000
#define ABOVE_4G   GIB(4)

/* Slots of the PCI bus; disks follow one another. */
#define SLOT_DISPLAY 2
#define SLOT_NET 3
#define SLOT_RNG 4
#define SLOT_SERIAL 4 /* function 1 */
#define SLOT_SOUND 4 /* function 2 */
#define SLOT_DISKS 5
#define SLOT_BALLOON 29 /* what comes while the machine runs has the slots before it: devices/platform/pci_hotplug.h */
#define SLOT_SEED 30
#define SLOT_WATCHDOG 31

/* CD-ROM drives are the secondary channel's, as software expects; IDE disks take what is free. */
#define IDE_CDROM_UNIT 2

/* A disk or a network that came while the machine runs. */
#define BACKEND_MAX_FORMAT 15
struct backend {
    TAILQ_ENTRY(backend) link;
    enum board_backend kind;
    char id[BOARD_MAX_ID + 1];
    unsigned number; /* below BOARD_MAX_BACKENDS */
    bool used;       /* a device has it */
    struct disk *disk;
    struct disk_options options; /* its strings are the next two */
    char *path, format[BACKEND_MAX_FORMAT + 1];
    struct net *net;
    struct net_user_options user;
};

/* Whose disk it is, for a call from that disk's thread. */
struct board_watch {
    struct board *board;
    unsigned drive;
};

struct board {
    struct machine machine;
    const struct vm_config *config;
    void (*on_request)(void *opaque, enum machine_request what);
    void *opaque;
    bool request_pending; /* atomic: one request a run */
    bool started;         /* the CPUs have run */

    struct kvm kvm;
    struct vcpus *vcpus;

    /* Guest memory: 0-640K, 1M to low_top, 4G and up; between the first two the host bridge's shadow; the ROM. */
    struct ram low, main, high, rom, variables;
    uint8_t *shadow;
    uint64_t low_top;
    uint32_t pci_start;

    struct fw_cfg *fw_cfg;
    struct pci_device *pm;
    struct device *hpet; /* NULL: none */
    int variables_fd;    /* UEFI's store; -1: what is written is lost */
    struct input input;
    struct display *displays[BOARD_MAX_DISPLAYS]; /* NULL: none */
    struct sound sound; /* what a card plays and records, if there is one */
    struct chardev *serial, *debug;
    struct virtio_serial *port_device; /* NULL: there are no ports */
    struct chardev *port_ends[CONFIG_MAX_PORTS]; /* NULL: not yet */
    struct loop io_loop; /* the thread of the network and the balloon */
    bool io_thread;
    struct net *net;
    struct virtio_net *net_card;
    struct virtio_balloon *balloon;
    struct loop disk_loop; /* the disks' thread */
    bool disk_thread;
    struct disk *disks[CONFIG_MAX_DISKS], *cdroms[CONFIG_MAX_CDROMS], *seed; /* NULL: none, no medium, no cloud-init */
    struct board_watch watches[BOARD_MAX_DRIVES]; /* of the disks' faults */
    board_fault_fn *on_fault;
    void *fault_opaque;
    struct ide *ide;                      /* NULL: nothing is attached to it */
    unsigned ide_units[CONFIG_MAX_DISKS]; /* of the disks that are */

    struct device *hotplug; /* its registers */
    TAILQ_HEAD(, backend) backends;
    TAILQ_HEAD(, plugged) plugged; /* devices; under the device lock for writers and for vCPUs */
    struct notifier ejected;       /* some of them are drawn */
    void (*on_unplugged)(void *opaque, const char *id);
    void *on_unplugged_opaque;

    struct save *save; /* its file waits for the disks to be closed */
    struct direct_boot *kernel; /* NULL: firmware boots */
    struct e820_entry e820[E820_MAX];
    unsigned e820_count;
};

/* --- board_boot.c --- */

/* The file that the CPU starts in, or the kernel; errors come with fail_text(). */
int board_open_boot_files(struct board *board);
/* After all devices were created. */
int board_fill_fw_cfg(struct board *board);
/* Without firmware, at a reset: what it would have left in memory and in the chipset. */
int board_boot_directly(struct board *board, struct vcpu_entry *entry);

/* --- board_fault.c --- */

/* A disk that came later is watched as the others are. */
void board_watch_backend(struct board *board, const struct backend *backend);
/* -EBUSY with fail_text() if a device keeps what the host could not do. */
int board_check_disks(struct board *board);
/* Nothing is kept any more; -EIO if something was. */
int board_unwatch_disks(struct board *board);

/* --- board_port.c --- */

int board_create_ports(struct board *board);
/* After the devices. */
void board_destroy_ports(struct board *board);

/* --- board_io.c --- */

/* The network, the balloon and the disks, each with its thread; errors come with fail_text(). */
int board_create_net(struct board *board);
int board_create_disks(struct board *board);
/* Further ones, in the same threads. Closing: the first error that lost data, or 0. */
int board_open_disk(struct board *board, struct disk **disk, const struct disk_options *options);
int board_close_disk(struct board *board, struct disk *disk);
int board_open_user_net(struct board *board, struct net **net, const struct net_user_options *options);
void board_close_net(struct board *board, struct net *net);
/* After the devices were destroyed. The disks: the first error that lost data, or 0. */
void board_destroy_net(struct board *board);
int board_destroy_disks(struct board *board);

/* --- board_plug.c --- */

/* First and last of all: the lists. */
int board_init_plugs(struct board *board);
void board_destroy_plugs(struct board *board);
/* The registers; after the power management. */
int board_create_hotplug(struct board *board);
/* vCPUs stopped: destroy what the guest has ejected, and (at a reset) what it was asked to. */
void board_remove_drawn(struct board *board, bool asked_too);
/* For save.h; opaque is the board. */
void board_save_plugged(void *opaque, struct writer *w);
int board_load_plugged(void *opaque, struct reader *r);

/* --- board_backend.c --- */

int board_check_id(const char *id); /* 0, or -EINVAL with fail_text() */
struct backend *board_find_backend(struct board *board, enum board_backend kind, const char *id);
/* Their disks and networks were closed. */
void board_free_backends(struct board *board);
void board_save_backends(struct board *board, struct writer *w);
int board_load_backends(struct board *board, struct reader *r);
/* Disk n of them, NULL: no more; opaque is the board. */
const struct disk_options *board_plugged_disk(void *opaque, unsigned n);

#endif

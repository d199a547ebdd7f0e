/*
 * save.h - a stopped machine into a file, and a new machine of the same parts back to where that one was.
 *
 * What a file holds: the machine's shape, its memory, each device's state under the device's name, the interrupt
 * controllers and the CPUs. Disks are not in it: they must be as the saved machine left them, and a file that was changed
 * since is refused by name.
 *
 * Thread: the main loop's, with the vCPUs stopped.
 */
#ifndef VMM_SAVE_H
#define VMM_SAVE_H

#include "vmm/config.h"
#include "vmm/device.h"
#include "vmm/vcpu.h"

#define SAVE_RAMS        3
#define SAVE_MAX_PLUGGED 32 /* disks that came while it ran */

/* What the board lends. */
struct save_machine {
    struct machine *machine;
    struct kvm *kvm;
    struct vcpus *vcpus;
    const struct vm_config *config;
    struct ram *rams[SAVE_RAMS]; /* in their places; a size of 0 is skipped */
    /* What came while it ran: its disks (disk n, NULL: no more), and all of it, which load() brings back. */
    const struct disk_options *(*plugged_disk)(void *opaque, unsigned n);
    void (*save_plugged)(void *opaque, struct writer *w);
    int (*load_plugged)(void *opaque, struct reader *r);
    void *opaque;
};

struct save;

/*
 * Everything but the disks' marks into a file beside `path`. The devices have no request in flight afterwards and take
 * none until save_resume(). 0 or -errno with fail_text().
 */
int save_begin(struct save **save, const struct save_machine *m, const char *path);
/* After the disks were closed: the file replaces an older one at its path, whole or not at all. Frees `save`. */
int save_commit(struct save *save);
/* NULL is fine. */
void save_abort(struct save *save);

/* Into a machine that has never run. On an error it is in no usable state. */
int save_read(const struct save_machine *m, const char *path);
/* The machine goes on: after save_read(), or after save_begin() came to nothing. */
void save_resume(struct machine *machine);

#endif

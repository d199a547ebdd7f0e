/*
 * fault_watch.h - a watcher of a disk's faults that counts, for device tests whose disks run in a thread of their own.
 */
#ifndef TESTS_LIB_FAULT_WATCH_H
#define TESTS_LIB_FAULT_WATCH_H

#include "backend/disk.h"
#include "tests/lib/fake_machine.h"

struct fault_watch {
    struct disk *disk;
    unsigned kept, reported, recovered; /* calls; atomic */
};

void fault_watch_start(struct fault_watch *w, struct disk *disk, struct loop *loop);
/* Run the machine until `field` of w has reached n, at most 5 s. */
bool fault_watch_wait(struct fake_machine *m, const unsigned *field, unsigned n);
unsigned fault_watch_count(const unsigned *field);
/* What a machine's owner does when it believes that the host can do now what it could not. */
void fault_watch_retry(struct fake_machine *m);

#endif

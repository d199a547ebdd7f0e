/*
 * lock.h - who may use an image at the same time. Open file description locks on the bytes that QEMU locks
 * (block/file-posix: 100 + permission for what one does, 200 + permission for what one cannot bear others to do), so
 * that two writers, or a writer and a reader, refuse each other whichever program came first.
 *
 * A lock belongs to the descriptor (and its duplicates) and ends when the last of them is closed.
 */
#ifndef DEVICES_DISK_LOCK_H
#define DEVICES_DISK_LOCK_H

#include "backend/disk.h"

/*
 * Lock an open image as a reader or as the only writer. 0, -EBUSY with fail_text() that names `path`, or another
 * -errno. A file system without locks is taken as it is, with a warning.
 */
int disk_lock(int fd, const char *path, bool writer);
/* At once: io_uring keeps hold of a file for a while after its descriptor is closed. */
void disk_unlock(int fd);

/*
 * Locks for an image that somebody else is going to open with these options and no_lock: the image as writer unless it
 * is read-only or a snapshot, everything behind it as reader. With `folder`, which the path begins with, no link leads the
 * image's own name out of it; NULL: anywhere. Any thread; errors come with fail_text().
 */
struct disk_hold;
int disk_hold_create(struct disk_hold **hold, const struct disk_options *options, const char *folder);
void disk_hold_destroy(struct disk_hold *hold); /* NULL is fine */

#endif

/*
 * file.h - one file of a disk: opened once, with O_DIRECT where the file takes requests of 512 bytes that way.
 *
 * The calls here block; they serve what happens before a machine runs (headers, tables) and tools. The disk's own
 * traffic goes through io.h.
 */
#ifndef DEVICES_DISK_FILE_H
#define DEVICES_DISK_FILE_H

#include "backend/disk.h"

#define FILE_ALIGN 512 /* what O_DIRECT asks of offsets, sizes and addresses */

struct disk_file {
    int fd;
    bool direct;
    bool no_sync;           /* DISK_CACHE_UNSAFE, or nobody will ever read it again */
    uint64_t device, inode; /* which file it is */
    uint64_t size;          /* bytes; at open, then kept by whoever writes */
};

/*
 * Open an existing image, by base/host_file.h: with `folder` nothing leads out of it, NULL: anywhere. Only regular files
 * and block devices. Errors come with fail_text() that names `shown`.
 */
int disk_file_open(struct disk_file *file, const char *folder, const char *path, const char *shown,
                   bool read_only, int cache);
/*
 * A new image, locked for writing. With `force` it may be there already, or be a block device, and a file loses its
 * content. Errors come with fail_text().
 */
int disk_file_create(struct disk_file *file, const char *path, bool force);
/* An unnamed file that ends with its descriptor. */
int disk_file_open_unnamed(struct disk_file *file);
void disk_file_close(struct disk_file *file);

/* All bytes or -errno; past the end of the file a read gives zeroes. Any offset, size, address. */
int disk_file_read(const struct disk_file *file, uint64_t offset, void *data, size_t bytes);
int disk_file_write(const struct disk_file *file, uint64_t offset, const void *data, size_t bytes);
int disk_file_sync(const struct disk_file *file);

#endif

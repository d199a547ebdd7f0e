/* cpio.h - write archives in the "newc" format, which the Linux kernel unpacks as an initramfs. */
#ifndef VMM_CPIO_H
#define VMM_CPIO_H

#include "base/base.h"

/* Errors come with fail_text(). The archive starts at fd's position, which must be a multiple of 4. */
struct cpio {
    int fd;
    uint64_t size; /* bytes written */
    unsigned inode;
};

void cpio_begin(struct cpio *cpio, int fd);
/* The file `source` as `name` (without a leading slash), with the folders above it; mode as in stat(). */
int cpio_add_file(struct cpio *cpio, const char *name, const char *source, unsigned mode);
int cpio_end(struct cpio *cpio);

#endif

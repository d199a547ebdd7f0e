/* mapped_file.h - a file to read, in memory that is shared; one packed by zstd is unpacked. */
#ifndef TESTS_LIB_MAPPED_FILE_H
#define TESTS_LIB_MAPPED_FILE_H

#include "base/base.h"

struct mapped_file {
    const uint8_t *data;
    size_t size;
};

/* 0 or -errno with fail_text(). */
int mapped_file_open(struct mapped_file *f, const char *path);
void mapped_file_close(struct mapped_file *f);

#endif

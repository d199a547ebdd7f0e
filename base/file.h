/*
 * file.h - whole files, read with words for what goes wrong: "WHAT 'PATH': reason", by fail().
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/base.h"

/* Open a regular file that has content; -> the descriptor, which the caller closes, or -errno. */
int file_open(const char *what, const char *path, uint64_t *size);
/* Read exactly `size` bytes from `offset`; -EIO where the file is shorter. The message names no file: fail_prefix(). */
int file_read(int fd, void *data, size_t size, uint64_t offset);
/*
 * The first line, without its end: a password's. -ENODATA where it is empty, -EMSGSIZE where it has more than size - 1
 * bytes. What was read goes nowhere but to `line`.
 */
int file_first_line(const char *what, const char *path, char *line, size_t size);

#endif

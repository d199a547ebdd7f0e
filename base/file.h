/*
 * file.h - whole files, read with words for what goes wrong: "WHAT 'PATH': reason", by fail(). Any thread.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/base.h"

struct file {
    const char *what, *path; /* for messages; the caller's */
    int fd;
    uint64_t size; /* bytes when it was opened; 0: it is not open */
};

/* Open a regular file that has content. */
int file_open(struct file *file, const char *what, const char *path);
/* Read exactly `size` bytes from `offset`; -EIO where the file is shorter. */
int file_read(const struct file *file, void *data, size_t size, uint64_t offset);
void file_close(struct file *file); /* one that is not open is fine */

/*
 * The first line, without its end: a password's. -ENODATA where it is empty, -EMSGSIZE where it has more than size - 1
 * bytes. What was read goes nowhere but to `line`.
 */
int file_first_line(const char *what, const char *path, char *line, size_t size);

/*
 * Calls fn with the path of each regular file that has content, of the folder and of its folders down to `depth`, but for
 * hidden ones. Ends with fn's first error; one of the folder comes with its errno and fail_text() "WHAT 'PATH': reason".
 */
int folder_walk(const char *what, const char *folder, int depth, int (*fn)(void *opaque, const char *path), void *opaque);

#endif

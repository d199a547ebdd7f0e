/*
 * host_file.h - the host's files by name: opened by this process, or by one that may where this one may not.
 *
 * Whatever can happen once a guest runs (a disk that is plugged, a screenshot, a saved machine) comes by here, so that a
 * process in a sandbox, which can open nothing, has its broker do it (vmm/broker.h). Any thread.
 */
#ifndef BASE_HOST_FILE_H
#define BASE_HOST_FILE_H

#include "base/base.h"

#include <limits.h>
#include <sys/stat.h>

/* What a broker does instead; each returns what the function of its name does. */
struct host_file_ops {
    int (*open)(void *opaque, const char *folder, const char *name, int flags, unsigned mode);
    int (*folder)(void *opaque, const char *path, char real[PATH_MAX]);
    int (*rename)(void *opaque, const char *from, const char *to);
    int (*unlink)(void *opaque, const char *path);
};

/*
 * A descriptor, close-on-exec, or -errno. With a folder the name is relative to it, and neither it nor symbolic links can
 * lead out of it (-EXDEV).
 */
int host_open(const char *folder, const char *name, int flags, unsigned mode);
/* What there is to know of a file; 0 or -errno. */
int host_stat(const char *path, struct stat *st);
/* The folder that `path` lies in, without symbolic links; 0 or -errno. */
int host_folder(const char *path, char real[PATH_MAX]);
int host_rename(const char *from, const char *to);
int host_unlink(const char *path);
/*
 * What this process has made and removes at its end, but could not if it may not touch files by then: host_left() has the
 * n-th such name for whoever does it instead; NULL: no more. The main thread.
 */
void host_leave(const char *path);
const char *host_left(unsigned n);
/* The path, absolute, from the directory in which the program was started; 0 or -ENAMETOOLONG. */
int host_absolute(const char *path, char absolute[PATH_MAX]);

/* From now on `ops` does it all; NULL: this process itself. Before there is a second thread. */
void host_files_by(const struct host_file_ops *ops, void *opaque);

#endif

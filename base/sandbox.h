/*
 * sandbox.h - what a thread may still do once its machine is set up.
 *
 * Each kind of thread has a list of system calls beside its code. A confined thread makes those and the ones that every
 * thread needs (memory that is not executed, locks, clocks, its own end), has no capability, and opens no file (Landlock,
 * where the kernel has it). A call that is not in the list ends the process by SIGSYS, after it was reported by name; but to
 * open a file is refused with EACCES, for libraries try now and then.
 *
 * Threads that a confined thread makes are confined as it is. In builds with a sanitizer, which makes calls of its own,
 * nothing is confined.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/base.h"

#include <seccomp.h>

#define SANDBOX_END (-1)

/* A request of ioctl(), by name and number. */
#define SANDBOX_IOCTL(request) {#request, request}

struct sandbox_ioctl {
    const char *name; /* NULL: the last */
    unsigned long request;
};

struct sandbox_calls {
    const char *name; /* of the kind of thread, or of what is done */
    const int *calls; /* SCMP_SYS(...), ended by SANDBOX_END; NULL: none */
    const struct sandbox_ioctl *ioctls; /* NULL: none */
    const struct sandbox_calls *also[8]; /* all of these, too, ended by NULL */
    /* Files and folders that Landlock lets it read, ended by NULL; that of the one that is confined counts, not of `also`. NULL: nothing */
    const char *const *reads;
    bool opens_files; /* ... or everything */
    bool connects;    /* Landlock lets it use TCP */
};

/* What every confined thread may. */
extern const struct sandbox_calls sandbox_common;

/*
 * From now on threads can be confined; those made before as well. `report` is told in a signal's handler of what ended the
 * process; NULL: it is written to standard error, by number.
 * `second` is the call's second argument, an ioctl()'s request. No new privileges for the calling thread and those it
 * makes. Once.
 */
typedef void sandbox_report(const char *thread, int call, unsigned second);
void sandbox_start(sandbox_report *report);
bool sandbox_started(void);
bool sandbox_has_landlock(void);
/*
 * Confine the calling thread to what `calls` (struct sandbox_calls) has; a pointer of its own kind, so that loop_call() can
 * have a loop's thread do so. Without sandbox_start() nothing happens. Ends the program if the kernel refuses.
 */
void sandbox_confine(void *calls);

#endif

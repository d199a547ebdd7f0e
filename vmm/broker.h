/*
 * broker.h - a machine in a process of its own, which can open nothing once it is set up, and the process that does it for it.
 *
 * broker_run() forks. The child is the machine (vmm/run.h). The parent, the broker, keeps the rights of whoever started it;
 * it hands the machine what somebody at --control has named, and nothing else: the strings of what goes by there are the names
 * that may be opened (vmm/broker_rules.h). It passes signals on, removes the machine's sockets at its end, and says how it
 * ended.
 *
 *     user --- --control --- broker ==calls==> (host's files)
 *                               \\==events=== machine (jail.h, sandbox.h)
 */
#ifndef VMM_BROKER_H
#define VMM_BROKER_H

#include "base/loop.h"
#include "vmm/config.h"

extern const struct sandbox_calls broker_sandbox;

struct broker_link; /* the machine's end */

/* Returns the machine's exit status, in both processes. `machine` gets NULL without a sandbox. */
enum run_status broker_run(const struct vm_config *config,
                           enum run_status (*machine)(const struct vm_config *config, struct broker_link *link));

/* --- in the machine; NULL is a link that does nothing --- */

struct broker_callbacks {
    void (*control)(void *opaque, int fd); /* a connection to --control; fd is the callee's */
    void (*signal)(void *opaque, int number);
};

/* Once, in the main loop's thread. */
int broker_watch(struct broker_link *link, struct loop *loop, const struct broker_callbacks *callbacks, void *opaque);
void broker_unwatch(struct broker_link *link);
/* A file that the machine has open: it may look at it by name later. */
void broker_know(struct broker_link *link, const char *path);
/* Listen at --control there. 0 or -errno with fail_text() */
int broker_listen(struct broker_link *link);
/*
 * All is set up: from now on files are opened by the broker (base/host_file.h), and this process is in its jail. No other
 * thread opens anything meanwhile, and none is confined yet.
 */
int broker_close_jail(struct broker_link *link);

#endif

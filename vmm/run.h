/* run.h - one machine from start to end: the work behind `minivm run`. */
#ifndef VMM_RUN_H
#define VMM_RUN_H

#include "vmm/config.h"

/* Runs the machine in the calling thread; messages are logged. Returns the exit status. */
enum run_status run_machine(const struct vm_config *config);

#endif

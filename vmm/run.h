/* run.h - one machine from start to end: the work behind `minivm run`. */
#ifndef VMM_RUN_H
#define VMM_RUN_H

#include "vmm/broker.h"

/* Runs the machine in the calling thread; messages are logged. Returns the exit status. `link` as broker_run() has it. */
enum run_status run_machine(const struct vm_config *config, struct broker_link *link);

#endif

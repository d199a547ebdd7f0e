/*
 * board_sandbox.h - what each thread of a machine may call, put together from what its parts say beside their code.
 *
 * docs/security.md has the list as `minivm doctor --sandbox` prints it.
 */
#ifndef VMM_BOARD_SANDBOX_H
#define VMM_BOARD_SANDBOX_H

#include "base/sandbox.h"

#include <stdio.h>

struct board;
struct loop;

/* With SASL, whose libraries open what they need for each client, the main thread may more. */
extern const struct sandbox_calls main_sasl_sandbox;
extern const struct sandbox_calls main_sandbox, vcpu_sandbox, display_sandbox, io_sandbox, disk_sandbox, worker_sandbox;

/* Confine the board's threads and the pool of workers, not the caller's. In the main loop's thread. */
void board_confine(struct board *board);
/* For people, in Markdown: every kind of thread and its calls. */
void sandbox_print(FILE *out);

#endif

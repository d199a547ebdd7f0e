/*
 * qmp.h - QEMU's machine protocol: JSON objects over a unix socket (docs/interop/qmp-spec of QEMU).
 *
 * A client is greeted, negotiates (qmp_capabilities), then sends commands, each of which is answered by one "return" or
 * "error" with the command's id; events come in between. What a command is lies in a table: its name, its arguments and
 * a function. Unknown commands, and arguments that are missing, unknown or of another type, are refused here, in QEMU's
 * words.
 *
 * Thread: the loop's.
 */
#ifndef VMM_QMP_H
#define VMM_QMP_H

#include "base/loop.h"

#include <jansson.h>

#define QMP_MAX_CLIENTS 16
#define QMP_MAX_COMMAND KIB(64) /* bytes of one */
#define QMP_MAX_OUTPUT  MIB(1)  /* that wait for a slow client; past it the client is dropped */

enum { QMP_LATER = 1 }; /* what a command's function returns when qmp_answer() follows */

struct qmp;

struct qmp_command {
    const char *name;
    /* "name:type ...": type s a string, i an integer, b a boolean, o an object; a '?' at the end: may be missing. */
    const char *arguments;
    /*
     * arguments may be NULL, which Jansson takes for an empty object. 0, with *result (owned by the caller) if it is more than {}; QMP_LATER, after which nothing more is read from this client until then; -errno with
     * fail_text(), -ENODEV being QEMU's DeviceNotFound.
     */
    int (*run)(void *opaque, const json_t *arguments, json_t **result);
};

/* The table lasts. path NULL: clients come through qmp_accept() alone. Errors come with fail_text(). */
int qmp_create(struct qmp **qmp, struct loop *loop, const char *path, const struct qmp_command *commands, size_t count,
               void *opaque);
void qmp_destroy(struct qmp *qmp); /* NULL is fine */
/* For an object in the arguments: 0 if it has the members of a list such as a command's, else -EINVAL with fail_text(). */
int qmp_check_arguments(const char *list, const json_t *arguments);
/* A client that somebody else has accepted. */
void qmp_accept(struct qmp *qmp, int fd);
/* The answer to every command that is to be answered later: err as run() returns it. */
void qmp_answer(struct qmp *qmp, int err);
/* To all clients; data (stolen) may be NULL. NULL as qmp is fine. */
void qmp_event(struct qmp *qmp, const char *name, json_t *data);

#endif

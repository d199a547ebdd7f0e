/*
 * broker_private.h - what the two ends of a broker say to each other, and the parts of the broker's.
 *
 * Two sockets (SOCK_SEQPACKET): on `calls` the machine asks and waits for the answer; `events` goes both ways, unasked.
 */
#ifndef VMM_BROKER_PRIVATE_H
#define VMM_BROKER_PRIVATE_H

#include "base/listener.h"
#include "vmm/broker_rules.h"

enum broker_call_kind {
    BROKER_OPEN,   /* a: folder or "", b: name; answered with a descriptor */
    BROKER_FOLDER, /* a: path; answered with text */
    BROKER_RENAME, /* a: from, b: to */
    BROKER_UNLINK, /* a: path */
    BROKER_UNLINK_AT_EXIT, /* a: path. Not when sealed */
    BROKER_KNOW,   /* a: path that the machine has open. Not when sealed */
    BROKER_LISTEN, /* at --control; answered with text if it fails. Not when sealed */
    BROKER_SEAL    /* the machine is set up */
};

struct broker_call {
    uint32_t kind;
    int32_t flags;
    uint32_t mode;
    char a[PATH_MAX], b[PATH_MAX];
};

struct broker_answer {
    int32_t result; /* 0 or -errno */
    char text[PATH_MAX];
};

enum broker_event_kind {
    BROKER_CONTROL,  /* to the machine, with a descriptor */
    BROKER_SIGNAL,   /* to the machine: value */
    BROKER_FORBIDDEN /* to the broker: a thread made the system call `value`, and the process ends */
};

struct broker_event {
    uint32_t kind;
    int32_t value;
    uint32_t second; /* argument of that call */
    char thread[32];
};

/* --- broker_control.c: connections to --control, and what is said there --- */

struct broker_control;

/* `events` is where the machine gets its ends of the connections. 0 or -errno with fail_text() */
int broker_control_create(struct broker_control **control, struct loop *loop, const char *path, int events,
                          struct broker_rules *rules);
void broker_control_destroy(struct broker_control *control); /* NULL is fine */

/* --- broker_link.c: the machine's end --- */

struct jail;

/* The descriptors are the link's. Errors end the program: it has only begun. */
struct broker_link *broker_link_create(int calls, int events, struct jail *jail);
void broker_link_destroy(struct broker_link *link);

#endif

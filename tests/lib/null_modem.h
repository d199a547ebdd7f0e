/*
 * null_modem.h - two back ends of character devices, each the other's device: what one says the other hears.
 * Thread: the loop's.
 */
#ifndef TESTS_LIB_NULL_MODEM_H
#define TESTS_LIB_NULL_MODEM_H

#include "backend/chardev.h"

#define NULL_MODEM_ROOM KIB(64) /* bytes that wait, each way */

struct null_modem {
    struct null_modem_end {
        struct null_modem_end *other;
        struct chardev *chardev;
        uint8_t data[NULL_MODEM_ROOM]; /* that this one has said */
        size_t size;
    } ends[2];
    void (*connected)(bool connected); /* somebody is at the first one's other end; may be NULL */
};

/* The second one's device is open while somebody is at the first one's other end. */
void null_modem_connect(struct null_modem *m, struct chardev *first, struct chardev *second);

#endif

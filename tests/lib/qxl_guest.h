/*
 * qxl_guest.h - a guest that plays scripts into our QXL device: it copies each command into the device's memory, puts it
 * into a ring, waits while that is full, and takes back what the device releases, as a driver does.
 *
 * It may run in a thread of its own, as a CPU does; the machine's main loop runs elsewhere.
 */
#ifndef TESTS_LIB_QXL_GUEST_H
#define TESTS_LIB_QXL_GUEST_H

#include "devices/qxl/qxl.h"
#include "tests/lib/fake_machine.h"
#include "tests/lib/script.h"

struct qxl_guest {
    struct fake_machine *machine;
    struct display *display;
    uint8_t *ram, *vram, *header;
    const QXLRom *rom;
    uint64_t ram_base, vram_base;
    uint16_t io;
    uint64_t ram_slot, vram_slot; /* high bits of addresses */
    uint64_t next, vram_next;     /* free memory; that in ram is used in turn, that in vram once */
    uint64_t pushed, released;    /* commands in ram */
};

/*
 * Adds a QXL device to the machine, with its memory shared, so that it does not count as the program's own. The device
 * writes what it is asked for to the file `record`, or NULL.
 */
int qxl_guest_init(struct qxl_guest *g, struct fake_machine *m, const char *record);
/* What a driver does when it is loaded. */
void qxl_guest_start(struct qxl_guest *g);
/* Carry out a step; a drawing command is only queued. 0 or -errno with fail_text(). */
int qxl_guest_step(struct qxl_guest *g, const struct step *step);
/* Until everything queued has been drawn. */
void qxl_guest_sync(struct qxl_guest *g);

#endif

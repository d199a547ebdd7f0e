/*
 * write_log.h - everything that is written to one file of a disk, recorded, so that a loss of power can be played: at
 * any moment, what was written and not synced since may be on the disk or not, each write by itself.
 */
#ifndef TESTS_LIB_WRITE_LOG_H
#define TESTS_LIB_WRITE_LOG_H

#include "devices/disk/io.h"

struct write_log {
    struct log_entry *entries;
    unsigned count, capacity;
    unsigned clock; /* moments: one for each op that is submitted, and for each that ends */
};

/* Until io_set_fault() is called again, or the engine is destroyed. */
void write_log_start(struct write_log *log, struct io *io);
/* Bring the file from what it was at the start to what it may be when power is lost at `moment`. */
void write_log_replay(const struct write_log *log, const char *path, unsigned moment,
                      unsigned seed);
void write_log_free(struct write_log *log);

#endif

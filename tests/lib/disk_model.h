/*
 * disk_model.h - a disk beside a plain copy of what must be on it: random requests, many in flight, every read checked.
 */
#ifndef TESTS_LIB_DISK_MODEL_H
#define TESTS_LIB_DISK_MODEL_H

#include "backend/disk.h"

#define MODEL_DEPTH 32

enum {
    MODEL_READ = 1,
    MODEL_WRITE = 2,
    MODEL_FLUSH = 4,
    MODEL_DISCARD = 8,
    MODEL_ZERO = 16,
    MODEL_ALL = 31,
};

struct disk_model {
    struct loop *loop;
    struct disk *disk;
    uint8_t *data; /* what a read must give */
    uint64_t size;
    unsigned random;
    uint64_t max_bytes; /* of a request */
    unsigned errors;    /* requests that failed; their ranges hold old or new sectors */
    unsigned in_flight;
    struct model_slot *slots;
};

/* The model takes its content from `data` (size bytes, copied), or zeroes. */
void model_init(struct disk_model *m, struct loop *loop, struct disk *disk, const void *data,
                uint64_t size, unsigned seed);
void model_fini(struct disk_model *m);
/* Random requests of the kinds in `kinds`, up to depth (at most MODEL_DEPTH) at a time. */
void model_run(struct disk_model *m, unsigned kinds, unsigned requests, unsigned depth);
/* Read the whole disk and compare. */
void model_verify(struct disk_model *m);

/* One request and its result. */
int disk_do(struct loop *loop, struct disk *disk, enum disk_op op, uint64_t offset, void *data,
            uint64_t bytes);

/* A new directory for the test's files; removed with everything in it at exit. */
const char *test_directory(void);
/* Run a shell command; its exit status. Its output is kept for the failure message: test_output(). */
int test_command(const char *fmt, ...) PRINTF_LIKE(1, 2);
const char *test_output(void);

#endif

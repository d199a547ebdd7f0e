#include "tests/lib/write_log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ENTRIES 100000
#define NEVER       UINT32_MAX

struct log_entry {
    struct write_log *log;
    enum io_kind kind;
    uint64_t offset, bytes;
    uint8_t *data;
    unsigned submitted, ended;
    void (*done)(struct io_op *op, int result);
    void *opaque;
};

static void entry_done(struct io_op *op, int result)
{
    struct log_entry *e = op->opaque;

    e->ended = ++e->log->clock;
    op->done = e->done;
    op->opaque = e->opaque;
    op->done(op, result);
}

static int record(void *opaque, struct io_op *op)
{
    struct write_log *log = opaque;
    struct log_entry *e = &log->entries[log->count];

    if (op->kind == IO_READ || op->kind == IO_CALL)
        return 0;
    assert_true(log->count++ < log->capacity);
    *e = (struct log_entry){.log = log,
                            .kind = op->kind,
                            .offset = op->offset,
                            .bytes = op->bytes,
                            .submitted = ++log->clock,
                            .ended = NEVER,
                            .done = op->done,
                            .opaque = op->opaque};
    op->done = entry_done;
    op->opaque = e;
    if (op->kind == IO_WRITE) {
        e->data = malloc(op->bytes + 1);
        scatter_read(&op->data, e->data, op->bytes);
    }
    return 0;
}

void write_log_start(struct write_log *log, struct io *io)
{
    *log = (struct write_log){.capacity = MAX_ENTRIES};
    log->entries = calloc(log->capacity, sizeof(*log->entries));
    assert_non_null(log->entries);
    io_set_fault(io, record, log);
}

static void replay_one(int fd, const struct log_entry *e)
{
    static const int modes[] = {[IO_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                [IO_ZERO] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                [IO_ALLOCATE] = 0};

    if (e->kind == IO_WRITE)
        assert_int_equal(pwrite(fd, e->data, e->bytes, (off_t)e->offset), e->bytes);
    else if (e->kind != IO_SYNC)
        fallocate(fd, modes[e->kind], (off_t)e->offset, (off_t)e->bytes);
}

void write_log_replay(const struct write_log *log, const char *path, unsigned moment, unsigned seed)
{
    unsigned synced = 0; /* what ended before this moment is there for certain */
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    for (unsigned i = 0; i < log->count; i++)
        if (log->entries[i].kind == IO_SYNC && log->entries[i].ended <= moment)
            synced = log->entries[i].submitted > synced ? log->entries[i].submitted : synced;
    for (unsigned i = 0; i < log->count && log->entries[i].submitted <= moment; i++)
        if (log->entries[i].ended < synced || rand_r(&seed) >> 8 & 1)
            replay_one(fd, &log->entries[i]);
    close(fd);
}

void write_log_free(struct write_log *log)
{
    for (unsigned i = 0; i < log->count; i++)
        free(log->entries[i].data);
    free(log->entries);
}

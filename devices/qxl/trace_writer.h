/*
 * trace_writer.h - a file of records (trace_format.h), written one by one.
 *
 * A record that cannot be written ends the recording: it is said once, and what follows goes nowhere. The header's counts
 * are right when the file was closed; a reader of one that was not finds its records all the same.
 * Thread: one at a time.
 */
#ifndef DEVICES_QXL_TRACE_WRITER_H
#define DEVICES_QXL_TRACE_WRITER_H

#include "base/bytes.h"
#include "devices/qxl/trace_format.h"

struct trace_writer {
    int fd;
    struct writer record; /* the one under way */
    struct trace_header header;
    uint64_t started; /* nanoseconds, of the first record */
    bool failed;
};

/* An existing file is replaced. 0 or -errno with fail_text(). */
int trace_writer_open(struct trace_writer *t, const char *path);
/* What was not opened (fd -1) is fine. */
void trace_writer_close(struct trace_writer *t);

/* Begin a record; its payload goes to t->record. */
void trace_begin(struct trace_writer *t, uint16_t type);
/* Zeroes up to the next multiple of 8. */
void trace_align(struct trace_writer *t);
void trace_end(struct trace_writer *t);
/* A whole one. */
void trace_put(struct trace_writer *t, uint16_t type, const void *payload, size_t size);
/* A surface with this id occurs in the file. */
void trace_note_surface(struct trace_writer *t, uint32_t id);

#endif

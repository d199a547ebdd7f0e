/*
 * trace.h - recordings of guests (devices/qxl/trace_format.h) as scripts.
 */
#ifndef TESTS_LIB_TRACE_H
#define TESTS_LIB_TRACE_H

#include "tests/lib/mapped_file.h"
#include "tests/lib/script.h"

struct trace {
    struct mapped_file file; /* the script points into it */
    struct script script;
};

struct trace_options {
    uint64_t slice_us; /* a slice for each of these that draws; 0: the whole is one */
    bool guest_stride; /* rows lie as far apart as in the guest's memory, with what it left between them */
    bool no_marker;    /* and no slices */
};

/* A file, packed with zstd or not. Everything in it is checked. 0 or -errno with fail_text(). */
int trace_open(struct trace *t, const char *path, const struct trace_options *options);
void trace_close(struct trace *t);

#endif

/* trace_parser.h - between trace.c and trace_draw.c: a record on its way into the script. */
#ifndef TESTS_LIB_TRACE_PARSER_H
#define TESTS_LIB_TRACE_PARSER_H

#include "base/bytes.h"
#include "devices/qxl/trace_format.h"
#include "tests/lib/trace.h"

#define TRACE_MAX_DIMENSION 32768

struct parser {
    struct script *s;
    const struct trace_options *options;
    struct reader r; /* of a record's payload */
    bool playing;    /* the scene is made */
};

QXLRect trace_take_rect(struct parser *p);
/* A drawing command. */
void trace_take_draw(struct parser *p, uint64_t us);

#endif

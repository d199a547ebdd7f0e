/*
 * expect.h - watches serial output for a line that matches a regular expression.
 *
 * Lines are seen without escape sequences and line ends; the last, unfinished one counts as well, so that a prompt
 * matches. Thread: the main loop.
 */
#ifndef VMM_EXPECT_H
#define VMM_EXPECT_H

#include "base/base.h"

#include <regex.h>

#define EXPECT_LINE 4096 /* longer lines are seen in pieces */

struct expect {
    regex_t regex;
    char line[EXPECT_LINE]; /* the line now being written */
    size_t length;
    char last[EXPECT_LINE]; /* the last complete one that was not empty */
    enum { EXPECT_TEXT, EXPECT_ESCAPE, EXPECT_CSI } state;
};

/* -EINVAL for a bad expression. */
int expect_init(struct expect *expect, const char *pattern);
void expect_fini(struct expect *expect);
/* True once a line matches. */
bool expect_feed(struct expect *expect, const uint8_t *data, size_t size);

#endif

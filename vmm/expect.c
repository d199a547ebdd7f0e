#include "vmm/expect.h"

#include <errno.h>
#include <string.h>

int expect_init(struct expect *expect, const char *pattern)
{
    memset(expect, 0, sizeof(*expect));
    return regcomp(&expect->regex, pattern, REG_EXTENDED | REG_NOSUB) ? -EINVAL : 0;
}

void expect_fini(struct expect *expect)
{
    regfree(&expect->regex);
}

static bool matches(struct expect *expect)
{
    expect->line[expect->length] = 0;
    return expect->length && regexec(&expect->regex, expect->line, 0, NULL, 0) == 0;
}

/* True for a byte that belongs to an escape sequence (ECMA-48). */
static bool is_escape(struct expect *expect, uint8_t c)
{
    switch (expect->state) {
    case EXPECT_TEXT:
        if (c == 0x1b)
            expect->state = EXPECT_ESCAPE;
        return c == 0x1b;
    case EXPECT_ESCAPE:
        expect->state = c == '[' ? EXPECT_CSI : EXPECT_TEXT;
        return true;
    default:
        if (c >= 0x40 && c <= 0x7e)
            expect->state = EXPECT_TEXT;
        return true;
    }
}

static void end_line(struct expect *expect)
{
    if (expect->length)
        memcpy(expect->last, expect->line, expect->length + 1);
    expect->length = 0;
}

bool expect_feed(struct expect *expect, const uint8_t *data, size_t size)
{
    bool found = false;
    size_t i;

    for (i = 0; i < size && !found; i++) {
        uint8_t c = data[i];

        if (is_escape(expect, c))
            continue;
        if (c == '\n' || expect->length == sizeof(expect->line) - 1) {
            found = matches(expect);
            end_line(expect);
        }
        if (c >= ' ' || c == '\t')
            expect->line[expect->length++] = (char)c;
    }
    return found || matches(expect);
}

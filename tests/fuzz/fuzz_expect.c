/*
 * What a guest writes to its serial port while --expect reads along. The first byte chooses the expression, the second in what
 * pieces it comes.
 */
#include "vmm/expect.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const patterns[] = {"login: $", "^(a|b)*c", "never\x01", "."};
    struct expect expect;
    size_t piece;

    if (size < 2)
        return 0;
    if (expect_init(&expect, patterns[data[0] % ARRAY_SIZE(patterns)]))
        abort();
    piece = data[1] ? data[1] : SIZE_MAX;
    for (size_t at = 2; at < size; at += MIN(piece, size - at)) {
        expect_feed(&expect, data + at, MIN(piece, size - at));
        if (expect.length >= sizeof(expect.line) || memchr(expect.line, '\n', expect.length) ||
            memchr(expect.line, 0x1b, expect.length))
            abort();
    }
    expect_fini(&expect);
    return 0;
}

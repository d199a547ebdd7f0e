#include "clipboard/latin1.h"

#include <stdlib.h>

uint8_t *latin1_to_utf8(const uint8_t *text, size_t size, size_t *result)
{
    uint8_t *to = malloc(2 * size + 1), *p = to;

    for (size_t i = 0; to && i < size; i++) {
        if (text[i] >= 0x80)
            *p++ = (uint8_t)(0xc0 | text[i] >> 6);
        *p++ = text[i] < 0x80 ? text[i] : (uint8_t)(0x80 | (text[i] & 0x3f));
    }
    *result = (size_t)(p - to);
    return to;
}

static bool continues(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

uint8_t *latin1_from_utf8(const uint8_t *text, size_t size, size_t *result)
{
    uint8_t *to = malloc(size + 1), *p = to;

    for (size_t i = 0; to && i < size; i++) {
        bool fits = (text[i] & 0xfe) == 0xc2 && i + 1 < size && continues(text[i + 1]);

        if (continues(text[i]))
            continue;
        *p++ = text[i] < 0x80 ? text[i] : fits ? (uint8_t)(text[i] << 6 | (text[i + 1] & 0x3f)) : '?';
    }
    *result = (size_t)(p - to);
    return to;
}

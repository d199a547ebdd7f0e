/* drawing_describe.h - a drawing (guest/payload/drawing.h) in words, for people who look for what went wrong. */
#ifndef TESTS_DRAWING_DESCRIBE_H
#define TESTS_DRAWING_DESCRIBE_H

#include "guest/payload/drawing.h"

#include <stddef.h>

void drawing_describe(const struct drawing *d, char *text, size_t size);

#endif

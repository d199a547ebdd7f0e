/*
 * latin1.h - text of X11's type STRING (ISO 8859-1) to and from UTF-8. The result is the caller's to free; NULL: no
 * memory.
 */
#ifndef GUEST_AGENT_LATIN1_H
#define GUEST_AGENT_LATIN1_H

#include "base/base.h"

uint8_t *latin1_to_utf8(const uint8_t *text, size_t size, size_t *result);
/* What it has no letter for becomes '?'. */
uint8_t *latin1_from_utf8(const uint8_t *text, size_t size, size_t *result);

#endif

/* uuid.h - the machine's identity (RFC 4122), 16 bytes in the order in which it is written. Any thread. */
#ifndef VMM_UUID_H
#define VMM_UUID_H

#include "base/base.h"

#define UUID_SIZE 16
#define UUID_TEXT_SIZE 37 /* the terminating zero included */

/* -EINVAL with fail_text() if text is not five groups of hexadecimal digits, or all of them are 0. */
int uuid_parse(uint8_t uuid[UUID_SIZE], const char *text);
void uuid_format(const uint8_t uuid[UUID_SIZE], char text[UUID_TEXT_SIZE]);
/* Version 5: the same for the same name, always and everywhere. */
int uuid_from_name(uint8_t uuid[UUID_SIZE], const char *name);

#endif

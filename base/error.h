/*
 * error.h - an errno with words.
 *
 * Functions return 0 or -errno. Where the number alone would not tell a person what to do, the place that
 * knows most says so with fail(); whoever ends the chain (main, a control command) prints fail_text().
 *
 *     return fail(-EBUSY, "disk '%s' is in use by another process; stop it or use --snapshot", path);
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/base.h"

/* Remember the message for the calling thread and return err (negative). At most 511 bytes are kept. */
int fail(int err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Put "what: " before the message remembered, and return err. */
int fail_prefix(int err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The calling thread's last message; "" if there is none. Valid until its next fail(). */
const char *fail_text(void);

#endif

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[512];

int fail(int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    return err;
}

int fail_prefix(int err, const char *fmt, ...)
{
    char old[sizeof(message)];
    va_list args;
    int n;

    memcpy(old, message, sizeof(old));
    va_start(args, fmt);
    n = vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(message))
        snprintf(message + n, sizeof(message) - (size_t)n, ": %s", old);
    return err;
}

const char *fail_text(void)
{
    return message;
}

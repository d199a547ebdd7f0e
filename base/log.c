#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static enum log_level max_level = LOG_WARN;
static const char *program = "minivm";

void log_set_level(enum log_level level)
{
    max_level = level;
}

bool log_enabled(enum log_level level)
{
    return level <= max_level;
}

void log_set_program(const char *name)
{
    program = name;
}

static void log_vwrite(enum log_level level, const char *fmt, va_list args)
{
    static const char *const prefix[] = {
        [LOG_ERROR] = "", [LOG_WARN] = "warning: ", [LOG_INFO] = "", [LOG_DEBUG] = "debug: "};
    char text[1024];

    /* One write per line, so that lines of several threads do not mix. */
    vsnprintf(text, sizeof(text), fmt, args);
    fprintf(stderr, "%s: %s%s\n", program, prefix[level], text);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    va_list args;

    if (level > max_level)
        return;
    va_start(args, fmt);
    log_vwrite(level, fmt, args);
    va_end(args);
}

void die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    log_vwrite(LOG_ERROR, fmt, args);
    va_end(args);
    exit(1);
}

/*
 * log.h - messages for people, on standard error.
 *
 * A message names the object, the reason and, where there is one, the remedy; it has no source file names.
 * Any thread may log. The level is set once, before threads start.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* Whether a message of this level would be written, for those that cost much to make. */
bool log_enabled(enum log_level level);
/* The word before each message, "minivm" unless set; kept, not copied. */
void log_set_program(const char *name);
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Log once per place in the source: for what a guest or a peer can provoke without end. */
#define log_once(level, ...)                                                                       \
    do {                                                                                           \
        static bool logged_;                                                                       \
        if (!__atomic_exchange_n(&logged_, true, __ATOMIC_RELAXED))                                \
            log_write(level, __VA_ARGS__);                                                         \
    } while (0)

/* Print the message and exit(1). Only before the guest runs. */
NORETURN void die(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif

/* terminal.h - questions to the user where there is no window. Thread: the session's loop, which waits meanwhile. */
#ifndef CLIENT_TERMINAL_H
#define CLIENT_TERMINAL_H

#include "base/base.h"

/* Whether somebody could answer. */
bool terminal_is_there(void);
/* A line, without its end; echo: it is shown while it is typed. False: the user gave up. */
bool terminal_ask(const char *question, bool echo, char *answer, size_t size);

#endif

#include "client/terminal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

bool terminal_is_there(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* poll() before read(): a signal ends it, so that Ctrl+C gives up. */
static bool read_line(char *line, size_t size)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n = poll(&in, 1, -1) == 1 ? read(STDIN_FILENO, line, size - 1) : -1;

    if (n <= 0)
        return false;
    line[n] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

bool terminal_ask(const char *question, bool echo, char *answer, size_t size)
{
    struct termios before, quiet;
    bool hide = !echo && tcgetattr(STDIN_FILENO, &before) == 0, answered;

    fprintf(stderr, "%s ", question);
    if (hide) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    answered = read_line(answer, size);
    if (hide) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fprintf(stderr, "\n");
    }
    return answered;
}

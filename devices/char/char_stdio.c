/*
 * Standard input and output. A terminal goes into raw mode, so that every key reaches the guest, and gets its old mode
 * back however the program ends short of SIGKILL. Ctrl-] twice sends SIGINT to the program itself.
 */
#include "devices/char/char.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x1d /* Ctrl-] */

struct char_stdio {
    struct char_stream stream;
    int in,
        out; /* open file descriptions of our own where they could be had: O_NONBLOCK is not for others */
    bool escaped;
};

/* A process has one terminal to give back, and signal handlers take no argument. */
static struct termios old_mode;
static volatile sig_atomic_t raw;

static void restore_terminal(void)
{
    if (raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &old_mode);
    raw = 0;
}

static void die_restored(int signal_number)
{
    restore_terminal();
    raise(signal_number); /* SA_RESETHAND: this time for real */
}

/* Signals that would end the program as they stand; those with handlers end it in order. */
static void catch_deaths(void)
{
    static const int deaths[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGABRT,
                                 SIGSEGV, SIGBUS, SIGILL,  SIGFPE};
    const struct sigaction restore = {.sa_handler = die_restored,
                                      .sa_flags = SA_RESETHAND | SA_NODEFER};
    struct sigaction old;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(deaths); i++)
        if (sigaction(deaths[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(deaths[i], &restore, NULL);
}

static void make_raw(void)
{
    static bool registered;
    struct termios mode;

    if (tcgetattr(STDIN_FILENO, &old_mode) != 0)
        return;
    mode = old_mode;
    cfmakeraw(&mode);
    mode.c_oflag |= OPOST; /* our own messages still begin at the left */
    if (!registered)
        atexit(restore_terminal);
    registered = true;
    raw = 1;
    catch_deaths();
    tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

/* The first escape is the guest's like any key; a second one right after it is ours. */
static size_t stdio_filter(struct char_stream *stream, uint8_t *data, size_t size)
{
    struct char_stdio *stdio = container_of(stream, struct char_stdio, stream);
    size_t i, kept = 0;

    if (!raw)
        return size;
    for (i = 0; i < size; i++) {
        bool again = data[i] == ESCAPE && stdio->escaped;

        stdio->escaped = data[i] == ESCAPE && !again;
        if (again)
            raise(SIGINT);
        else
            data[kept++] = data[i];
    }
    return kept;
}

/* Input at its end is no end of output. */
static void stdio_hung_up(struct char_stream *stream)
{
    struct char_stdio *stdio = container_of(stream, struct char_stdio, stream);

    if (stdio->in < 0)
        return; /* it was the output */
    close(stdio->in);
    stdio->in = -1;
    char_stream_connect(stream, -1, stdio->out);
}

static void stdio_destroy(struct char_stream *stream)
{
    struct char_stdio *stdio = container_of(stream, struct char_stdio, stream);

    char_stream_disconnect(stream);
    restore_terminal();
    if (stdio->in >= 0)
        close(stdio->in);
    if (stdio->out >= 0)
        close(stdio->out);
    free(stdio);
}

static const struct char_kind stdio_kind = {
    .hung_up = stdio_hung_up,
    .filter = stdio_filter,
    .destroy = stdio_destroy,
};

/*
 * A descriptor that does not block, without changing the one that the shell and our parents share. Plain files keep
 * theirs: they have a position, and never block for long.
 */
static int reopen(int fd, int flags)
{
    char path[32];
    struct stat st;
    int own = -1;

    if (fstat(fd, &st) != 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
        own = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int char_stdio_create(struct char_stream **stream, struct loop *loop)
{
    struct char_stdio *stdio = calloc(1, sizeof(*stdio));
    int err;

    if (!stdio)
        return -ENOMEM;
    char_stream_init(&stdio->stream, &stdio_kind, loop);
    signal(SIGPIPE, SIG_IGN); /* whoever reads our output may go */
    stdio->in = reopen(STDIN_FILENO, O_RDONLY);
    stdio->out = reopen(STDOUT_FILENO, O_WRONLY);
    err = char_stream_connect(&stdio->stream, stdio->in, stdio->out);
    if (err) {
        stdio_destroy(&stdio->stream);
        return fail(err, "cannot use standard input and output: %s", strerror(-err));
    }
    if (isatty(STDIN_FILENO))
        make_raw();
    *stream = &stdio->stream;
    return 0;
}

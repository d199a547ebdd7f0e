/*
 * What tests/bench/guest_io has a guest do; static, so that an initial RAM disk is all it needs.
 *
 *   in_guest send|recv ADDRESS PORT SECONDS   TCP to or from the host; prints bytes a second
 *   in_guest ping ADDRESS PORT SECONDS        one byte there and back; prints rounds a second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE (1 << 20)

static char buffer[PIECE];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(const char *address, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    inet_pton(AF_INET, address, &a.sin_addr);
    check(connect(s, (struct sockaddr *)&a, sizeof(a)), address);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return s;
}

static long one_round(int s)
{
    char c = 'x';

    check(write(s, &c, 1), "write");
    check(read(s, &c, 1), "read");
    return 1;
}

static long send_some(int s)
{
    return write(s, buffer, 128 << 10);
}

static long recv_some(int s)
{
    return read(s, buffer, sizeof(buffer));
}

static const struct {
    const char *name;
    long (*step)(int s);
} modes[] = {{"send", send_some}, {"recv", recv_some}, {"ping", one_round}};

int main(int argc, char **argv)
{
    double start, seconds, total = 0;
    unsigned i;
    int s;

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]) && argc == 5; i++) {
        if (strcmp(modes[i].name, argv[1]) != 0)
            continue;
        s = dial(argv[2], argv[3]);
        seconds = atof(argv[4]);
        for (start = now(); now() < start + seconds;) {
            long n = modes[i].step(s);

            check(n, argv[1]);
            if (n == 0)
                break;
            total += (double)n;
        }
        printf("RESULT %s %.0f\n", argv[1], total / (now() - start));
        return 0;
    }
    return 2;
}

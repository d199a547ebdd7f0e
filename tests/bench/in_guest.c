/*
 * What tests/bench/guest_io has a guest do; static, so that an initial RAM disk is all it needs.
 *
 *   in_guest send|recv ADDRESS PORT SECONDS   TCP to or from the host; prints bytes a second
 *   in_guest ping ADDRESS PORT SECONDS        one byte there and back; prints rounds a second
 *   in_guest read|random DEVICE SECONDS       O_DIRECT, in pieces of 1 MiB in order or of 4 KiB anywhere; bytes a second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/fs.h>

#define PIECE (1 << 20)
#define SMALL 4096

static char buffer[PIECE] __attribute__((aligned(4096)));

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

static unsigned long long disk_size, place;

static long read_next(int fd)
{
    long n = pread(fd, buffer, PIECE, (off_t)place);

    place = (place + PIECE) % (disk_size / PIECE * PIECE);
    return n;
}

static long read_random(int fd)
{
    static unsigned long long state = 88172645463325252ULL;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return pread(fd, buffer, SMALL, (off_t)(state % (disk_size / SMALL) * SMALL));
}

static const struct {
    const char *name;
    long (*step)(int fd);
    int network;
} modes[] = {
    {"send", send_some, 1}, {"recv", recv_some, 1},   {"ping", one_round, 1},
    {"read", read_next, 0}, {"random", read_random, 0},
};

int main(int argc, char **argv)
{
    double start, seconds, total = 0;
    unsigned i;
    int fd;

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]) && argc >= 4; i++) {
        if (strcmp(modes[i].name, argv[1]) != 0)
            continue;
        fd = modes[i].network ? dial(argv[2], argv[3]) : open(argv[2], O_RDONLY | O_DIRECT);
        check(fd, argv[2]);
        if (!modes[i].network)
            check(ioctl(fd, BLKGETSIZE64, &disk_size), "size");
        seconds = atof(argv[argc - 1]);
        for (start = now(); now() < start + seconds;) {
            long n = modes[i].step(fd);

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

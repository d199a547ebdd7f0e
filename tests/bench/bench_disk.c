/*
 * bench_disk.c - 4 KiB requests, next to qemu-img bench on the same image with the same offsets, in turn.
 *
 * usage: bench_disk [DIRECTORY [RUNS [ROW]]]
 *
 * Each row is the median of RUNS (5) runs in requests per second, ours and QEMU's, and the median of the ratios of
 * pairs. ROW: only rows whose names have this in them. "stride" goes through the image in steps of a prime number of
 * blocks, so that no two requests are neighbours.
 * "grow" writes to an image that was made anew before each run. Both use O_DIRECT and io_uring.
 */
#include "base/error.h"
#include "base/log.h"
#include "backend/disk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK     4096
#define SIZE      MIB(512)
#define STRIDE    (BLOCK * UINT64_C(1021))
#define MAX_DEPTH 32
#define MAX_RUNS  99

static const struct row {
    const char *name, *format;
    uint64_t step;
    bool write, grow;
    unsigned depth, count;
} rows[] = {
    {"raw read sequential", "raw", BLOCK, false, false, 1, 4000},
    {"raw read sequential", "raw", BLOCK, false, false, 32, 20000},
    {"raw read stride", "raw", STRIDE, false, false, 1, 4000},
    {"raw read stride", "raw", STRIDE, false, false, 32, 60000},
    {"raw write sequential", "raw", BLOCK, true, false, 1, 4000},
    {"raw write sequential", "raw", BLOCK, true, false, 32, 20000},
    {"raw write stride", "raw", STRIDE, true, false, 1, 4000},
    {"raw write stride", "raw", STRIDE, true, false, 32, 60000},
    {"qcow2 read sequential", "qcow2", BLOCK, false, false, 1, 4000},
    {"qcow2 read sequential", "qcow2", BLOCK, false, false, 32, 20000},
    {"qcow2 read stride", "qcow2", STRIDE, false, false, 1, 4000},
    {"qcow2 read stride", "qcow2", STRIDE, false, false, 32, 60000},
    {"qcow2 write sequential", "qcow2", BLOCK, true, false, 1, 4000},
    {"qcow2 write sequential", "qcow2", BLOCK, true, false, 32, 20000},
    {"qcow2 write stride", "qcow2", STRIDE, true, false, 1, 4000},
    {"qcow2 write stride", "qcow2", STRIDE, true, false, 32, 60000},
    {"qcow2 grow sequential", "qcow2", BLOCK, true, true, 1, 2000},
    {"qcow2 grow sequential", "qcow2", BLOCK, true, true, 32, 8000},
    {"qcow2 grow stride", "qcow2", STRIDE, true, true, 1, 1000},
    {"qcow2 grow stride", "qcow2", STRIDE, true, true, 32, 1000},
};

static void run(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void run(const char *fmt, ...)
{
    char command[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    if (system(command))
        die("failed: %s", command);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct bench {
    struct disk *disk;
    const struct row *row;
    uint64_t offset;
    unsigned started, finished;
    struct disk_request requests[MAX_DEPTH];
    struct iovec iov[MAX_DEPTH];
};

static void start_next(struct bench *b, struct disk_request *r)
{
    if (b->started == b->row->count)
        return;
    b->started++;
    r->op = b->row->write ? DISK_WRITE : DISK_READ;
    r->offset = b->offset;
    r->bytes = BLOCK;
    b->offset = (b->offset + b->row->step) % SIZE;
    disk_submit(b->disk, r);
}

static void request_done(struct disk_request *r, int result)
{
    struct bench *b = r->driver;

    if (result)
        die("a request failed: %s", strerror(-result));
    b->finished++;
    start_next(b, r);
}

static double ours(const struct row *row, const char *path)
{
    struct bench b = {.row = row};
    struct loop loop;
    double start;

    loop_init(&loop);
    if (disk_open(&b.disk, &loop, &(struct disk_options){.path = path, .format = row->format}))
        die("%s", fail_text());
    start = now();
    for (unsigned i = 0; i < row->depth; i++) {
        b.iov[i] = (struct iovec){aligned_alloc(BLOCK, BLOCK), BLOCK};
        memset(b.iov[i].iov_base, 0x55, BLOCK);
        b.requests[i] = (struct disk_request){
            .iov = &b.iov[i], .iov_count = 1, .done = request_done, .driver = &b};
        start_next(&b, &b.requests[i]);
    }
    while (b.finished < row->count)
        uv_run(&loop.uv, UV_RUN_ONCE);
    start = now() - start;
    disk_close(b.disk);
    loop_fini(&loop);
    for (unsigned i = 0; i < row->depth; i++)
        free(b.iov[i].iov_base);
    return row->count / start;
}

static double theirs(const struct row *row, const char *path)
{
    char command[1024], line[256];
    double seconds = 0;
    FILE *p;

    snprintf(command, sizeof(command),
             "qemu-img bench -f %s -t none -i io_uring -c %u -d %u -s %u -S %lu %s %s", row->format,
             row->count, row->depth, BLOCK, (unsigned long)row->step,
             row->write ? "-w --pattern=85" : "", path);
    p = popen(command, "r");
    while (p && fgets(line, sizeof(line), p))
        sscanf(line, "Run completed in %lf seconds", &seconds);
    if (!p || pclose(p) || seconds == 0)
        die("failed: %s", command);
    return row->count / seconds;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

static void prepare(const struct row *row, const char *path)
{
    if (row->grow)
        run("qemu-img create -q -f qcow2 %s %lu", path, (unsigned long)SIZE);
    else if (access(path, F_OK))
        run("qemu-img create -q -f %s %s %lu && qemu-io -f %s -t none -c 'write -q -P 17 0 %lu' %s",
            row->format, path, (unsigned long)SIZE, row->format, (unsigned long)SIZE, path);
}

static void measure(const struct row *row, const char *dir, unsigned runs)
{
    double us[MAX_RUNS], them[MAX_RUNS], ratio[MAX_RUNS];
    char path[512];

    snprintf(path, sizeof(path), "%s/bench.%s%s", dir, row->grow ? "grow." : "", row->format);
    for (unsigned i = 0; i < runs; i++) {
        prepare(row, path);
        us[i] = ours(row, path);
        prepare(row, path);
        them[i] = theirs(row, path);
        ratio[i] = us[i] / them[i];
    }
    printf("%-24s %5u %10.0f %10.0f %8.2f\n", row->name, row->depth, median(us, runs),
           median(them, runs), median(ratio, runs));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *parent = argc > 1 ? argv[1] : "/var/tmp";
    unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    char dir[256];

    snprintf(dir, sizeof(dir), "%s/bench-disk-XXXXXX", parent);
    if (!mkdtemp(dir))
        die("no directory in %s", parent);
    printf("%-24s %5s %10s %10s %8s\n", "4 KiB requests", "depth", "ours/s", "QEMU/s", "ratio");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (argc < 4 || strstr(rows[i].name, argv[3]))
            measure(&rows[i], dir, CLAMP(runs, 1, MAX_RUNS));
    run("rm -rf %s", dir);
    return 0;
}

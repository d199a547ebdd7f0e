/* test_disk_fault.c - a host that interrupts, does half, and has no room: what a disk makes of it, and what its guest sees.
 * The system calls of the disk's threads are this file's own, so that everything above them is the real thing. */
#include "base/error.h"
#include "devices/disk/image.h"
#include "tests/lib/disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE MIB(8)

static struct loop loop;
static char path[256];

/* --- the host; the disk's threads look at it --- */

static struct host {
    int left;                    /* writes and allocations until it is full; huge: never */
    int read_error, write_error; /* of all, if not 0 */
    int sync_error;              /* of the next one */
    int interrupts;              /* every few calls */
    int whole;                   /* no write gets in half */
    int interrupted, cut;
    unsigned calls;
} host;

static int get(const int *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void set(int *field, int value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static bool is_interrupted(void)
{
    unsigned n = __atomic_add_fetch(&host.calls, 1, __ATOMIC_RELAXED);

    if (!get(&host.interrupts) || (n * 2654435761u) >> 16 & 3)
        return false;
    __atomic_add_fetch(&host.interrupted, 1, __ATOMIC_RELAXED);
    errno = n & 1 ? EINTR : EAGAIN;
    return true;
}

/* Takes one piece of what is left: 1 there was more, 0 it was the last, -1 there was none. */
static int take_room(void)
{
    int left = __atomic_sub_fetch(&host.left, 1, __ATOMIC_RELAXED);

    return left > 0 ? 1 : left == 0 ? 0 : -1;
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    if (is_interrupted())
        return -1;
    if (get(&host.read_error))
        return refuse(get(&host.read_error));
    return syscall(SYS_preadv, fd, iov, count, offset, 0);
}

/* The last write before the disk is full gets in half. */
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    int room;

    if (is_interrupted())
        return -1;
    if (get(&host.write_error))
        return refuse(get(&host.write_error));
    room = take_room();
    if (room < 0)
        return refuse(ENOSPC);
    if (room == 0 && iov->iov_len > 512 && !get(&host.whole)) {
        struct iovec part = {iov->iov_base, ALIGN_UP(iov->iov_len / 2, 512)};

        __atomic_add_fetch(&host.cut, 1, __ATOMIC_RELAXED);
        return syscall(SYS_pwritev, fd, &part, 1, offset, 0);
    }
    return syscall(SYS_pwritev, fd, iov, count, offset, 0);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    if (is_interrupted())
        return -1;
    return take_room() < 0 ? refuse(ENOSPC) : (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

int fdatasync(int fd)
{
    int error = __atomic_exchange_n(&host.sync_error, 0, __ATOMIC_RELAXED);

    if (is_interrupted())
        return -1;
    return error ? refuse(error) : (int)syscall(SYS_fdatasync, fd);
}

static void repair_host(void)
{
    set(&host.left, INT32_MAX);
    set(&host.read_error, 0);
    set(&host.write_error, 0);
    set(&host.sync_error, 0);
    set(&host.interrupts, false);
    set(&host.whole, false);
}

/* --- a device that keeps what the host could not do, and its owner --- */

struct carried {
    struct disk_request inner, *outer;
    struct keeper *keeper;
    STAILQ_ENTRY(carried) link;
};

struct keeper {
    struct disk disk, *below;
    STAILQ_HEAD(, carried) kept;
    uv_timer_t retry;
    unsigned random;
    bool alone;  /* nobody makes room */
    bool plenty; /* who makes room makes enough for ever */
    unsigned faults, reports, recovered;
    struct disk_fault last;
};

static void carried_done(struct disk_request *inner, int result)
{
    struct carried *c = container_of(inner, struct carried, inner);

    if (disk_keeps(c->keeper->below, inner, result)) {
        STAILQ_INSERT_TAIL(&c->keeper->kept, c, link);
        return;
    }
    c->outer->done(c->outer, result);
    free(c);
}

static void keeper_submit(struct disk *disk, struct disk_request *request)
{
    struct keeper *k = container_of(disk, struct keeper, disk);
    struct carried *c = calloc(1, sizeof(*c));

    *c = (struct carried){.inner = *request, .outer = request, .keeper = k};
    c->inner.done = carried_done;
    disk_submit(k->below, &c->inner);
}

static void retry_all(struct keeper *k)
{
    STAILQ_HEAD(, carried) kept = STAILQ_HEAD_INITIALIZER(kept);
    struct carried *c;

    STAILQ_CONCAT(&kept, &k->kept);
    while ((c = STAILQ_FIRST(&kept))) {
        STAILQ_REMOVE_HEAD(&kept, link);
        disk_retry(k->below, &c->inner);
    }
}

static void make_room(uv_timer_t *timer)
{
    struct keeper *k = timer->data;

    k->random = k->random * 1664525u + 1013904223u;
    /* More after each try in vain: all that waits is done anew each time. */
    set(&host.left, k->plenty ? INT32_MAX : 30 * (int)(1 + k->faults - k->recovered) + (int)(k->random >> 16) % 60);
    retry_all(k);
}

static void on_fault(void *opaque, const struct disk_fault *fault)
{
    struct keeper *k = opaque;

    k->last = *fault;
    k->faults += fault->kept;
    k->reports += !fault->kept;
    if (fault->kept && !k->alone)
        uv_timer_start(&k->retry, make_room, 1, 0);
}

static void on_recovered(void *opaque)
{
    ((struct keeper *)opaque)->recovered++;
}

static const struct disk_ops keeper_ops = {.format = "keeper", .submit = keeper_submit};

static void keeper_open(struct keeper *k, struct disk_options options)
{
    options.path = path;
    *k = (struct keeper){.random = 77};
    STAILQ_INIT(&k->kept);
    if (disk_open_with(&k->below, &loop, &options, IO_THREADS))
        fail_msg("%s", fail_text());
    k->disk = (struct disk){.ops = &keeper_ops, .size = k->below->size};
    disk_watch(k->below, &(struct disk_watcher){on_fault, on_recovered, k});
    uv_timer_init(&loop.uv, &k->retry);
    k->retry.data = k;
}

static void drop_all(struct keeper *k)
{
    struct carried *c;

    while ((c = STAILQ_FIRST(&k->kept))) {
        STAILQ_REMOVE_HEAD(&k->kept, link);
        disk_drop(k->below, &c->inner);
        free(c);
    }
}

static void wait_until_kept(const struct keeper *k, unsigned n)
{
    const struct carried *c;
    unsigned count;

    do {
        uv_run(&loop.uv, UV_RUN_ONCE);
        count = 0;
        STAILQ_FOREACH(c, &k->kept, link)
            count++;
    } while (count < n);
}

static int keeper_close(struct keeper *k)
{
    uv_close((uv_handle_t *)&k->retry, NULL);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    return disk_close(k->below);
}

static int do_one(struct keeper *k, enum disk_op op, uint64_t at, void *data)
{
    return disk_do(&loop, &k->disk, op, at, data, op == DISK_FLUSH ? 0 : 4096);
}

/* --- images --- */

static void make_image(const char *format, const char *options)
{
    snprintf(path, sizeof(path), "%s/image.%s", test_directory(), format);
    unlink(path);
    if (test_command("qemu-img create -q -f %s %s %s %d", format, options, path, (int)SIZE))
        fail_msg("%s", test_output());
}

static void check_image(const char *format, const struct disk_model *m)
{
    char raw[300];
    FILE *f;

    snprintf(raw, sizeof(raw), "%s/model", test_directory());
    f = fopen(raw, "w");
    assert_int_equal(fwrite(m->data, 1, m->size, f), m->size);
    fclose(f);
    if (test_command("qemu-img compare -f raw -F %s %s %s", format, raw, path))
        fail_msg("%s", test_output());
    if (strcmp(format, "qcow2") == 0 && test_command("qemu-img check -f qcow2 %s", path))
        fail_msg("%s", test_output());
}

/* --- tests --- */

/* Full again and again, in the middle of everything: the guest sees no error, and in the end all is there. */
static void full_again_and_again(const char *format, const char *create, int cache)
{
    struct disk_model m;
    struct keeper k;

    repair_host();
    make_image(format, create);
    keeper_open(&k, (struct disk_options){.format = format, .cache = cache});
    model_init(&m, &loop, &k.disk, NULL, SIZE, 21);
    set(&host.interrupts, true);
    set(&host.left, 50);
    model_run(&m, MODEL_ALL, 600, 16);
    assert_int_equal(m.errors, 0);
    assert_true(k.faults > 3 && k.recovered && k.faults >= k.recovered);
    assert_int_equal(k.below->kept, 0);
    assert_true(get(&host.interrupted) > 20);
    model_verify(&m);
    repair_host();
    assert_int_equal(keeper_close(&k), 0);
    check_image(format, &m);
    model_fini(&m);
}

static void test_full(void **state UNUSED)
{
    set(&host.cut, 0);
    full_again_and_again("raw", "", DISK_CACHE_NONE);
    full_again_and_again("raw", "", DISK_CACHE_WRITEBACK);
    full_again_and_again("qcow2", "", DISK_CACHE_NONE);
    full_again_and_again("qcow2", "-o cluster_size=4096", DISK_CACHE_WRITEBACK);
    /* The refcount table has to grow on the way. */
    full_again_and_again("qcow2", "-o cluster_size=512,refcount_bits=64", DISK_CACHE_NONE);
    assert_true(get(&host.cut) > 5);
}

#define GROWTH_FROM KIB(1920)
#define GROWTH_TO   KIB(2048)

static void write_range(struct keeper *k, uint64_t from, uint64_t to)
{
    uint8_t data[4096];

    for (; from < to; from += sizeof(data)) {
        memset(data, (int)(from >> 12) | 1, sizeof(data));
        assert_int_equal(do_one(k, DISK_WRITE, from, data), 0);
    }
    assert_int_equal(do_one(k, DISK_FLUSH, 0, NULL), 0);
}

static void check_range(const char *format, uint64_t from, uint64_t to)
{
    struct disk *disk = NULL;
    uint8_t data[4096];

    assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path, .format = format}), 0);
    for (; from < to; from += sizeof(data)) {
        assert_int_equal(disk_do(&loop, disk, DISK_READ, from, data, sizeof(data)), 0);
        assert_int_equal(data[0], (uint8_t)((from >> 12) | 1));
        assert_memory_equal(data, data + 1, sizeof(data) - 1);
    }
    assert_int_equal(disk_close(disk), 0);
}

/* Full at each of the moments in which a refcount table is outgrown and moved: no step is left half done. */
static void full_while_growing(bool whole)
{
    struct keeper k;
    int left;

    make_image("qcow2", "-o cluster_size=512,refcount_bits=64");
    keeper_open(&k, (struct disk_options){.cache = DISK_CACHE_UNSAFE});
    write_range(&k, 0, GROWTH_FROM);
    assert_int_equal(keeper_close(&k), 0);
    assert_int_equal(test_command("cp %s %s.before", path, path), 0);
    for (left = 1;; left++) {
        assert_int_equal(test_command("cp %s.before %s", path, path), 0);
        keeper_open(&k, (struct disk_options){.cache = DISK_CACHE_UNSAFE});
        set(&host.left, left);
        set(&host.whole, whole);
        k.plenty = true;
        write_range(&k, GROWTH_FROM, GROWTH_TO);
        if (!k.faults)
            break; /* there was room for all of it */
        repair_host();
        assert_int_equal(keeper_close(&k), 0);
        if (test_command("qemu-img check -f qcow2 %s", path))
            fail_msg("full after %d: %s", left, test_output());
        check_range("qcow2", GROWTH_FROM, GROWTH_TO);
    }
    assert_true(left > 40);
    repair_host();
    assert_int_equal(keeper_close(&k), 0);
}

static void test_full_while_growing(void **state UNUSED)
{
    repair_host();
    full_while_growing(false);
    full_while_growing(true);
}

/* Nothing but interruptions and short transfers. */
static void test_interrupted(void **state UNUSED)
{
    struct disk_model m;
    struct keeper k;

    repair_host();
    make_image("qcow2", "");
    keeper_open(&k, (struct disk_options){0});
    model_init(&m, &loop, &k.disk, NULL, SIZE, 22);
    set(&host.interrupts, true);
    model_run(&m, MODEL_ALL, 300, 8);
    assert_int_equal(m.errors + k.faults + k.reports, 0);
    assert_int_equal(keeper_close(&k), 0);
    check_image("qcow2", &m);
    model_fini(&m);
}

/* Numbers, flushed now and then; what was flushed is told. Ends when the disk is full and nobody makes room. */
static void child_writes(int pipe, int left)
{
    struct keeper k;
    uint64_t block[512];

    loop_init(&loop);
    keeper_open(&k, (struct disk_options){0});
    k.alone = true;
    set(&host.left, left);
    for (uint64_t i = 0;; i++) {
        for (unsigned j = 0; j < 512; j++)
            block[j] = i + 1;
        if (do_one(&k, DISK_WRITE, i * 1031 % 2048 * 4096, block))
            _exit(2);
        if (i % 7 == 6 && (do_one(&k, DISK_FLUSH, 0, NULL) || write(pipe, &i, 8) != 8))
            _exit(3);
    }
}

/* Until nothing comes any more: the child waits for room. */
static uint64_t told_until_full(int left)
{
    struct pollfd p = {.events = POLLIN};
    uint64_t last = UINT64_MAX;
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0)
        child_writes(fds[1], left);
    close(fds[1]);
    p.fd = fds[0];
    while (poll(&p, 1, 500) > 0 && read(fds[0], &last, 8) == 8)
        ;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status)); /* no request failed */
    close(fds[0]);
    return last;
}

static void test_killed_when_full(void **state UNUSED)
{
    uint64_t block[512];

    for (int left = 60; left < 400; left += 67) {
        struct disk *disk = NULL;
        uint64_t told;
        int status;

        repair_host();
        make_image("qcow2", left & 1 ? "-o cluster_size=4096" : "");
        told = told_until_full(left);
        status = test_command("qemu-img check -f qcow2 %s", path);
        if (status != 0 && status != 3)
            fail_msg("qemu-img check says %d: %s", status, test_output());
        assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path}), 0);
        for (uint64_t i = 0; told != UINT64_MAX && i <= told; i++) {
            assert_int_equal(disk_do(&loop, disk, DISK_READ, i * 1031 % 2048 * 4096, block, 4096), 0);
            assert_true(block[0] >= i + 1 && block[511] == block[0]);
        }
        assert_int_equal(disk_close(disk), 0);
    }
}

/* A guest that is reset, or a run that ends, with requests kept: they are gone, the image is whole, the loss is told. */
static void test_dropped(void **state UNUSED)
{
    struct disk_request request[3];
    struct keeper k;
    uint8_t data[4096] = {1};
    struct iovec iov = {data, sizeof(data)};

    repair_host();
    make_image("qcow2", "");
    keeper_open(&k, (struct disk_options){0});
    k.alone = true;
    assert_int_equal(do_one(&k, DISK_WRITE, 0, data), 0);
    assert_int_equal(do_one(&k, DISK_FLUSH, 0, NULL), 0);
    set(&host.left, 0);
    for (unsigned i = 0; i < 3; i++) {
        request[i] = (struct disk_request){
            .op = DISK_WRITE, .offset = MIB(1 + i), .bytes = sizeof(data), .iov = &iov, .iov_count = 1};
        disk_submit(&k.disk, &request[i]);
    }
    wait_until_kept(&k, 3);
    assert_int_equal(k.faults, 1); /* for all of them */
    assert_true(k.last.kept && k.last.err == -ENOSPC && k.last.op == DISK_WRITE);
    retry_all(&k);
    wait_until_kept(&k, 3);
    assert_int_equal(k.faults, 2);
    assert_int_equal(k.recovered, 0);
    drop_all(&k);
    assert_int_equal(k.recovered, 1);
    assert_int_equal(k.below->kept, 0);
    keeper_close(&k); /* still without room, so that it may fail */
    repair_host();
    assert_int_equal(test_command("qemu-img check -f qcow2 %s; s=$?; test $s = 0 -o $s = 3", path), 0);
    assert_int_equal(test_command("qemu-io -f qcow2 -c 'read -P 1 0 1' -c 'read -P 0 1M 3M' %s | grep -c failed", path), 1);
}

/* Which errors are kept, and what the watcher hears of the others. */
static void test_policy(void **state UNUSED)
{
    static const struct {
        struct disk_options options;
        enum disk_op op;
        int error;
        bool kept;
    } cases[] = {
        {{0}, DISK_WRITE, EIO, false},
        {{0}, DISK_WRITE, EDQUOT, true},
        {{0}, DISK_READ, EIO, false},
        {{.on_write_error = DISK_ON_ERROR_REPORT}, DISK_WRITE, ENOSPC, false},
        {{.on_write_error = DISK_ON_ERROR_STOP}, DISK_WRITE, EIO, true},
        {{.on_write_error = DISK_ON_ERROR_STOP}, DISK_READ, EIO, false},
        {{.on_read_error = DISK_ON_ERROR_STOP}, DISK_READ, EIO, true},
        {{.on_read_error = DISK_ON_ERROR_STOP}, DISK_WRITE, EIO, false},
    };
    uint8_t data[4096] = {0};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct disk_options options = cases[i].options;
        struct iovec iov = {data, sizeof(data)};
        struct disk_request request = {.op = cases[i].op, .bytes = sizeof(data), .iov = &iov, .iov_count = 1};
        struct keeper k;

        repair_host();
        make_image("raw", "");
        options.format = "raw";
        keeper_open(&k, options);
        k.alone = true;
        set(cases[i].op == DISK_READ ? &host.read_error : &host.write_error, cases[i].error);
        if (cases[i].kept) {
            disk_submit(&k.disk, &request);
            wait_until_kept(&k, 1);
            drop_all(&k);
        } else {
            assert_int_equal(do_one(&k, cases[i].op, 0, data), -cases[i].error);
            assert_int_equal(do_one(&k, cases[i].op, 0, data), -cases[i].error);
        }
        assert_int_equal(k.faults, cases[i].kept);
        assert_int_equal(k.reports, !cases[i].kept); /* one a second */
        assert_int_equal(k.last.err, -cases[i].error);
        assert_int_equal(k.below->counts[cases[i].op].failed, cases[i].kept ? 0 : 2);
        repair_host();
        assert_int_equal(keeper_close(&k), 0);
    }
}

/* What no host could do is the guest's own affair, whatever the policy; and without a watcher nothing is kept. */
static void test_never_kept(void **state UNUSED)
{
    uint8_t data[4096] = {0};
    struct keeper k;

    repair_host();
    make_image("raw", "");
    keeper_open(&k, (struct disk_options){.format = "raw", .on_write_error = DISK_ON_ERROR_STOP});
    assert_int_equal(do_one(&k, DISK_WRITE, SIZE, data), -EINVAL);
    assert_int_equal(k.faults + k.reports, 0);
    assert_int_equal(disk_watch(k.below, NULL), 0);
    set(&host.left, 0);
    assert_int_equal(do_one(&k, DISK_WRITE, 0, data), -ENOSPC);
    repair_host();
    assert_int_equal(keeper_close(&k), 0);
}

/* The kernel forgets what it could not write, so that only past the cache a sync may be tried again. */
static void test_sync(void **state UNUSED)
{
    uint8_t data[4096] = {0};
    struct keeper k;
    unsigned i;

    repair_host();
    make_image("raw", "");
    keeper_open(&k, (struct disk_options){.format = "raw", .cache = DISK_CACHE_WRITEBACK});
    for (i = 0; i < 3; i++) {
        assert_int_equal(do_one(&k, DISK_WRITE, 0, data), 0);
        set(&host.sync_error, i ? 0 : ENOSPC);
        assert_int_equal(do_one(&k, DISK_FLUSH, 0, NULL), -EIO);
    }
    assert_int_equal(k.faults, 0);
    keeper_close(&k);
    make_image("qcow2", "");
    keeper_open(&k, (struct disk_options){.cache = DISK_CACHE_NONE});
    for (i = 0; i < 3; i++) {
        assert_int_equal(do_one(&k, DISK_WRITE, MIB(i), data), 0);
        set(&host.sync_error, ENOSPC);
        assert_int_equal(do_one(&k, DISK_FLUSH, 0, NULL), 0);
    }
    assert_int_equal(k.faults, 3);
    assert_int_equal(k.recovered, 3);
    assert_int_equal(keeper_close(&k), 0);
    assert_int_equal(test_command("qemu-img check -f qcow2 %s", path), 0);
}

static void test_counts(void **state UNUSED)
{
    uint8_t data[4096] = {0};
    const struct disk_count *c;
    struct keeper k;

    repair_host();
    make_image("raw", "");
    keeper_open(&k, (struct disk_options){.format = "raw"});
    c = k.below->counts;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(do_one(&k, DISK_WRITE, i * 4096, data), 0);
    assert_int_equal(do_one(&k, DISK_READ, 0, data), 0);
    assert_int_equal(do_one(&k, DISK_FLUSH, 0, NULL), 0);
    assert_int_equal(do_one(&k, DISK_DISCARD, 0, NULL), 0);
    assert_int_equal(c[DISK_WRITE].operations, 5);
    assert_int_equal(c[DISK_WRITE].bytes, 5 * 4096);
    assert_int_equal(k.below->written_end, 5 * 4096);
    assert_int_equal(c[DISK_READ].operations, 1);
    assert_int_equal(c[DISK_FLUSH].operations, 1);
    assert_int_equal(c[DISK_DISCARD].bytes, 4096);
    assert_true(c[DISK_WRITE].nanoseconds > c[DISK_WRITE].operations);
    assert_int_equal(keeper_close(&k), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),    cmocka_unit_test(test_full_while_growing), cmocka_unit_test(test_interrupted), cmocka_unit_test(test_killed_when_full),
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_policy),      cmocka_unit_test(test_never_kept),
        cmocka_unit_test(test_sync),    cmocka_unit_test(test_counts),
    };
    int failed;

    loop_init(&loop);
    failed = cmocka_run_group_tests_name("disk_fault", tests, NULL, NULL);
    loop_fini(&loop);
    return failed;
}

#include "base/error.h"
#include "base/log.h"
#include "devices/disk/image.h"
#include "devices/disk/qcow2_create.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/write_log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE MIB(12)

static struct loop loop;
static const char *dir;

/* An image as qemu-img makes it. */
static const char *make_image(const char *options, uint64_t size)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/image.qcow2", dir);
    unlink(path);
    if (test_command("qemu-img create -q -f qcow2 %s %s %lu", options, path, (unsigned long)size))
        fail_msg("%s", test_output());
    return path;
}

static struct disk *open_disk(const char *path, struct disk_options options)
{
    struct disk *disk = NULL;

    options.path = path;
    if (disk_open(&disk, &loop, &options))
        fail_msg("%s", fail_text());
    return disk;
}

/* 0: fine; 3: leaks only. */
static void check_image(const char *path, bool leaks_allowed)
{
    int status = test_command("qemu-img check -f qcow2 %s", path);

    if (status != 0 && !(status == 3 && leaks_allowed))
        fail_msg("qemu-img check says %d: %s", status, test_output());
}

/* What QEMU reads from the image is what the model holds. */
static void check_content(const char *path, const struct disk_model *m)
{
    char raw[300];
    int fd;

    snprintf(raw, sizeof(raw), "%s/model.raw", dir);
    fd = open(raw, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(write(fd, m->data, m->size), m->size);
    close(fd);
    if (test_command("qemu-img compare -f raw -F qcow2 %s %s", raw, path))
        fail_msg("%s", test_output());
}

/* A few rounds of random requests, each ended by closing, checking and comparing. */
static void rounds(const char *path, const void *content, uint64_t size, unsigned requests,
                   unsigned depth)
{
    struct disk_model m;

    model_init(&m, &loop, NULL, content, size, 5);
    for (unsigned round = 0; round < 2; round++) {
        m.disk = open_disk(
            path, (struct disk_options){.cache = round ? DISK_CACHE_WRITEBACK : DISK_CACHE_NONE});
        assert_int_equal(m.disk->size, size);
        model_run(&m, MODEL_ALL, requests, depth);
        model_verify(&m);
        assert_int_equal(m.errors, 0);
        assert_int_equal(disk_close(m.disk), 0);
        check_image(path, false);
        check_content(path, &m);
    }
    model_fini(&m);
}

static void test_cluster_sizes(void **state UNUSED)
{
    static const char *const options[] = {
        "-o cluster_size=65536",
        "-o cluster_size=65536,compat=0.10",
        "-o cluster_size=4096,refcount_bits=64",
        "-o cluster_size=512,refcount_bits=1",
        "-o cluster_size=512,compat=0.10",
        "-o cluster_size=2097152,refcount_bits=8",
        "-o cluster_size=65536,lazy_refcounts=on",
        "-o preallocation=metadata",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        rounds(make_image(options[i], SIZE), NULL, SIZE, 500, 16);
}

/* A disk with content for others to be laid over or made of. */
static uint8_t *make_content(uint64_t size, const char *name)
{
    uint8_t *data = calloc(1, size);
    char path[300];
    int fd;

    for (uint64_t at = 0; at < size; at += 4096)
        if ((at / 65536) % 3)
            for (uint64_t i = 0; i < 4096; i += 8)
                data[at + i] = (uint8_t)(at / 4096 + i * 7);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
    return data;
}

static void test_compressed(void **state UNUSED)
{
    static const char *const options[] = {"", ",compression_type=zstd", ",cluster_size=4096",
                                          ",cluster_size=2M,compression_type=zstd", ",compat=0.10"};
    uint8_t *data = make_content(SIZE, "content.raw");
    char path[300];

    snprintf(path, sizeof(path), "%s/compressed.qcow2", dir);
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        assert_int_equal(test_command("qemu-img convert -c -f raw -O qcow2 -o preallocation=off%s "
                                      "%s/content.raw %s",
                                      options[i], dir, path),
                         0);
        rounds(path, data, SIZE, 300, 16);
    }
    free(data);
}

static void test_backing(void **state UNUSED)
{
    uint8_t *data = make_content(SIZE / 2, "base.raw"), *whole = calloc(1, SIZE);
    const char *path;

    memcpy(whole, data, SIZE / 2);
    path = make_image("-b base.raw -F raw", SIZE);
    rounds(path, whole, SIZE, 400, 16);
    assert_int_equal(
        test_command("cd %s && qemu-img convert -c -f raw -O qcow2 base.raw base.qcow2 && "
                     "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2 8M && "
                     "qemu-io -f qcow2 -c 'write -P 77 5M 2M' middle.qcow2",
                     dir),
        0);
    memset(whole + MIB(5), 77, MIB(2));
    rounds(make_image("-o cluster_size=4096 -b middle.qcow2 -F qcow2", SIZE), whole, SIZE, 400, 16);
    rounds(make_image("-o compat=0.10 -b middle.qcow2 -F qcow2", SIZE), whole, SIZE, 400, 16);
    free(data);
    free(whole);
}

/* Clusters that an internal snapshot shares are copied, and the snapshot keeps its content. */
static void test_internal_snapshots(void **state UNUSED)
{
    const char *path = make_image("", SIZE);
    struct disk_model m;

    model_init(&m, &loop, open_disk(path, (struct disk_options){0}), NULL, SIZE, 21);
    model_run(&m, MODEL_ALL, 200, 8);
    assert_int_equal(disk_close(m.disk), 0);
    assert_int_equal(test_command("qemu-img snapshot -c one %s", path), 0);
    check_content(path, &m);
    assert_int_equal(test_command("cp %s/model.raw %s/before.raw", dir, dir), 0);
    m.disk = open_disk(path, (struct disk_options){0});
    model_run(&m, MODEL_ALL, 300, 16);
    assert_int_equal(disk_close(m.disk), 0);
    check_image(path, false);
    check_content(path, &m);
    assert_int_equal(
        test_command("qemu-img snapshot -a one %s && qemu-img compare %s %s/before.raw", path, path,
                     dir),
        0);
    model_fini(&m);
}

static void test_overlay_is_lost(void **state UNUSED)
{
    uint8_t *data = make_content(SIZE, "plain.raw");
    struct disk_model m;
    char path[300];

    snprintf(path, sizeof(path), "%s/plain.raw", dir);
    for (unsigned i = 0; i < 2; i++) {
        model_init(&m, &loop, open_disk(path, (struct disk_options){.snapshot = true}), data, SIZE,
                   3 + i);
        assert_false(m.disk->read_only);
        model_run(&m, MODEL_ALL, 400, 16);
        model_verify(&m);
        assert_int_equal(disk_close(m.disk), 0);
        model_fini(&m);
    }
    assert_int_equal(test_command("cd %s && cmp plain.raw content.raw", dir), 0);
    free(data);
}

/* Growing: the refcount table has room for one block at first, and is moved more than once. */
static void test_refcount_growth(void **state UNUSED)
{
    const char *path = make_image("-o cluster_size=512,refcount_bits=64", MIB(64));
    struct disk_model m;
    uint8_t *data = malloc(MIB(1));

    memset(data, 0x5a, MIB(1));
    model_init(&m, &loop, open_disk(path, (struct disk_options){.cache = DISK_CACHE_UNSAFE}), NULL,
               MIB(64), 9);
    for (uint64_t at = 0; at < MIB(64); at += MIB(2)) {
        assert_int_equal(disk_do(&loop, m.disk, DISK_WRITE, at, data, MIB(1)), 0);
        memcpy(m.data + at, data, MIB(1));
    }
    model_run(&m, MODEL_ALL, 300, 16);
    assert_int_equal(disk_close(m.disk), 0);
    check_image(path, false);
    check_content(path, &m);
    model_fini(&m);
    free(data);
}

/* What was discarded is given back to the file system and used again. */
static void test_discard_frees(void **state UNUSED)
{
    const char *path = make_image("", MIB(64));
    struct disk *disk = open_disk(path, (struct disk_options){0});
    uint8_t *data = malloc(MIB(16));

    memset(data, 1, MIB(16));
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(disk_do(&loop, disk, DISK_WRITE, round * MIB(8), data, MIB(16)), 0);
        assert_int_equal(disk_do(&loop, disk, DISK_DISCARD, round * MIB(8), NULL, MIB(16)), 0);
        assert_int_equal(disk_do(&loop, disk, DISK_FLUSH, 0, NULL, 0), 0);
    }
    assert_int_equal(disk_close(disk), 0);
    check_image(path, false);
    assert_int_equal(
        test_command("test $(stat -c %%s %s) -lt 60000000 && test $(du -k %s | cut -f1) -lt 4000",
                     path, path),
        0);
    free(data);
}

static void test_discard_ignored(void **state UNUSED)
{
    const char *path = make_image("", MIB(4));
    struct disk *disk = open_disk(path, (struct disk_options){.ignore_discard = true});
    uint8_t *data = malloc(MIB(4));

    memset(data, 1, MIB(4));
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 0, data, MIB(4)), 0);
    assert_int_equal(disk_do(&loop, disk, DISK_DISCARD, 0, NULL, MIB(2)), 0);
    assert_int_equal(disk_do(&loop, disk, DISK_ZERO, MIB(2), NULL, MIB(2)), 0);
    assert_int_equal(disk_close(disk), 0);
    check_image(path, false);
    assert_int_equal(
        test_command("test $(du -k %s | cut -f1) -ge 4096 && qemu-io -f qcow2 -c 'read -P 1 0 2M' "
                     "-c 'read -P 0 2M 2M' %s | grep -qv failed",
                     path, path),
        0);
    free(data);
}

/* Errors from below, in data and metadata: the image stays whole, and the disk says what is true. */
struct faults {
    unsigned count, every;
    int error;
    unsigned kinds;
};

static int fault(void *opaque, struct io_op *op)
{
    struct faults *f = opaque;

    return (f->kinds >> op->kind & 1) && ++f->count % f->every == 0 ? f->error : 0;
}

static void test_errors(void **state UNUSED)
{
    static const struct faults all[] = {
        {0, 23, -ENOSPC, 1u << IO_WRITE | 1u << IO_ALLOCATE},
        {0, 31, -EIO, 1u << IO_WRITE | 1u << IO_READ | 1u << IO_SYNC},
        {0, 3, -EIO, 1u << IO_SYNC},
        {0, 2, 4096, 1u << IO_WRITE | 1u << IO_READ},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        const char *path = make_image(i & 1 ? "-o cluster_size=4096" : "", SIZE);
        struct faults f = all[i];
        struct disk_model m;

        model_init(&m, &loop, open_disk(path, (struct disk_options){0}), NULL, SIZE, 40 + i);
        io_set_fault(disk_io(m.disk), fault, &f);
        model_run(&m, MODEL_ALL, 400, 16);
        io_set_fault(disk_io(m.disk), NULL, NULL);
        assert_true(f.error > 0 ? m.errors == 0 : m.errors > 3);
        model_verify(&m);
        assert_int_equal(disk_close(m.disk), 0);
        check_image(path, true);
        check_content(path, &m);
        model_fini(&m);
    }
}

/* Power failure at any moment: of what was written since the last sync, any part may have reached the disk. */
static void test_power_failure(void **state UNUSED)
{
    struct write_log log;
    char start[300];
    struct disk_model m;
    const char *path = make_image("-o cluster_size=4096", MIB(4));

    snprintf(start, sizeof(start), "%s/start.qcow2", dir);
    assert_int_equal(test_command("cp %s %s", path, start), 0);
    model_init(&m, &loop, open_disk(path, (struct disk_options){.cache = DISK_CACHE_WRITEBACK}),
               NULL, MIB(4), 77);
    m.max_bytes = KIB(64);
    write_log_start(&log, disk_io(m.disk));
    model_run(&m, MODEL_ALL, 800, 8);
    assert_int_equal(disk_close(m.disk), 0);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(test_command("cp %s %s", start, path), 0);
        write_log_replay(&log, path, (unsigned)rand() % log.clock, i);
        check_image(path, true);
    }
    write_log_free(&log);
    model_fini(&m);
}

/* kill -9: a child writes numbers, flushes, and tells us; all that it told us must be there. */
static void child_writes(const char *path, int pipe)
{
    struct disk *disk;
    uint64_t block[512];

    loop_init(&loop);
    if (disk_open(&disk, &loop, &(struct disk_options){.path = path}))
        _exit(1);
    for (uint64_t i = 0;; i++) {
        for (unsigned j = 0; j < 512; j++)
            block[j] = i + 1;
        if (disk_do(&loop, disk, DISK_WRITE, i * 12289 % 3000 * 4096, block, 4096))
            _exit(2);
        if (i % 7 == 6 && (disk_do(&loop, disk, DISK_FLUSH, 0, NULL, 0) || write(pipe, &i, 8) != 8))
            _exit(3);
    }
}

static uint64_t told_until_killed(const char *path, unsigned delay)
{
    uint64_t last = 0, i;
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0)
        child_writes(path, fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &last, 8), 8);
    usleep(delay);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(fds[0], &i, 8) == 8)
        last = i;
    close(fds[0]);
    return last;
}

static struct disk *open_after_kill(const char *path)
{
    struct disk *disk = NULL;

    /* The kernel may still be taking down the dead process' ring, and hold its lock. */
    for (int i = 0; i < 500 && disk_open(&disk, &loop, &(struct disk_options){.path = path}); i++)
        usleep(10000);
    if (!disk)
        fail_msg("%s", fail_text());
    return disk;
}

static void test_kill(void **state UNUSED)
{
    for (unsigned round = 0; round < 5; round++) {
        const char *path = make_image(round & 1 ? "-o cluster_size=4096" : "", SIZE);
        uint64_t told = told_until_killed(path, 3000 + round * 7919), block[512];
        struct disk *disk = open_after_kill(path);

        for (uint64_t i = told > 2000 ? told - 2000 : 0; i <= told; i++) {
            assert_int_equal(disk_do(&loop, disk, DISK_READ, i * 12289 % 3000 * 4096, block, 4096),
                             0);
            assert_true(block[0] >= i + 1 && block[511] == block[0]);
        }
        assert_int_equal(disk_close(disk), 0);
        check_image(path, true);
    }
}

/* What qemu-img check makes of images of our own making. */
static void test_create(void **state UNUSED)
{
    static const struct qcow2_parameters all[] = {
        {.size = 0},
        {.size = GIB(100)},
        {.size = SIZE, .version = 2},
        {.size = GIB(1), .cluster_bits = 9, .refcount_bits = 64},
        {.size = GIB(4000), .cluster_bits = 21, .refcount_bits = 1},
        {.size = SIZE, .backing = "content.raw", .backing_format = "raw"},
    };
    char path[300];

    snprintf(path, sizeof(path), "%s/created.qcow2", dir);
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        struct disk_file file = {.fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600)};
        struct disk *disk;

        assert_int_equal(qcow2_create(&file, &all[i]), 0);
        disk_file_close(&file);
        check_image(path, false);
        disk = open_disk(path, (struct disk_options){0});
        assert_int_equal(disk->size, all[i].size);
        assert_int_equal(disk_close(disk), 0);
    }
}

/* The dirty bit: refcounts are rebuilt before the image is used. */
static void test_dirty_image_is_repaired(void **state UNUSED)
{
    const char *path = make_image("-o lazy_refcounts=on,cluster_size=4096", SIZE);
    struct disk *disk;
    uint8_t block[512];

    /* qemu-io that aborts leaves the refcounts behind. */
    test_command("ulimit -c 0; qemu-io -f qcow2 -c 'write -P 3 1M 1M' -c flush -c abort %s", path);
    test_command("qemu-img check -f qcow2 %s", path);
    disk = open_disk(path, (struct disk_options){0});
    assert_int_equal(disk_do(&loop, disk, DISK_READ, MIB(1), block, 512), 0);
    assert_int_equal(block[5], 3);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, MIB(5), block, 512), 0);
    assert_int_equal(disk_close(disk), 0);
    check_image(path, false);
    assert_int_equal(test_command("qemu-img info -f qcow2 %s | grep -q 'corrupt: false'", path), 0);
}

static int setup(void **state UNUSED)
{
    log_set_level(LOG_ERROR);
    dir = test_directory();
    return loop_init(&loop);
}

static int teardown(void **state UNUSED)
{
    loop_fini(&loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster_sizes),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_backing),
        cmocka_unit_test(test_internal_snapshots),
        cmocka_unit_test(test_overlay_is_lost),
        cmocka_unit_test(test_refcount_growth),
        cmocka_unit_test(test_discard_frees),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_discard_ignored),
        cmocka_unit_test(test_power_failure),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_dirty_image_is_repaired),
    };

    return cmocka_run_group_tests_name("disk_qcow2", tests, setup, teardown);
}

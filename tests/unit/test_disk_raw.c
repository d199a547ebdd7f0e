#include "base/error.h"
#include "devices/disk/image.h"
#include "devices/disk/lock.h"
#include "tests/lib/disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE MIB(8)

static struct loop loop;
static char path[256];

static void make_file(const char *name, uint64_t size)
{
    int fd;

    snprintf(path, sizeof(path), "%s/%s", test_directory(), name);
    unlink(path);
    fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static void put_bytes(off_t at, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static struct disk *open_disk(struct disk_options options, enum io_backend backend)
{
    struct disk *disk = NULL;

    options.path = path;
    if (disk_open_with(&disk, &loop, &options, backend))
        fail_msg("%s", fail_text());
    return disk;
}

static void check_file_equals(const struct disk_model *m)
{
    uint8_t *got = malloc(m->size);
    int fd = open(path, O_RDONLY);

    assert_int_equal(read(fd, got, m->size), m->size);
    assert_memory_equal(got, m->data, m->size);
    close(fd);
    free(got);
}

static void random_requests(enum io_backend backend, int cache)
{
    struct disk_options options = {.format = "raw"};
    struct disk_model m;
    struct disk *disk;

    options.cache = cache;
    make_file("random.raw", SIZE);
    disk = open_disk(options, backend);
    assert_string_equal(io_backend_name(disk_io(disk)),
                        backend == IO_URING ? "io_uring" : "threads");
    model_init(&m, &loop, disk, NULL, SIZE, 7);
    model_run(&m, MODEL_ALL, 1500, 16);
    model_verify(&m);
    assert_int_equal(m.errors, 0);
    assert_int_equal(disk_close(disk), 0);
    check_file_equals(&m);
    model_fini(&m);
}

static void test_random_uring(void **state UNUSED)
{
    random_requests(IO_URING, DISK_CACHE_NONE);
    random_requests(IO_URING, DISK_CACHE_WRITEBACK);
}

static void test_random_threads(void **state UNUSED)
{
    random_requests(IO_THREADS, DISK_CACHE_NONE);
    random_requests(IO_THREADS, DISK_CACHE_UNSAFE);
}

/* Every transfer is cut short somewhere. */
static int cut_short(void *opaque, struct io_op *op UNUSED)
{
    unsigned *n = opaque;

    return (int)(1 + (*n += 977) % 9000);
}

static void test_short_transfers(void **state UNUSED)
{
    struct disk_model m;
    struct disk *disk;
    unsigned n = 0;

    make_file("short.raw", SIZE);
    disk = open_disk((struct disk_options){.format = "raw"}, IO_URING);
    io_set_fault(disk_io(disk), cut_short, &n);
    model_init(&m, &loop, disk, NULL, SIZE, 11);
    model_run(&m, MODEL_READ | MODEL_WRITE, 800, 8);
    model_verify(&m);
    assert_int_equal(m.errors, 0);
    assert_int_equal(disk_close(disk), 0);
    check_file_equals(&m);
    model_fini(&m);
}

static int fail_some(void *opaque, struct io_op *op)
{
    unsigned *n = opaque;

    return (*n += 1) % 7 == 0 ? (op->kind == IO_WRITE ? -ENOSPC : -EIO) : 0;
}

static void test_errors_reach_the_guest(void **state UNUSED)
{
    struct disk_model m;
    struct disk *disk;
    unsigned n = 0;

    make_file("errors.raw", SIZE);
    disk = open_disk((struct disk_options){.format = "raw"}, IO_URING);
    io_set_fault(disk_io(disk), fail_some, &n);
    model_init(&m, &loop, disk, NULL, SIZE, 13);
    model_run(&m, MODEL_ALL, 500, 8);
    assert_true(m.errors > 20);
    io_set_fault(disk_io(disk), NULL, NULL);
    model_verify(&m);
    assert_int_equal(disk_close(disk), 0);
    model_fini(&m);
}

/* Sizes that are no multiple of a sector, and the end of the file. */
static void test_odd_size(void **state UNUSED)
{
    uint8_t buffer[2 * DISK_SECTOR];
    struct disk *disk;

    make_file("odd.raw", 1000);
    put_bytes(999, "x", 1);
    disk = open_disk((struct disk_options){.format = "raw"}, IO_AUTO);
    assert_int_equal(disk->size, 1024);
    memset(buffer, 0xaa, sizeof(buffer));
    assert_int_equal(disk_do(&loop, disk, DISK_READ, 0, buffer, 1024), 0);
    assert_int_equal(buffer[999], 'x');
    assert_int_equal(buffer[1000], 0);
    assert_int_equal(buffer[1023], 0);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 512, buffer, 512), 0);
    assert_int_equal(disk_close(disk), 0);
}

static void test_bad_requests(void **state UNUSED)
{
    uint8_t buffer[1024];
    struct disk *disk;

    make_file("bad.raw", SIZE);
    disk = open_disk((struct disk_options){.format = "raw", .read_only = true}, IO_AUTO);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, 1, buffer, 512), -EINVAL);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, 0, buffer, 511), -EINVAL);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, SIZE, buffer, 512), -EINVAL);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, SIZE - 512, buffer, 1024), -EINVAL);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, UINT64_MAX - 511, buffer, 512), -EINVAL);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, 0, buffer, UINT64_MAX - 511), -EINVAL);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 0, buffer, 512), -EROFS);
    assert_int_equal(disk_do(&loop, disk, DISK_DISCARD, 0, NULL, 512), -EROFS);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, 0, buffer, 0), 0);
    assert_int_equal(disk_do(&loop, disk, DISK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(disk_close(disk), 0);
}

/* Closing waits for what is in flight. */
static void count_done(struct disk_request *request, int result)
{
    assert_int_equal(result, 0);
    ++*(unsigned *)request->driver;
}

static void test_close_waits(void **state UNUSED)
{
    static uint8_t buffer[65536];
    struct disk_request requests[400];
    struct iovec iov = {buffer, sizeof(buffer)};
    unsigned done = 0;
    struct disk *disk;

    make_file("close.raw", MIB(32));
    for (int backend = IO_URING; backend <= IO_THREADS; backend++) {
        disk = open_disk((struct disk_options){.format = "raw"}, (enum io_backend)backend);
        done = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
            requests[i] = (struct disk_request){.op = DISK_WRITE,
                                                .offset = i * sizeof(buffer),
                                                .bytes = sizeof(buffer),
                                                .iov = &iov,
                                                .iov_count = 1,
                                                .done = count_done,
                                                .driver = &done};
            disk_submit(disk, &requests[i]);
        }
        assert_int_equal(done, 0);
        assert_int_equal(disk_close(disk), 0);
        assert_int_equal(done, ARRAY_SIZE(requests));
    }
}

static void refused(struct disk_options options, int err, const char *word)
{
    struct disk *disk = NULL;

    assert_int_equal(disk_open(&disk, &loop, &options), err);
    if (!strstr(fail_text(), word) || !strstr(fail_text(), "disk '"))
        fail_msg("'%s' does not say '%s'", fail_text(), word);
}

static void test_faults_have_words(void **state UNUSED)
{
    char name[300];

    refused((struct disk_options){.path = "/nonexistent/x.qcow2"}, -ENOENT, "does not exist");
    refused((struct disk_options){.path = test_directory()}, -EISDIR, "is a directory");
    refused((struct disk_options){.path = "/dev/null"}, -EINVAL,
            "neither a file nor a block device");
    snprintf(name, sizeof(name), "%s/fifo", test_directory());
    assert_int_equal(mkfifo(name, 0600), 0);
    refused((struct disk_options){.path = name}, -EINVAL, "neither a file nor a block device");
}

static void test_other_formats_are_named(void **state UNUSED)
{
    static const struct {
        const char *name;
        off_t at;
        const char *magic;
    } formats[] = {{"vmdk", 0, "KDMV"},
                   {"vdi", 64, "\x7f\x10\xda\xbe"},
                   {"vhdx", 0, "vhdxfile"},
                   {"vpc", 0, "conectix"},
                   {"luks", 0, "LUKS\xba\xbe"}};

    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        make_file("other", SIZE);
        put_bytes(formats[i].at, formats[i].magic, strlen(formats[i].magic));
        refused((struct disk_options){.path = path}, -ENOTSUP, formats[i].name);
    }
    make_file("qed", SIZE);
    put_bytes(0, "QED\0", 4);
    refused((struct disk_options){.path = path}, -ENOTSUP, "qed");
}

static void test_guest_cannot_forge_a_header(void **state UNUSED)
{
    uint8_t buffer[4096] = "QFI\xfb";
    struct disk *disk;

    make_file("forge.raw", SIZE);
    disk = open_disk((struct disk_options){0}, IO_AUTO);
    assert_string_equal(disk->ops->format, "raw");
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 0, buffer, 4096), -EPERM);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 512, buffer, 4096), 0);
    buffer[0] = 0;
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 0, buffer, 4096), 0);
    assert_int_equal(disk_close(disk), 0);
    buffer[0] = 'Q';
    disk = open_disk((struct disk_options){.format = "raw"}, IO_AUTO);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, 0, buffer, 4096), 0);
    assert_int_equal(disk_close(disk), 0);
}

static void test_lock_against_ourselves(void **state UNUSED)
{
    struct disk_hold *hold;
    struct disk *disk, *second;

    make_file("lock.raw", SIZE);
    disk = open_disk((struct disk_options){.format = "raw"}, IO_AUTO);
    refused((struct disk_options){.path = path, .format = "raw"}, -EBUSY,
            "in use by another process");
    refused((struct disk_options){.path = path, .format = "raw", .read_only = true}, -EBUSY,
            "that writes to it");
    disk_close(disk);
    disk = open_disk((struct disk_options){.format = "raw", .read_only = true}, IO_AUTO);
    second = open_disk((struct disk_options){.format = "raw", .read_only = true}, IO_AUTO);
    refused((struct disk_options){.path = path, .format = "raw"}, -EBUSY, "only reads it");
    disk_close(disk);
    disk_close(second);
    assert_int_equal(disk_hold_create(&hold, &(struct disk_options){.path = path, .format = "raw"}, NULL),
                     0);
    refused((struct disk_options){.path = path, .format = "raw"}, -EBUSY, "that writes to it");
    disk = open_disk((struct disk_options){.format = "raw", .no_lock = true}, IO_AUTO);
    disk_close(disk);
    disk_hold_destroy(hold);
}

/* A qemu-io that has the image open until its standard input ends. */
static FILE *qemu_io(void)
{
    char command[512];
    FILE *p;

    snprintf(command, sizeof(command), "qemu-io -f raw %s >%s.out 2>&1", path, path);
    p = popen(command, "w");
    assert_non_null(p);
    fputs("read 0 512\n", p);
    fflush(p);
    for (int i = 0; i < 500 && test_command("grep -q 'ops' %s.out", path); i++)
        usleep(10000);
    return p;
}

/* The server that was told to end takes a moment. */
static struct disk *open_when_free(void)
{
    struct disk_options options = {.path = path, .format = "raw"};
    struct disk *disk = NULL;

    for (int i = 0; i < 1000 && disk_open(&disk, &loop, &options); i++)
        usleep(10000);
    assert_non_null(disk);
    return disk;
}

static void test_lock_against_qemu(void **state UNUSED)
{
    struct disk *disk;
    FILE *p;

    make_file("qemu.raw", SIZE);
    p = qemu_io();
    refused((struct disk_options){.path = path, .format = "raw"}, -EBUSY, "that writes to it");
    refused((struct disk_options){.path = path, .format = "raw", .read_only = true}, -EBUSY,
            "that writes to it");
    pclose(p);
    /* A server for readers; qemu-io -r itself would put up with writers. */
    assert_int_equal(test_command("qemu-nbd -r -t -f raw -k %s.sock --fork --pid-file %s.pid %s",
                                  path, path, path),
                     0);
    refused((struct disk_options){.path = path, .format = "raw"}, -EBUSY, "only reads it");
    disk = open_disk((struct disk_options){.format = "raw", .read_only = true}, IO_AUTO);
    disk_close(disk);
    assert_int_equal(test_command("kill -9 $(cat %s.pid)", path), 0);

    disk = open_when_free();
    assert_int_equal(test_command("qemu-io -f raw -c 'write 0 512' %s", path), 1);
    assert_non_null(strstr(test_output(), "lock"));
    assert_int_equal(test_command("qemu-img convert -f raw -O raw %s %s.copy", path, path), 1);
    assert_non_null(strstr(test_output(), "lock"));
    disk_close(disk);
    assert_int_equal(test_command("qemu-io -f raw -c 'write 0 512' %s", path), 0);
    disk = open_disk((struct disk_options){.format = "raw", .read_only = true}, IO_AUTO);
    assert_int_equal(test_command("qemu-io -f raw -c 'write 0 512' %s", path), 1);
    assert_int_equal(test_command("qemu-io -r -f raw -c 'read 0 512' %s", path), 0);
    disk_close(disk);
}

static int setup(void **state UNUSED)
{
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
        cmocka_unit_test(test_random_uring),
        cmocka_unit_test(test_random_threads),
        cmocka_unit_test(test_short_transfers),
        cmocka_unit_test(test_errors_reach_the_guest),
        cmocka_unit_test(test_odd_size),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_close_waits),
        cmocka_unit_test(test_faults_have_words),
        cmocka_unit_test(test_other_formats_are_named),
        cmocka_unit_test(test_guest_cannot_forge_a_header),
        cmocka_unit_test(test_lock_against_ourselves),
        cmocka_unit_test(test_lock_against_qemu),
    };

    return cmocka_run_group_tests_name("disk_raw", tests, setup, teardown);
}

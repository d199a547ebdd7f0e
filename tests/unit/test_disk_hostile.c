/* Images that are damaged or made to do harm: an error with words, soon, and in little memory. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "devices/disk/job.h"
#include "devices/disk/qcow2_create.h"
#include "devices/disk/qcow2_tool.h"
#include "tests/lib/disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE      MIB(4)
#define CLUSTER   4096
#define L1_OFFSET (3 * CLUSTER) /* header, refcount table, refcount block, L1 table */
#define REF_BLOCK (2 * CLUSTER)

/* A sanitizer takes several times the memory and time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMITS_HOLD false
#else
#define LIMITS_HOLD true
#endif

static struct loop loop;
static const char *dir;
static char path[256];

static void put(uint64_t offset, unsigned bytes, uint64_t value)
{
    uint8_t b[8];
    int fd = open(path, O_WRONLY);

    store_be64(b, value);
    assert_int_equal(pwrite(fd, b + 8 - bytes, bytes, (off_t)offset), bytes);
    close(fd);
}

static void put_text(uint64_t offset, const char *text)
{
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, text, strlen(text), (off_t)offset), strlen(text));
    close(fd);
}

static void create(const struct qcow2_parameters *p)
{
    struct disk_file file;

    snprintf(path, sizeof(path), "%s/hostile.qcow2", dir);
    file = (struct disk_file){.fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600)};
    assert_int_equal(qcow2_create(&file, p), 0);
    disk_file_close(&file);
}

/* An image with data in its first clusters: the L2 table is at cluster 4, the data behind it. */
static void create_used(void)
{
    struct disk *disk;
    uint8_t block[CLUSTER];

    create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
    assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path}), 0);
    memset(block, 0x11, sizeof(block));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(disk_do(&loop, disk, DISK_WRITE, i * CLUSTER, block, CLUSTER), 0);
    assert_int_equal(disk_close(disk), 0);
}

static uint64_t l2_offset(void)
{
    uint8_t b[8];
    int fd = open(path, O_RDONLY);

    assert_int_equal(pread(fd, b, 8, L1_OFFSET), 8);
    close(fd);
    return load_be64(b) & UINT64_C(0x00fffffffffffe00);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void refused_as(struct disk_options options, const char *word)
{
    struct disk *disk = NULL;
    const char *text;

    options.path = options.path ? options.path : path;
    assert_true(disk_open(&disk, &loop, &options) < 0);
    text = fail_text();
    if (!strstr(text, word) || !strstr(text, "disk '") || strlen(text) > 480)
        fail_msg("'%s' does not say '%s'", text, word);
}

static const struct {
    uint64_t offset;
    unsigned bytes;
    uint64_t value;
    const char *word;
} bad_headers[] = {
    {4, 4, 4, "unknown version"},
    {4, 4, 0xffffffff, "unknown version"},
    {20, 4, 8, "cluster size"},
    {20, 4, 22, "cluster size"},
    {20, 4, 0xffffffff, "cluster size"},
    {24, 8, UINT64_MAX, "size is beyond all limits"},
    {24, 8, INT64_MAX, "size is beyond all limits"},
    {24, 8, SIZE * 1000, "L1 table is too small"},
    {32, 4, 1, "encryption"},
    {32, 4, 2, "encryption"},
    {36, 4, 0xffffffff, "L1 table is larger than 32 MiB"},
    {36, 4, 0, "L1 table is too small"},
    {40, 8, 1, "the L1 table is at an impossible offset"},
    {40, 8, 0, "the L1 table is at an impossible offset"},
    {40, 8, CLUSTER * 1000, "truncated: the L1 table lies beyond the end"},
    {40, 8, UINT64_C(1) << 63, "truncated: the L1 table lies beyond the end"},
    {48, 8, 7, "the refcount table is at an impossible offset"},
    {48, 8, -(uint64_t)CLUSTER, "truncated: the refcount table lies beyond the end"},
    {56, 4, 0, "no refcount table"},
    {56, 4, 0xffffffff, "refcount table is larger than 8 MiB"},
    {60, 4, 0xffffffff, "internal snapshots"},
    {64, 8, 5, NULL}, /* without snapshots nobody looks */
    {72, 8, 4, "external data file"},
    {72, 8, 8, "contradict"},
    {72, 8, 16, "extended L2"},
    {72, 8, UINT64_C(1) << 40, "feature 40"},
    {72, 8, 2, "marked corrupt"},
    {96, 4, 7, "refcounts are wider"},
    {96, 4, 0xffffffff, "refcounts are wider"},
    {100, 4, 103, "header length"},
    {100, 4, 0xffffffff, "header length"},
    {104, 8, UINT64_C(0xe2792acaffffffff), "extension is longer"},
    {104, 8, UINT64_C(0x0537be7700000000), "encryption"},
    {8, 8, CLUSTER, "backing file's name is at an impossible place"},
};

static void test_bad_headers(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bad_headers); i++) {
        struct disk *disk;

        create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
        if (bad_headers[i].offset == 8)
            put(16, 4, 10);
        put(bad_headers[i].offset, bad_headers[i].bytes, bad_headers[i].value);
        if (bad_headers[i].word) {
            refused_as((struct disk_options){0}, bad_headers[i].word);
            continue;
        }
        assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path}), 0);
        disk_close(disk);
    }
}

static void test_feature_names(void **state UNUSED)
{
    create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
    put(72, 8, UINT64_C(1) << 40);
    put(104, 8, UINT64_C(0x6803f85700000030));
    put(112, 2, 0x0028);
    put_text(114, "time \x1b travel");
    refused_as((struct disk_options){0}, "the feature 'time ? travel'");
}

static void test_truncated(void **state UNUSED)
{
    static const off_t sizes[] = {4, 71, 100, CLUSTER, 2 * CLUSTER, 3 * CLUSTER};

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
        assert_int_equal(truncate(path, sizes[i]), 0);
        refused_as((struct disk_options){0}, "truncated");
    }
}

static int with_disk(enum disk_op op, bool read_only)
{
    uint8_t block[CLUSTER] = {0};
    struct disk *disk;
    int err = disk_open(&disk, &loop, &(struct disk_options){.path = path, .read_only = read_only});

    if (err)
        return err;
    err = disk_do(&loop, disk, op, 0, block, CLUSTER);
    disk_close(disk);
    return err;
}

static bool marked_corrupt(void)
{
    uint8_t b[8];
    int fd = open(path, O_RDONLY);

    assert_int_equal(pread(fd, b, 8, 72), 8);
    close(fd);
    return load_be64(b) & 2;
}

/* L1 entries that lead into the header, a table, nowhere. */
static void test_bad_l1(void **state UNUSED)
{
    static const uint64_t entries[] = {512,
                                       CLUSTER,
                                       REF_BLOCK,
                                       L1_OFFSET,
                                       CLUSTER * 100,
                                       CLUSTER * 5 + 512,
                                       UINT64_C(0x00fffffffffff000)};

    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
        create_used();
        put(L1_OFFSET, 8, entries[i] | UINT64_C(1) << 63);
        if (entries[i] != REF_BLOCK) /* a reader does not know the refcount blocks */
            assert_int_equal(with_disk(DISK_READ, true), -EIO);
        assert_false(marked_corrupt());
        assert_int_equal(with_disk(DISK_WRITE, false), -EIO);
        assert_true(marked_corrupt());
        create_used();
        put(L1_OFFSET, 8, entries[i]);
        assert_int_equal(with_disk(DISK_DISCARD, false), -EIO);
        assert_true(marked_corrupt());
        refused_as((struct disk_options){0}, "marked corrupt");
    }
}

/* L2 entries: the guest must not get to write a table, least of all the header with its file names. */
static void test_bad_l2(void **state UNUSED)
{
    for (unsigned cluster = 0; cluster < 5; cluster++) {
        create_used();
        put(l2_offset(), 8, cluster * CLUSTER | UINT64_C(1) << 63 | (cluster ? 0 : 512));
        assert_int_equal(with_disk(DISK_WRITE, false), -EIO);
        assert_true(marked_corrupt());
    }
    create_used();
    put(l2_offset(), 8, CLUSTER * UINT64_C(1000));
    assert_int_equal(with_disk(DISK_READ, true), -EIO);
    assert_false(marked_corrupt());
    create_used();
    put(l2_offset(), 8, CLUSTER * 6 + 512);
    assert_int_equal(with_disk(DISK_READ, false), -EIO);
}

/* Compressed clusters of nonsense, beyond the end, and endless. */
static void test_bad_compressed(void **state UNUSED)
{
    static const uint64_t entries[] = {CLUSTER * 5, UINT64_C(1) << 40, CLUSTER * 5 + 3,
                                       UINT64_C(0x3fffffffffffffff)};

    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
        create_used();
        put(l2_offset(), 8, entries[i] | UINT64_C(1) << 62);
        assert_int_equal(with_disk(DISK_READ, true), -EIO);
    }
}

/* Refcounts that call used clusters free, or none. */
static void test_bad_refcounts(void **state UNUSED)
{
    struct disk *disk;
    uint8_t block[CLUSTER] = {0};

    create_used();
    for (unsigned i = 0; i < 16; i++)
        put(REF_BLOCK + 2 * i, 2, 0);
    assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path}), 0);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, MIB(1), block, CLUSTER), -EIO);
    disk_close(disk);
    assert_true(marked_corrupt());

    create_used();
    put(CLUSTER, 8, REF_BLOCK + 512);
    assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path}), 0);
    assert_int_equal(disk_do(&loop, disk, DISK_WRITE, MIB(1), block, CLUSTER), -EIO);
    disk_close(disk);
    assert_true(marked_corrupt());
}

static void with_backing(const char *backing, const char *format, const char *word)
{
    create(&(struct qcow2_parameters){.size = SIZE, .backing = backing, .backing_format = format});
    refused_as((struct disk_options){0}, word);
}

static void test_backing_names(void **state UNUSED)
{
    char name[300];
    struct disk *disk;

    with_backing("json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}", "raw",
                 "not a plain path");
    with_backing("nbd://127.0.0.1/x", "raw", "not a plain path");
    with_backing("fat:rw:/tmp", "raw", "not a plain path");
    with_backing("base.raw", NULL, "does not say its backing file's format");
    with_backing("base.raw", "vmdk", "does not exist");
    with_backing("missing.raw", "raw", "does not exist");
    with_backing("/etc/passwd", "raw", "outside its own directory");
    with_backing("../../../../../etc/passwd", "raw", "outside its own directory");
    snprintf(name, sizeof(name), "%s/link", dir);
    assert_int_equal(symlink("/etc/passwd", name), 0);
    with_backing("link", "raw", "outside its own directory");
    with_backing("hostile.qcow2", "qcow2", "form a loop");
    /* What lies in the directory may be named in full, and with the option anything may. */
    snprintf(name, sizeof(name), "%s/link", dir);
    create(&(struct qcow2_parameters){
        .size = SIZE, .backing = "/etc/passwd", .backing_format = "raw"});
    assert_int_equal(
        disk_open(&disk, &loop, &(struct disk_options){.path = path, .no_backing_check = true}), 0);
    disk_close(disk);
    snprintf(name, sizeof(name), "%s/inside.raw", dir);
    assert_int_equal(test_command("truncate -s 1M %s", name), 0);
    create(&(struct qcow2_parameters){.size = SIZE, .backing = name, .backing_format = "raw"});
    assert_int_equal(disk_open(&disk, &loop, &(struct disk_options){.path = path}), 0);
    disk_close(disk);
}

/* In a child of its own: at most a second and 100 MiB. */
static void bounded(void (*fn)(void))
{
    struct rusage usage;
    double start = seconds();
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        loop_init(&loop);
        fn();
        _exit(0);
    }
    assert_int_equal(wait4(pid, &status, 0, &usage), pid);
    assert_int_equal(status, 0);
    if (!LIMITS_HOLD)
        return;
    assert_true(usage.ru_maxrss < 100 * 1024);
    assert_true((double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 < 1);
    assert_true(seconds() - start < 10); /* others use this machine too */
}

static void use_it(void)
{
    uint8_t block[CLUSTER] = {0};
    struct disk *disk;

    for (unsigned i = 0; i < 2; i++) {
        if (disk_open(&disk, &loop,
                      &(struct disk_options){.path = path, .format = "qcow2", .read_only = i}))
            continue;
        for (uint64_t at = 0; at + CLUSTER < disk->size && at < disk->size * 9 / 10;
             at += disk->size / 10 & ~511ull) {
            disk_do(&loop, disk, DISK_READ, at, block, CLUSTER);
            if (!i)
                disk_do(&loop, disk, DISK_WRITE, at, block, CLUSTER);
        }
        if (!i)
            disk_do(&loop, disk, DISK_DISCARD, 0, NULL, disk->size);
        disk_close(disk);
    }
}

/* All that tools do with an image; what comes of it is not looked at. */
static int change_fiber(void *arg)
{
    struct image *image = arg;

    qcow2_snapshot_create(image, "new");
    qcow2_snapshot_apply(image, "1");
    qcow2_snapshot_delete(image, "1");
    qcow2_resize(image, MIN(image->size, MIB(64)) + MIB(1));
    return 0;
}

static void use_as_tools_do(void)
{
    struct disk_file file;
    struct qcow2_check result;
    struct qcow2_info info;
    struct image_job job;
    struct image *image;

    for (unsigned repair = 0; repair < 2; repair++) {
        if (disk_file_open(&file, NULL, path, path, false, DISK_CACHE_WRITEBACK))
            return;
        if (!qcow2_get_info(&file, path, &info))
            qcow2_snapshots_free(&info.snapshots);
        qcow2_check(&file, path, repair ? QCOW2_REPAIR_ALL : QCOW2_REPAIR_NOTHING, &result);
        disk_file_close(&file);
        if (repair)
            break;
        image_job_init(&job);
        if (!image_job_open(&job, &image,
                            &(struct disk_options){.path = path, .format = "qcow2"}) &&
            !image_job_start(&job))
            image_job_run(&job, 1, change_fiber, image);
        image_job_end(&job);
    }
}

static void use_all_ways(void)
{
    use_it();
    use_as_tools_do();
}

/* Every table as large as it may be, every entry the same. */
static void fill_table(uint64_t offset, uint64_t bytes, uint64_t entry)
{
    uint64_t *table = malloc(bytes);
    int fd = open(path, O_WRONLY);

    for (uint64_t i = 0; i < bytes / 8; i++)
        store_be64(&table[i], entry);
    assert_int_equal(pwrite(fd, table, bytes, (off_t)offset), bytes);
    close(fd);
    free(table);
}

static void test_largest_tables(void **state UNUSED)
{
    static const uint64_t targets[] = {0, MIB(50), MIB(60), UINT64_C(0x00fffffffffe0000)};

    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        create(&(struct qcow2_parameters){.size = GIB(1)});
        assert_int_equal(truncate(path, MIB(100)), 0);
        put(24, 8, UINT64_C(1) << 51);
        put(36, 4, MIB(32) / 8);
        put(40, 8, MIB(1));
        put(48, 8, MIB(40));
        put(56, 4, MIB(8) >> 16);
        fill_table(MIB(1), MIB(32), targets[i] ? targets[i] | UINT64_C(1) << 63 : 0);
        fill_table(MIB(40), MIB(8), targets[3 - i]);
        fill_table(MIB(60), 65536, UINT64_MAX);
        bounded(use_it);
        bounded(use_as_tools_do);
    }
}

/* As many snapshots as there may be, all with the largest L1 table, in one place; the dirty bit asks to count all. */
static void test_most_snapshots(void **state UNUSED)
{
    for (unsigned i = 0; i < 3; i++) {
        create(&(struct qcow2_parameters){.size = GIB(1)});
        assert_int_equal(truncate(path, MIB(200)), 0);
        put(60, 4, 4096);
        put(64, 8, MIB(64));
        put(72, 8, i & 1);
        fill_table(MIB(70), MIB(32), MIB(110) | UINT64_C(1) << 63);
        fill_table(MIB(110), 65536, i == 2 ? MIB(120) : UINT64_C(1) << 40);
        for (unsigned s = 0; s < 4096; s++) {
            put(MIB(64) + s * 40, 8, MIB(70));
            put(MIB(64) + s * 40 + 8, 4, MIB(32) / 8);
        }
        bounded(use_as_tools_do);
        bounded(use_it);
    }
}

/* Tables that the header puts over each other. */
static void test_overlapping_tables(void **state UNUSED)
{
    create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
    put(40, 8, CLUSTER);
    refused_as((struct disk_options){0}, "overlap");
    create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
    put(48, 8, L1_OFFSET);
    refused_as((struct disk_options){0}, "overlap");
    create(&(struct qcow2_parameters){.size = SIZE, .cluster_bits = 12});
    put(60, 4, 1);
    put(64, 8, L1_OFFSET);
    refused_as((struct disk_options){0}, "overlap");
}

/* Data where a snapshot has its L1 table. */
static void test_data_over_snapshot_l1(void **state UNUSED)
{
    create_used();
    put(60, 4, 1);
    put(64, 8, CLUSTER * 12);
    put(CLUSTER * 12, 8, CLUSTER * 6);
    put(CLUSTER * 12 + 8, 4, 2);
    put(CLUSTER * 13 - 1, 1, 0);
    put(l2_offset(), 8, CLUSTER * 6 | UINT64_C(1) << 63);
    assert_int_equal(with_disk(DISK_WRITE, false), -EIO);
    assert_true(marked_corrupt());
}

/* Snapshot tables that are longer than they may be, or than they say. */
static void test_bad_snapshot_tables(void **state UNUSED)
{
    static const struct {
        uint64_t offset, value;
        unsigned bytes;
    } bad[] = {{36, UINT32_MAX, 4}, {36, 1025, 4}, {36, MIB(4), 4}};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        create_used();
        put(60, 4, 1);
        put(64, 8, CLUSTER * 12);
        put(CLUSTER * 13 - 1, 1, 0);
        put(CLUSTER * 12 + bad[i].offset, bad[i].bytes, bad[i].value);
        refused_as((struct disk_options){0}, "snapshot table larger than 4 MiB, or a broken one");
    }
}

/* Good images with bytes changed, most of them in tables. Nothing that they name is opened. */
static void mutate(unsigned *seed, uint64_t size)
{
    for (unsigned n = 1 + (unsigned)rand_r(seed) % 6; n; n--) {
        uint64_t at = (uint64_t)rand_r(seed) % (rand_r(seed) % 3 ? MIN(size, 6 * CLUSTER) : size);
        unsigned kind = (unsigned)rand_r(seed) >> 5;

        if (kind % 3 == 0)
            put(at, 1, (uint64_t)rand_r(seed));
        else if (kind % 3 == 1)
            put(ALIGN_DOWN(at, 8), 8,
                (uint64_t)(rand_r(seed) % 20) << 12 | (uint64_t)(rand_r(seed) & 0xc0) << 56);
        else
            put(ALIGN_DOWN((uint64_t)rand_r(seed) % 112, 4), 4,
                (uint64_t)rand_r(seed) >> (rand_r(seed) % 32));
    }
}

static void test_mutated(void **state UNUSED)
{
    const char *text = getenv("MINIVM_ROUNDS");
    unsigned rounds = text ? (unsigned)atoi(text) * 20 : 120;
    char good[300];

    snprintf(good, sizeof(good), "%s/good.qcow2", dir);
    create_used();
    assert_int_equal(
        test_command(
            "qemu-img snapshot -c one %s && qemu-io -c 'write 0 8k' %s && qemu-img convert -c "
            "-O qcow2 -o cluster_size=4k %s %s && qemu-img snapshot -c two %s && cp %s %s",
            path, path, path, good, good, path, good),
        0);
    for (unsigned round = 0; round < rounds; round++) {
        unsigned seed = round;

        assert_int_equal(test_command("cp %s %s", good, path), 0);
        mutate(&seed, 20 * CLUSTER);
        bounded(use_all_ways);
    }
}

static void test_many_layers(void **state UNUSED)
{
    /* 20 layers, each with the largest L1 table. */
    for (unsigned i = 0; i < 20; i++) {
        char name[32], file[300];

        snprintf(name, sizeof(name), "layer%u", i - 1);
        create(&(struct qcow2_parameters){
            .size = UINT64_C(1) << 51, .backing = i ? name : NULL, .backing_format = "qcow2"});
        snprintf(file, sizeof(file), "%s/layer%u", dir, i);
        assert_int_equal(rename(path, file), 0);
        strcpy(path, file);
    }
    refused_as((struct disk_options){0}, "L1 tables");
    bounded(use_it);
    for (unsigned i = 0; i < 20; i++) {
        char name[32], file[300];

        snprintf(name, sizeof(name), "layer%u", i - 1);
        create(&(struct qcow2_parameters){
            .size = MIB(64), .backing = i ? name : NULL, .backing_format = "qcow2"});
        snprintf(file, sizeof(file), "%s/layer%u", dir, i);
        assert_int_equal(rename(path, file), 0);
        strcpy(path, file);
    }
    refused_as((struct disk_options){0}, "more than 16 layers");
    snprintf(path, sizeof(path), "%s/layer15", dir);
    assert_int_equal(with_disk(DISK_READ, false), 0);
    assert_int_equal(with_disk(DISK_WRITE, false), 0);
}

static int setup(void **state UNUSED)
{
    log_set_level((enum log_level) -
                  1); /* each of these images gives a message, which is not what is tested */
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
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_feature_names),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_bad_l1),
        cmocka_unit_test(test_bad_l2),
        cmocka_unit_test(test_bad_compressed),
        cmocka_unit_test(test_bad_refcounts),
        cmocka_unit_test(test_backing_names),
        cmocka_unit_test(test_largest_tables),
        cmocka_unit_test(test_many_layers),
        cmocka_unit_test(test_most_snapshots),
        cmocka_unit_test(test_overlapping_tables),
        cmocka_unit_test(test_data_over_snapshot_l1),
        cmocka_unit_test(test_bad_snapshot_tables),
        cmocka_unit_test(test_mutated),
    };

    return cmocka_run_group_tests_name("disk_hostile", tests, setup, teardown);
}

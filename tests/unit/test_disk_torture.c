/*
 * qcow2 under all that may befall it, with qemu-img as the judge. MINIVM_ROUNDS says how long: of each test so many
 * rounds, and at every moment of each; "make check-all" has many. Unless it is set, a few rounds and some moments.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "devices/disk/job.h"
#include "devices/disk/qcow2_create.h"
#include "devices/disk/qcow2_tool.h"
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

#define MAX_STATES 3

static struct loop loop;
static const char *dir;
static char path[128], start_path[128];
static unsigned rounds = 3;
static bool all_moments;

/* Moments, of `all`, that are left out between two that are tried. */
static unsigned stride_for(unsigned all)
{
    return all_moments ? 1 : 1 + all / 25;
}

static const struct qcow2_parameters kinds[] = {
    {0},
    {.cluster_bits = 9},
    {.cluster_bits = 12, .refcount_bits = 64},
    {.version = 2},
    {.cluster_bits = 12, .refcount_bits = 4, .zstd = true},
    {.cluster_bits = 21, .refcount_bits = 8},
    {.cluster_bits = 9, .refcount_bits = 2},
    {.cluster_bits = 16, .refcount_bits = 32, .lazy_refcounts = true},
};

static void make_image(unsigned kind, uint64_t size)
{
    struct qcow2_parameters p = kinds[kind % ARRAY_SIZE(kinds)];
    struct disk_file file = {.fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600)};

    p.size = size;
    assert_int_equal(qcow2_create(&file, &p), 0);
    disk_file_close(&file);
}

static struct disk *open_disk(void)
{
    struct disk *disk = NULL;

    if (disk_open(&disk, &loop,
                  &(struct disk_options){.path = path, .cache = DISK_CACHE_WRITEBACK}))
        fail_msg("%s", fail_text());
    return disk;
}

/* Something done to the image in a fiber of a job. */
struct change {
    int (*fn)(struct image *image, const char *name);
    const char *name;
    uint64_t size; /* instead of fn: resize */
    struct image *image;
};

static int change_fiber(void *arg)
{
    const struct change *c = arg;

    return c->fn ? c->fn(c->image, c->name) : qcow2_resize(c->image, c->size);
}

static int change_with(struct change c, int (*fault)(void *opaque, struct io_op *op), void *opaque,
                       struct write_log *log)
{
    struct image_job job;
    int err;

    assert_int_equal(image_job_init(&job), 0);
    err = image_job_open(&job, &c.image,
                         &(struct disk_options){.path = path, .cache = DISK_CACHE_WRITEBACK});
    if (!err)
        err = image_job_start(&job);
    if (!err && fault)
        io_set_fault(job.context.io, fault, opaque);
    if (!err && log)
        write_log_start(log, job.context.io);
    if (!err)
        err = image_job_run(&job, 1, change_fiber, &c);
    if (fault && job.context.io)
        io_set_fault(job.context.io, NULL, NULL);
    return image_job_end(&job) && !err ? -EIO : err;
}

static void copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ssize_t n;

    assert_true(in >= 0 && out >= 0);
    do {
        n = copy_file_range(in, NULL, out, NULL, MIB(64), 0);
        assert_true(n >= 0);
    } while (n);
    close(in);
    close(out);
}

static void change(struct change c)
{
    if (change_with(c, NULL, NULL, NULL))
        fail_msg("%s", fail_text());
}

static void check_image(bool leaks_allowed)
{
    int status = test_command("qemu-img check -f qcow2 %s", path);
    struct qcow2_check ours;
    struct disk_file file;

    if (status != 0 && !(status == 3 && leaks_allowed))
        fail_msg("qemu-img check says %d: %s", status, test_output());
    assert_int_equal(disk_file_open(&file, NULL, path, path, true, DISK_CACHE_WRITEBACK),
                     0);
    assert_int_equal(qcow2_check(&file, path, QCOW2_REPAIR_NOTHING, &ours), 0);
    disk_file_close(&file);
    assert_int_equal(ours.corruptions, 0);
    assert_int_equal(ours.leaks != 0, status == 3);
}

static void put_raw(const char *name, const void *data, uint64_t size)
{
    char raw[200];
    int fd;

    snprintf(raw, sizeof(raw), "%s/%s", dir, name);
    fd = open(raw, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

/* What QEMU reads from the image, or from a snapshot of it, where it takes the size of the disk as it is now. */
static void check_content(const void *data, uint64_t size, const char *snapshot)
{
    put_raw("model.raw", data, size);
    if (test_command(
            snapshot
                ? "cd %s && qemu-img convert -f qcow2 -O raw -l snapshot.name=%s %s there.raw && "
                  "cmp -n $(stat -c %%s model.raw) model.raw there.raw"
                : "cd %s && : %s && qemu-img compare -f raw -F qcow2 model.raw %s",
            dir, snapshot ? snapshot : "", path))
        fail_msg("%s", test_output());
}

/* A snapshot, and what it must hold. */
struct state {
    char name[16];
    uint8_t *data;
    uint64_t size;
};

struct life {
    struct disk_model model;
    struct state states[MAX_STATES];
    unsigned count, most, seed;
};

static void set_model(struct life *l, const uint8_t *data, uint64_t size)
{
    l->model.data = realloc(l->model.data, size);
    assert_non_null(l->model.data);
    if (data)
        memcpy(l->model.data, data, size);
    else if (size > l->model.size)
        memset(l->model.data + l->model.size, 0, size - l->model.size);
    l->model.size = size;
}

static void add_state(struct life *l)
{
    struct state *s = &l->states[l->count++];

    snprintf(s->name, sizeof(s->name), "s%u", rand_r(&l->seed));
    change((struct change){.fn = qcow2_snapshot_create, .name = s->name});
    s->size = l->model.size;
    s->data = malloc(s->size);
    memcpy(s->data, l->model.data, s->size);
}

static void drop_state(struct life *l)
{
    struct state *s = &l->states[rand_r(&l->seed) % l->count];

    change((struct change){.fn = qcow2_snapshot_delete, .name = s->name});
    free(s->data);
    *s = l->states[--l->count];
}

static void step(struct life *l)
{
    const struct state *s = l->count ? &l->states[rand_r(&l->seed) % l->count] : NULL;
    unsigned what = (unsigned)rand_r(&l->seed) >> 4;

    l->model.disk = open_disk();
    model_run(&l->model, MODEL_ALL, 120, 16);
    model_verify(&l->model);
    assert_int_equal(l->model.errors, 0);
    assert_int_equal(disk_close(l->model.disk), 0);
    check_image(false);
    check_content(l->model.data, l->model.size, NULL);
    if (what % 4 == 0 && l->count < l->most) {
        add_state(l);
    } else if (what % 4 == 1 && s) {
        change((struct change){.fn = qcow2_snapshot_apply, .name = s->name});
        set_model(l, s->data, s->size);
    } else if (what % 4 == 2 && s) {
        drop_state(l);
    } else if (what % 4 == 3) {
        uint64_t size = MIB(4) + (uint64_t)(rand_r(&l->seed) % 4000) * 512;

        change((struct change){.size = size});
        set_model(l, NULL, size);
    }
    check_image(false);
    check_content(l->model.data, l->model.size, NULL);
}

static void test_life(void **state UNUSED)
{
    for (unsigned round = 0; round < rounds * 2; round++) {
        bool narrow = kinds[round % ARRAY_SIZE(kinds)].refcount_bits == 2;
        /* To go back to one takes another reference for a moment; three are the most that two bits can count. */
        struct life l = {.seed = 100 + round, .most = narrow ? 1 : MAX_STATES};

        make_image(round, MIB(4));
        model_init(&l.model, &loop, NULL, NULL, MIB(4), round);
        for (unsigned i = 0; i < 5; i++)
            step(&l);
        for (unsigned i = 0; i < l.count; i++) {
            check_content(l.states[i].data, MIN(l.states[i].size, l.model.size), l.states[i].name);
            free(l.states[i].data);
        }
        model_fini(&l.model);
    }
}

/* An image with something in it, a snapshot "one" of that, and other content since. */
static void make_used(unsigned kind, uint8_t *before, uint8_t *after, uint64_t size)
{
    struct disk_model m;

    make_image(kind, size);
    model_init(&m, &loop, NULL, NULL, size, kind + 1);
    m.max_bytes = KIB(32);
    for (unsigned i = 0; i < 2; i++) {
        m.disk = open_disk();
        model_run(&m, MODEL_ALL, 60, 8);
        assert_int_equal(disk_close(m.disk), 0);
        memcpy(i ? after : before, m.data, size);
        if (!i)
            change((struct change){.fn = qcow2_snapshot_create, .name = "one"});
    }
    model_fini(&m);
}

static void read_all(uint8_t *data, uint64_t size)
{
    struct disk *disk = open_disk();

    assert_true(disk->size >= size);
    assert_int_equal(disk_do(&loop, disk, DISK_READ, 0, data, size), 0);
    assert_int_equal(disk_close(disk), 0);
}

/* Changes that may be cut off: what the disk held before and after. */
static const struct {
    struct change change;
    bool applies;
} changes[] = {
    {{.fn = qcow2_snapshot_create, .name = "two"}, false},
    {{.fn = qcow2_snapshot_apply, .name = "one"}, true},
    {{.fn = qcow2_snapshot_delete, .name = "one"}, false},
    {{.size = MIB(40)}, false},
    {{.size = MIB(1)}, false},
};

/* Whatever happened, the disk shows what it showed before, or what it was to show; and is right after it was opened. */
static void check_after(unsigned which, const uint8_t *one, const uint8_t *now, uint64_t size)
{
    uint8_t *data = malloc(size);

    read_all(data, size);
    if (memcmp(data, now, size) && !(changes[which].applies && !memcmp(data, one, size)))
        fail_msg("change %u: the disk shows neither what it did before nor what it was to show",
                 which);
    check_image(true);
    free(data);
}

static void test_changes_lose_power(void **state UNUSED)
{
    uint64_t size = MIB(1);
    uint8_t *one = malloc(size), *now = malloc(size);

    for (unsigned round = 0; round < rounds; round++) {
        unsigned which = round % ARRAY_SIZE(changes), kind = round % ARRAY_SIZE(kinds);
        struct write_log log;

        if (kinds[kind].version == 2)
            continue; /* which has no dirty bit */
        make_used(kind, one, now, size);
        copy(path, start_path);
        if (change_with(changes[which].change, NULL, NULL, &log))
            fail_msg("%s", fail_text());
        for (unsigned stride = stride_for(log.clock), moment = round % stride; moment <= log.clock;
             moment += stride) {
            copy(start_path, path);
            write_log_replay(&log, path, moment, moment * 7 + round);
            check_after(which, one, now, size);
        }
        write_log_free(&log);
    }
    free(one);
    free(now);
}

struct faults {
    unsigned at, count;
    int error;
};

static int fault(void *opaque, struct io_op *op)
{
    struct faults *f = opaque;

    return op->kind != IO_CALL && ++f->count == f->at ? f->error : 0;
}

/* The bit in the header's incompatible features by which a program that found damage asks for "check -r". */
static bool is_marked_corrupt(void)
{
    uint8_t features[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(pread(fd, features, sizeof(features), 72), 8);
    close(fd);
    return load_be64(features) & 2;
}

static void test_changes_meet_errors(void **state UNUSED)
{
    static const int errors[] = {-EIO, -ENOSPC, 512};
    /* Each change of each kind of image with each error: nothing in it is random, so more would be the same again. */
    unsigned all = ARRAY_SIZE(changes) * ARRAY_SIZE(kinds) * ARRAY_SIZE(errors);
    uint64_t size = MIB(1);
    uint8_t *one = malloc(size), *now = malloc(size);

    for (unsigned round = 0; round < MIN(rounds, all); round++) {
        unsigned which = round % ARRAY_SIZE(changes), kind = round % ARRAY_SIZE(kinds);
        unsigned turn = round / (ARRAY_SIZE(changes) * ARRAY_SIZE(kinds));

        if (kinds[kind].version == 2)
            continue;
        make_used(kind, one, now, size);
        copy(path, start_path);
        for (unsigned at = all_moments ? 1 : 1 + round % 4;; at += all_moments ? 1 : 4) {
            struct faults f = {.at = at, .error = errors[(at + turn) % ARRAY_SIZE(errors)]};
            int err;

            copy(start_path, path);
            err = change_with(changes[which].change, fault, &f, NULL);
            if (f.count < at)
                break;
            if (f.error > 0)
                assert_int_equal(err, 0);
            if (is_marked_corrupt())
                assert_int_equal(test_command("qemu-img check -q -r all %s", path), 0);
            check_after(which, one, now, size);
        }
    }
    free(one);
    free(now);
}

/* Blocks that tell the number of the write; each flush that was acknowledged, with what it made durable. */
#define BLOCKS  128
#define FLUSHES 40

struct acknowledged {
    unsigned moment;
    uint64_t blocks[BLOCKS];
};

static unsigned write_numbers(struct write_log *log, struct acknowledged *flushes, unsigned seed)
{
    struct disk *disk = open_disk();
    uint64_t now[BLOCKS] = {0}, block[512];
    unsigned count = 0;

    write_log_start(log, disk_io(disk));
    for (uint64_t n = 1; count < FLUSHES; n++) {
        unsigned which = (unsigned)rand_r(&seed) / 16 % BLOCKS;

        for (unsigned i = 0; i < 512; i++)
            block[i] = n;
        assert_int_equal(disk_do(&loop, disk, DISK_WRITE, which * KIB(16), block, 4096), 0);
        now[which] = n;
        if (n % 3 == 0)
            assert_int_equal(
                disk_do(&loop, disk, DISK_DISCARD, which * KIB(16) + KIB(8), NULL, KIB(8)), 0);
        if (n % 5)
            continue;
        assert_int_equal(disk_do(&loop, disk, DISK_FLUSH, 0, NULL, 0), 0);
        flushes[count].moment = log->clock;
        memcpy(flushes[count++].blocks, now, sizeof(now));
    }
    assert_int_equal(disk_close(disk), 0);
    return count;
}

static void check_numbers(const uint64_t *least)
{
    struct disk *disk = open_disk();
    uint64_t block[512];

    for (unsigned i = 0; i < BLOCKS; i++) {
        if (!least[i])
            continue;
        assert_int_equal(disk_do(&loop, disk, DISK_READ, i * KIB(16), block, 4096), 0);
        for (unsigned s = 0; s < 512; s += 64)
            if (block[s] < least[i])
                fail_msg("block %u holds write %lu, and %lu was flushed", i,
                         (unsigned long)block[s], (unsigned long)least[i]);
    }
    assert_int_equal(disk_close(disk), 0);
}

static void test_flushes_survive(void **state UNUSED)
{
    static const uint64_t nothing[BLOCKS];
    struct acknowledged *flushes = calloc(FLUSHES, sizeof(*flushes));
    struct write_log log;

    for (unsigned round = 0; round < (rounds + 2) / 3; round++) {
        unsigned flushed = 0;

        make_image(round, MIB(4));
        copy(path, start_path);
        write_numbers(&log, flushes, round);
        for (unsigned moment = 0; moment <= log.clock; moment++) {
            while (flushed < FLUSHES && flushes[flushed].moment <= moment)
                flushed++;
            if (moment % stride_for(log.clock))
                continue;
            copy(start_path, path);
            write_log_replay(&log, path, moment, moment + round);
            check_image(true);
            check_numbers(flushed ? flushes[flushed - 1].blocks : nothing);
        }
        write_log_free(&log);
    }
    free(flushes);
}

/* A process that makes, applies and deletes snapshots of a disk that stays the same, until it is killed. */
static void child_changes(void)
{
    for (;;) {
        change((struct change){.fn = qcow2_snapshot_create, .name = "two"});
        change((struct change){.fn = qcow2_snapshot_apply, .name = "two"});
        change((struct change){.fn = qcow2_snapshot_delete, .name = "two"});
        change((struct change){.size = MIB(2)});
        change((struct change){.size = MIB(1)});
    }
}

static void test_changes_killed(void **state UNUSED)
{
    uint64_t size = MIB(1);
    uint8_t *one = malloc(size), *now = malloc(size);

    for (unsigned round = 0; round < rounds * 3; round++) {
        unsigned kind = round % ARRAY_SIZE(kinds), seed = round;
        pid_t pid;

        if (kinds[kind].version == 2 || kinds[kind].refcount_bits == 2)
            continue;
        make_used(kind, one, now, size);
        pid = fork();
        if (pid == 0)
            child_changes();
        usleep(1000 + (unsigned)rand_r(&seed) % 40000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        check_after(0, one, now, size);
    }
    free(one);
    free(now);
}

static int setup(void **state UNUSED)
{
    const char *text = getenv("MINIVM_ROUNDS");

    rounds = text ? (unsigned)atoi(text) : rounds;
    all_moments = text;
    log_set_level(LOG_ERROR);
    dir = test_directory();
    snprintf(path, sizeof(path), "%s/image.qcow2", dir);
    snprintf(start_path, sizeof(start_path), "%s/start.qcow2", dir);
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
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_changes_lose_power),
        cmocka_unit_test(test_changes_meet_errors),
        cmocka_unit_test(test_flushes_survive),
        cmocka_unit_test(test_changes_killed),
    };

    return cmocka_run_group_tests_name("disk_torture", tests, setup, teardown);
}

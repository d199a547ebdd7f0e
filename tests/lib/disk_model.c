#include "tests/lib/disk_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_PIECES 6

struct model_slot {
    struct disk_model *model;
    struct disk_request request;
    struct iovec iov[MAX_PIECES];
    uint8_t *memory;    /* pieces lie in it, at any alignment */
    uint8_t *old, *new; /* what the range held, and what it is to hold */
    bool busy, checking;
    unsigned tries;
};

static unsigned next_random(struct disk_model *m)
{
    m->random = m->random * 1664525u + 1013904223u;
    return m->random >> 8;
}

static uint64_t big_random(struct disk_model *m, uint64_t below)
{
    return (((uint64_t)next_random(m) << 24) ^ next_random(m)) % below;
}

void model_init(struct disk_model *m, struct loop *loop, struct disk *disk, const void *data,
                uint64_t size, unsigned seed)
{
    *m = (struct disk_model){
        .loop = loop, .disk = disk, .size = size, .random = seed, .max_bytes = KIB(256)};
    m->data = calloc(1, size);
    m->slots = calloc(MODEL_DEPTH, sizeof(*m->slots));
    assert_true(m->data && m->slots);
    if (data)
        memcpy(m->data, data, size);
}

void model_fini(struct disk_model *m)
{
    for (unsigned i = 0; i < MODEL_DEPTH; i++) {
        free(m->slots[i].memory);
        free(m->slots[i].old);
        free(m->slots[i].new);
    }
    free(m->slots);
    free(m->data);
}

static bool overlaps_busy(const struct disk_model *m, uint64_t offset, uint64_t bytes, bool writing)
{
    for (unsigned i = 0; i < MODEL_DEPTH; i++) {
        const struct model_slot *s = &m->slots[i];

        if (s->busy && (writing || s->request.op != DISK_READ || s->checking) &&
            offset < s->request.offset + s->request.bytes && s->request.offset < offset + bytes)
            return true;
    }
    return false;
}

/* Cut the buffer into pieces of odd sizes, so that some need copying for O_DIRECT and some do not. */
static void scatter_buffer(struct model_slot *s)
{
    struct disk_model *m = s->model;
    size_t misalign = next_random(m) % 3 ? 0 : next_random(m) % 64, left = s->request.bytes;
    unsigned pieces = 1 + next_random(m) % MAX_PIECES, n = 0;
    uint8_t *at = s->memory + misalign;

    while (left) {
        size_t piece = next_random(m) % 4 ? DISK_SECTOR * (1 + next_random(m) % 16)
                                          : 1 + next_random(m) % 1000;

        if (n + 1 == pieces || piece > left)
            piece = left;
        s->iov[n++] = (struct iovec){at, piece};
        at += piece;
        left -= piece;
    }
    s->request.iov = s->iov;
    s->request.iov_count = n;
}

static void gather(const struct model_slot *s, uint8_t *to)
{
    for (unsigned i = 0; i < s->request.iov_count; i++) {
        memcpy(to, s->iov[i].iov_base, s->iov[i].iov_len);
        to += s->iov[i].iov_len;
    }
}

static void slot_done(struct disk_request *request, int result);

/* What is there now? Each sector must be the old or the new one. */
static void look_again(struct model_slot *s)
{
    s->checking = true;
    s->tries++;
    assert_true(s->tries < 50);
    s->request.op = DISK_READ;
    scatter_buffer(s);
    disk_submit(s->model->disk, &s->request);
}

static void settle(struct model_slot *s)
{
    uint8_t *model = s->model->data + s->request.offset, *got = malloc(s->request.bytes);

    gather(s, got);
    for (uint64_t i = 0; i < s->request.bytes; i += DISK_SECTOR) {
        if (memcmp(got + i, s->old + i, DISK_SECTOR) && memcmp(got + i, s->new + i, DISK_SECTOR))
            fail_msg("sector at %#lx is neither old nor new",
                     (unsigned long)(s->request.offset + i));
        memcpy(model + i, got + i, DISK_SECTOR);
    }
    free(got);
}

static void compare(const struct model_slot *s)
{
    const uint8_t *model = s->model->data + s->request.offset;
    uint64_t at = 0;

    for (unsigned i = 0; i < s->request.iov_count; i++) {
        const uint8_t *got = s->iov[i].iov_base;

        for (size_t j = 0; j < s->iov[i].iov_len && memcmp(got, model + at, s->iov[i].iov_len); j++)
            if (got[j] != model[at + j])
                fail_msg("read at %#lx+%#lx: byte at %#lx is %02x, not %02x",
                         (unsigned long)s->request.offset, (unsigned long)s->request.bytes,
                         (unsigned long)(s->request.offset + at + j), got[j], model[at + j]);
        at += s->iov[i].iov_len;
    }
}

static void slot_done(struct disk_request *request, int result)
{
    struct model_slot *s = container_of(request, struct model_slot, request);
    enum disk_op op = request->op;

    s->model->errors += result != 0;
    if ((result && op != DISK_FLUSH && (op != DISK_READ || s->checking)) ||
        (op == DISK_DISCARD && !result)) {
        look_again(s);
        return;
    }
    if (op == DISK_READ && s->checking)
        settle(s);
    else if (op == DISK_READ && !result)
        compare(s);
    s->busy = false;
    s->model->in_flight--;
}

static void fill(struct model_slot *s)
{
    struct disk_model *m = s->model;

    for (uint64_t i = 0; i < s->request.bytes; i += 8) {
        uint64_t v = (uint64_t)next_random(m) << 32 | (s->request.offset + i);
        memcpy(s->new + i, &v, 8);
    }
    if (next_random(m) % 8 == 0)
        memset(s->new, 0, s->request.bytes);
}

static void spread(struct model_slot *s)
{
    const uint8_t *from = s->new;

    for (unsigned i = 0; i < s->request.iov_count; i++) {
        memcpy(s->iov[i].iov_base, from, s->iov[i].iov_len);
        from += s->iov[i].iov_len;
    }
}

static void start_slot(struct model_slot *s, enum disk_op op, uint64_t offset, uint64_t bytes)
{
    struct disk_model *m = s->model;

    s->old = realloc(s->old, bytes + 1);
    s->new = realloc(s->new, bytes + 1);
    free(s->memory);
    s->memory = aligned_alloc(4096, ALIGN_UP(bytes + 64, 4096));
    assert_true(s->old && s->new && s->memory);
    s->busy = true;
    s->checking = false;
    s->tries = 0;
    s->request = (struct disk_request){
        .op = op, .offset = offset, .bytes = bytes, .done = slot_done, .unmap = next_random(m) % 2};
    memcpy(s->old, m->data + offset, bytes);
    memset(s->new, 0, bytes);
    if (op == DISK_WRITE)
        fill(s);
    if (op == DISK_READ || op == DISK_WRITE)
        scatter_buffer(s);
    if (op == DISK_WRITE)
        spread(s);
    if (op == DISK_WRITE || op == DISK_ZERO)
        memcpy(m->data + offset, s->new, bytes);
    m->in_flight++;
    disk_submit(m->disk, &s->request);
}

static enum disk_op choose_op(struct disk_model *m, unsigned kinds)
{
    static const enum disk_op ops[] = {DISK_READ,  DISK_READ,  DISK_READ,   DISK_READ,
                                       DISK_WRITE, DISK_WRITE, DISK_WRITE,  DISK_WRITE,
                                       DISK_ZERO,  DISK_FLUSH, DISK_DISCARD};
    static const unsigned bit[] = {[DISK_READ] = MODEL_READ,
                                   [DISK_WRITE] = MODEL_WRITE,
                                   [DISK_FLUSH] = MODEL_FLUSH,
                                   [DISK_DISCARD] = MODEL_DISCARD,
                                   [DISK_ZERO] = MODEL_ZERO};
    enum disk_op op;

    do
        op = ops[next_random(m) % ARRAY_SIZE(ops)];
    while (!(kinds & bit[op]));
    return op;
}

/* A request that overlaps none in flight (two reads may). */
static void start_random(struct disk_model *m, struct model_slot *s, unsigned kinds)
{
    enum disk_op op = choose_op(m, kinds);
    uint64_t sectors = m->size / DISK_SECTOR, offset, bytes;

    s->model = m;
    if (op == DISK_FLUSH) {
        start_slot(s, op, 0, 0);
        return;
    }
    do {
        uint64_t most = m->max_bytes / DISK_SECTOR;

        if (next_random(m) % 2)
            most = MIN(most, 16);
        bytes = 1 + big_random(m, most);
        bytes = MIN(bytes, sectors);
        offset = big_random(m, sectors - bytes + 1);
        if (next_random(m) % 3 == 0)
            offset = ALIGN_DOWN(offset, 8);
        offset *= DISK_SECTOR;
        bytes *= DISK_SECTOR;
    } while (overlaps_busy(m, offset, bytes, op != DISK_READ));
    start_slot(s, op, offset, bytes);
}

void model_run(struct disk_model *m, unsigned kinds, unsigned requests, unsigned depth)
{
    while (requests || m->in_flight) {
        for (unsigned i = 0; i < depth && requests && m->in_flight < depth; i++)
            if (!m->slots[i].busy) {
                start_random(m, &m->slots[i], kinds);
                requests--;
            }
        uv_run(&m->loop->uv, UV_RUN_ONCE);
    }
}

static void wait_done(struct disk_request *request, int result)
{
    *(int *)request->driver = result;
}

int disk_do(struct loop *loop, struct disk *disk, enum disk_op op, uint64_t offset, void *data,
            uint64_t bytes)
{
    struct iovec iov = {data, bytes};
    int result = 1;
    struct disk_request request = {.op = op,
                                   .offset = offset,
                                   .bytes = bytes,
                                   .iov = &iov,
                                   .iov_count = 1,
                                   .done = wait_done,
                                   .driver = &result};

    disk_submit(disk, &request);
    while (result == 1)
        uv_run(&loop->uv, UV_RUN_ONCE);
    return result;
}

void model_verify(struct disk_model *m)
{
    uint8_t *got = malloc(MIB(1));

    for (uint64_t at = 0; at < m->size; at += MIB(1)) {
        uint64_t n = MIN(MIB(1), m->size - at);

        assert_int_equal(disk_do(m->loop, m->disk, DISK_READ, at, got, n), 0);
        if (memcmp(got, m->data + at, n))
            for (uint64_t i = 0; i < n; i++)
                if (got[i] != m->data[at + i])
                    fail_msg("byte at %#lx is %02x, not %02x", (unsigned long)(at + i), got[i],
                             m->data[at + i]);
    }
    free(got);
}

static char directory[64];
static pid_t directory_owner;

static void remove_directory(void)
{
    if (*directory && getpid() == directory_owner)
        test_command("rm -rf '%s'", directory);
}

const char *test_directory(void)
{
    if (!*directory) {
        snprintf(directory, sizeof(directory), "/var/tmp/minivm-test-XXXXXX");
        assert_non_null(mkdtemp(directory));
        directory_owner = getpid();
        atexit(remove_directory);
    }
    return directory;
}

static char output[8192];

int test_command(const char *fmt, ...)
{
    char command[4096];
    va_list args;
    size_t n;
    FILE *p;
    int status;

    va_start(args, fmt);
    vsnprintf(command, sizeof(command) - 6, fmt, args);
    va_end(args);
    strcat(command, " 2>&1");
    p = popen(command, "r");
    assert_non_null(p);
    n = fread(output, 1, sizeof(output) - 1, p);
    output[n] = 0;
    while (fgetc(p) != EOF)
        ;
    status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *test_output(void)
{
    return output;
}

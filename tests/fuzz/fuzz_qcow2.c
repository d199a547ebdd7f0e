/*
 * A qcow2 image, opened and used for a while, looked at, checked, repaired, and changed as tools do it.
 *
 * Input: a whole image, which begins with the magic number; or changes to a valid one: one byte that chooses the image;
 * then groups of a kind, a place and a value: change a byte, change an entry of a table (by the place of the table and
 * an offset in clusters, so that hits are likely), or perform a request.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "devices/disk/job.h"
#include "devices/disk/qcow2_create.h"
#include "devices/disk/qcow2_tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE         KIB(256)
#define MAX_REQUESTS 24

static struct loop loop;

static void finished(struct disk_request *request, int result UNUSED)
{
    *(bool *)request->driver = true;
}

static void perform(struct disk *disk, enum disk_op op, uint64_t offset, uint64_t bytes)
{
    static uint8_t buffer[KIB(64)];
    struct iovec iov = {buffer, 0};
    bool done = false;
    struct disk_request r = {
        .op = op, .iov = &iov, .iov_count = 1, .done = finished, .driver = &done};

    if (op != DISK_FLUSH) {
        r.offset = ALIGN_DOWN(offset % SIZE, DISK_SECTOR);
        r.bytes = MIN(ALIGN_UP(bytes % sizeof(buffer), DISK_SECTOR), SIZE - r.offset);
        iov.iov_len = r.bytes;
        r.unmap = bytes & 1;
    }
    disk_submit(disk, &r);
    while (!done)
        uv_run(&loop.uv, UV_RUN_ONCE);
}

static const struct qcow2_parameters images[] = {
    {.size = SIZE, .cluster_bits = 9},
    {.size = SIZE, .cluster_bits = 9, .refcount_bits = 64},
    {.size = SIZE, .cluster_bits = 12, .version = 2},
    {.size = SIZE, .cluster_bits = 12, .refcount_bits = 1},
    {.size = SIZE, .cluster_bits = 16},
};

static int open_disk(struct disk **disk, int fd, bool read_only)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return disk_open(disk, &loop,
                     &(struct disk_options){.path = path,
                                            .format = "qcow2",
                                            .read_only = read_only,
                                            .no_lock = true,
                                            .ignore_backing = true,
                                            .cache = DISK_CACHE_UNSAFE});
}

/* The images with something in them, made once. */
static struct {
    uint8_t *data;
    size_t size;
} templates[ARRAY_SIZE(images)];

static void make_template(unsigned i)
{
    struct disk_file file = {.fd = memfd_create("template", 0), .no_sync = true};
    struct disk *disk;

    if (qcow2_create(&file, &images[i]) || open_disk(&disk, file.fd, false))
        abort();
    for (unsigned n = 0; n < 6; n++)
        perform(disk, n == 4 ? DISK_ZERO : DISK_WRITE, n * 40000, n * 3000 + 512);
    if (disk_close(disk))
        abort();
    templates[i].size = (size_t)lseek(file.fd, 0, SEEK_END);
    templates[i].data = malloc(templates[i].size);
    if (pread(file.fd, templates[i].data, templates[i].size, 0) != (ssize_t)templates[i].size)
        abort();
    close(file.fd);
}

/* Where tables are: header, refcount table, first refcount block, L1, the first L2 table. */
static uint64_t table_offset(const uint8_t *image, size_t size, unsigned which)
{
    uint64_t at = which == 1 || which == 2 ? load_be64(image + 48)
                  : which >= 3             ? load_be64(image + 40)
                                           : 0;

    if ((which == 2 || which == 4) && at <= size - 8)
        at = load_be64(image + at) & UINT64_C(0x00fffffffffffe00);
    return at;
}

static void change(uint8_t *image, size_t size, unsigned cluster_bits, struct reader *r)
{
    unsigned kind = reader_u8(r), index = reader_u8(r), value = reader_u8(r), flags = reader_u8(r);
    uint64_t at = table_offset(image, size, kind % 5) + (kind & 0x80 ? index : index * 8u);

    if (at > size - 8)
        return;
    if (kind & 0x80)
        image[at] = (uint8_t)value;
    else
        store_be64(image + at, ((uint64_t)value << cluster_bits) | (uint64_t)(flags & 0xe0) << 56 |
                                   (flags & 0x1f));
}

static void use(int fd, bool read_only, struct reader *r)
{
    struct disk *disk;

    if (open_disk(&disk, fd, read_only))
        return;
    for (unsigned n = 0; n < MAX_REQUESTS && !r->bad; n++) {
        unsigned op = reader_u8(r), offset = reader_u16(r), bytes = reader_u16(r);

        if (disk->size >= SIZE)
            perform(disk, (enum disk_op)(op % 5), (uint64_t)offset * 8, bytes);
    }
    disk_close(disk);
}

static int change_fiber(void *arg)
{
    struct image *image = arg;

    qcow2_snapshot_create(image, "new");
    qcow2_snapshot_apply(image, "1");
    qcow2_snapshot_delete(image, "1");
    qcow2_resize(image, image->size < MIB(1) ? image->size + KIB(300) : KIB(64));
    return qcow2_make_empty(image);
}

static void change_as_tools_do(int fd)
{
    struct image_job job;
    struct image *image;
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (image_job_init(&job))
        abort();
    if (!image_job_open(&job, &image,
                        &(struct disk_options){.path = path,
                                               .format = "qcow2",
                                               .no_lock = true,
                                               .ignore_backing = true,
                                               .cache = DISK_CACHE_UNSAFE}) &&
        !image_job_start(&job))
        image_job_run(&job, 1, change_fiber, image);
    image_job_end(&job);
}

/* What a check finds, a repair does not make worse. */
static void check_image(int fd, enum qcow2_repair repair)
{
    struct disk_file file = {.fd = fd, .no_sync = true, .size = (uint64_t)lseek(fd, 0, SEEK_END)};
    struct qcow2_check before, after;
    struct qcow2_info info;

    if (!qcow2_get_info(&file, "fuzz", &info))
        qcow2_snapshots_free(&info.snapshots);
    if (qcow2_check(&file, "fuzz", QCOW2_REPAIR_NOTHING, &before) ||
        repair == QCOW2_REPAIR_NOTHING || qcow2_check(&file, "fuzz", repair, &after))
        return;
    if (after.corruptions > before.corruptions)
        abort();
}

static int whole_image(const uint8_t *data, size_t size)
{
    static const uint8_t script[] = {0,   0, 0, 16, 0, 1, 8, 0, 40, 0,  3,  0, 1,
                                     200, 0, 4, 4,  0, 2, 0, 1, 0,  16, 99, 0, 2};

    for (unsigned i = 0; i < 3; i++) {
        int fd = memfd_create("image", 0);

        if (write(fd, data, size) != (ssize_t)size)
            abort();
        check_image(fd, i == 1 ? QCOW2_REPAIR_ALL : QCOW2_REPAIR_NOTHING);
        if (i < 2) {
            use(fd, true, &(struct reader){script, script + sizeof(script), false});
            use(fd, false, &(struct reader){script, script + sizeof(script), false});
        } else {
            change_as_tools_do(fd);
        }
        check_image(fd, QCOW2_REPAIR_ALL);
        close(fd);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    unsigned which, changes;
    uint8_t *image;
    int fd;

    if (!templates[0].data) {
        log_set_level(LOG_ERROR);
        if (loop_init(&loop))
            abort();
        for (unsigned i = 0; i < ARRAY_SIZE(images); i++)
            make_template(i);
    }
    if (size > 4 && load_be32(data) == 0x514649fb)
        return whole_image(data, size);
    reader_init(&r, data, size);
    which = reader_u8(&r) % ARRAY_SIZE(images);
    changes = reader_u8(&r) % 16;
    image = malloc(templates[which].size);
    memcpy(image, templates[which].data, templates[which].size);
    for (unsigned i = 0; i < changes; i++)
        change(image, templates[which].size, images[which].cluster_bits, &r);
    fd = memfd_create("image", 0);
    if (write(fd, image, templates[which].size) == (ssize_t)templates[which].size) {
        use(fd, true, &(struct reader){data, data + size, false});
        use(fd, false, &r);
        use(fd, true, &(struct reader){data, data + size, false});
    }
    close(fd);
    free(image);
    return 0;
}

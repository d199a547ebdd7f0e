#include "devices/virtio/virtio_blk.h"

#include "base/error.h"
#include "base/log.h"
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define QUEUE_SIZE 256
/* A chain without an indirect table holds a header and a status byte too. */
#define SEG_MAX (QUEUE_SIZE - 2)
/* So that no request of a driver that keeps to the limits is larger than a disk takes. */
#define SIZE_MAX_BYTES    KIB(128)
#define MAX_RANGES        16                     /* of a discard or write-zeroes request */
#define MAX_RANGE_SECTORS (GIB(2) / DISK_SECTOR) /* of each */
#define DISCARD_ALIGNMENT 8 /* sectors: what most file systems below can punch */
#define PHYSICAL_EXPONENT 3 /* blocks of 4 KiB below: images and their file systems are made of such */
#define MAX_IN_FLIGHT     QUEUE_SIZE /* of all queues together */

static_assert(SEG_MAX * SIZE_MAX_BYTES <= DISK_MAX_TRANSFER, "a legal request must be possible");
static_assert(VIRTQ_MAX_IOV <= DISK_MAX_IOV, "a chain must fit into a disk request");

struct blk_request;

struct virtio_blk {
    struct virtio_device virtio;
    struct disk *disk;
    char serial[VIRTIO_BLK_ID_BYTES];
    bool writeback; /* atomic: the driver flushes; else each write is durable when it completes */
    /* The loop's: */
    uint64_t full; /* bit n: there may be more in queue n than could be taken */
    STAILQ_HEAD(blk_list, blk_request) kept; /* not in flight; until they are done nothing new is taken */
    struct virtq_buffer buffer;
};

static_assert(VIRTIO_BLK_MAX_QUEUES <= VIRTIO_MAX_QUEUES, "queues");

struct blk_request {
    struct disk_request disk;
    struct virtio_blk *blk;
    struct virtio_queue *queue;
    uint32_t type;
    uint16_t head;
    STAILQ_ENTRY(blk_request) link; /* of those that are kept */
    uint8_t *status;                /* in guest memory */
    unsigned range, range_count;
    struct virtio_blk_discard_write_zeroes ranges[MAX_RANGES];
    struct iovec iov[]; /* the data, without header and status */
};

/* --- completion --- */

static uint8_t status_of(int err)
{
    switch (err) {
    case 0:
        return VIRTIO_BLK_S_OK;
    case -ENOTSUP:
        return VIRTIO_BLK_S_UNSUPP;
    default:
        return VIRTIO_BLK_S_IOERR;
    }
}

static void finish(struct virtio_queue *q, uint16_t head, uint8_t *status, uint32_t data_written,
                   int err)
{
    *status = status_of(err);
    virtq_push(&q->vq, head, data_written + 1);
    virtio_interrupt(q);
}

/* There may be room now for what had none. */
static void go_on(struct virtio_blk *blk)
{
    for (; blk->full; blk->full &= blk->full - 1)
        virtio_kick(&blk->virtio.queues[__builtin_ctzll(blk->full)]);
}

static void complete(struct blk_request *r, int err)
{
    struct virtio_blk *blk = r->blk;
    uint32_t written = r->disk.op == DISK_READ && !err ? (uint32_t)r->disk.bytes : 0;

    finish(r->queue, r->head, r->status, written, err);
    free(r);
    virtio_end(&blk->virtio);
    go_on(blk);
}

/* Whether the driver knows that a finished write may still be in a cache, and flushes (5.2.5.2, 5.2.6.2). Without
 * VIRTIO_BLK_F_CONFIG_WCE the mode is always write-back. */
static bool driver_flushes(const struct virtio_blk *blk)
{
    return virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH) &&
           __atomic_load_n(&blk->writeback, __ATOMIC_RELAXED);
}

static void submit_range(struct blk_request *r)
{
    const struct virtio_blk_discard_write_zeroes *range = &r->ranges[r->range];

    r->disk.offset = range->sector * DISK_SECTOR;
    r->disk.bytes = (uint64_t)range->num_sectors * DISK_SECTOR;
    r->disk.unmap = range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    disk_submit(r->blk->disk, &r->disk);
}

/* Out of flight, so that whoever waits for those that are does not wait for the host's disk to get room. */
static void keep(struct blk_request *r)
{
    STAILQ_INSERT_TAIL(&r->blk->kept, r, link);
    virtio_end(&r->blk->virtio);
}

static void done(struct disk_request *disk_request, int err)
{
    struct blk_request *r = container_of(disk_request, struct blk_request, disk);

    if (disk_keeps(r->blk->disk, disk_request, err)) {
        keep(r);
        return;
    }
    if (err)
        log_once(LOG_WARN, "virtio-blk: a request failed: %s; the guest sees an I/O error",
                 strerror(-err));
    if (!err && ++r->range < r->range_count) {
        submit_range(r);
        return;
    }
    if (!err && r->type != VIRTIO_BLK_T_IN && r->disk.op != DISK_FLUSH && !driver_flushes(r->blk)) {
        r->disk = (struct disk_request){.op = DISK_FLUSH, .done = done};
        disk_submit(r->blk->disk, &r->disk);
        return;
    }
    complete(r, err);
}

/* --- requests --- */

static int start_transfer(struct blk_request *r, uint64_t sector, const struct virtq_buffer *b)
{
    bool in = r->type == VIRTIO_BLK_T_IN;
    const struct iovec *iov = in ? b->iov + b->out_count : b->iov;
    unsigned count = in ? b->in_count : b->out_count;
    size_t offset = in ? 0 : sizeof(struct virtio_blk_outhdr);
    size_t bytes = in ? b->in_bytes - 1 : b->out_bytes - sizeof(struct virtio_blk_outhdr);

    if (bytes == 0 || bytes % DISK_SECTOR || bytes > DISK_MAX_TRANSFER ||
        sector > UINT64_MAX / DISK_SECTOR)
        return -EINVAL;
    r->disk.op = in ? DISK_READ : DISK_WRITE;
    r->disk.offset = sector * DISK_SECTOR;
    r->disk.bytes = bytes;
    r->disk.iov = r->iov;
    r->disk.iov_count = iov_slice(r->iov, iov, count, offset, bytes);
    disk_submit(r->blk->disk, &r->disk);
    return 0;
}

static int check_range(const struct virtio_blk *blk,
                       const struct virtio_blk_discard_write_zeroes *range, uint32_t allowed_flags)
{
    uint64_t sectors = blk->disk->size / DISK_SECTOR;

    if (range->flags & ~allowed_flags)
        return -ENOTSUP;
    if (range->num_sectors == 0 || range->num_sectors > MAX_RANGE_SECTORS ||
        range->sector > sectors || range->num_sectors > sectors - range->sector)
        return -EINVAL;
    return 0;
}

static int start_ranges(struct blk_request *r, const struct virtq_buffer *b)
{
    size_t bytes = b->out_bytes - sizeof(struct virtio_blk_outhdr);
    bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;
    unsigned i;

    if (bytes == 0 || bytes % sizeof(r->ranges[0]) || bytes > sizeof(r->ranges))
        return -EINVAL;
    iov_read(b->iov, b->out_count, sizeof(struct virtio_blk_outhdr), r->ranges, bytes);
    r->range_count = (unsigned)(bytes / sizeof(r->ranges[0]));
    for (i = 0; i < r->range_count; i++) {
        int err = check_range(r->blk, &r->ranges[i], zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0);

        if (err)
            return err;
    }
    r->disk.op = zero ? DISK_ZERO : DISK_DISCARD;
    submit_range(r);
    return 0;
}

static int start_request(struct blk_request *r, uint64_t sector, const struct virtq_buffer *b)
{
    if (r->blk->disk->read_only && r->type != VIRTIO_BLK_T_IN && r->type != VIRTIO_BLK_T_FLUSH)
        return -EROFS;
    switch (r->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        return start_transfer(r, sector, b);
    case VIRTIO_BLK_T_FLUSH:
        r->disk.op = DISK_FLUSH;
        disk_submit(r->blk->disk, &r->disk);
        return 0;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return start_ranges(r, b);
    default:
        return -ENOTSUP;
    }
}

static void get_id(struct virtio_blk *blk, struct virtio_queue *q, const struct virtq_buffer *b,
                   uint8_t *status)
{
    size_t n = MIN(sizeof(blk->serial), b->in_bytes - 1);

    iov_write(b->iov + b->out_count, b->in_count, 0, blk->serial, n);
    finish(q, b->head, status, (uint32_t)n, 0);
}

/* The last byte that the device may write. */
static uint8_t *status_byte(const struct virtq_buffer *b)
{
    const struct iovec *last = &b->iov[b->out_count + b->in_count - 1];

    return (uint8_t *)last->iov_base + last->iov_len - 1;
}

static void start(struct virtio_blk *blk, struct virtio_queue *q,
                  const struct virtio_blk_outhdr *header, const struct virtq_buffer *b)
{
    unsigned pieces = MAX(b->out_count, b->in_count);
    struct blk_request *r = calloc(1, sizeof(*r) + pieces * sizeof(r->iov[0]));
    int err;

    if (!r) {
        finish(q, b->head, status_byte(b), 0, -ENOMEM);
        return;
    }
    r->blk = blk;
    r->queue = q;
    r->type = header->type;
    r->head = b->head;
    r->status = status_byte(b);
    r->disk.done = done;
    virtio_begin(&blk->virtio);
    err = start_request(r, header->sector, b);
    if (err)
        complete(r, err);
}

static void take(struct virtio_blk *blk, struct virtio_queue *q, const struct virtq_buffer *b)
{
    struct virtio_blk_outhdr header;

    if (iov_read(b->iov, b->out_count, 0, &header, sizeof(header)) != sizeof(header) ||
        !b->in_bytes) {
        log_once(LOG_WARN, "virtio-blk: a request without room for its header or status");
        virtio_break(&blk->virtio);
        return;
    }
    if (header.type == VIRTIO_BLK_T_GET_ID)
        get_id(blk, q, b, status_byte(b));
    else
        start(blk, q, &header, b);
}

static void run(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct virtio_blk *blk = container_of(virtio, struct virtio_blk, virtio);
    unsigned budget = q->vq.size;

    if (!STAILQ_EMPTY(&blk->kept)) {
        blk->full |= 1ULL << q->index;
        return;
    }
    virtq_enable_notification(&q->vq, false);
    for (; budget && virtio->in_flight < MAX_IN_FLIGHT; budget--) {
        if (virtq_pop(&q->vq, &blk->buffer) <= 0)
            break;
        take(blk, q, &blk->buffer);
        if (virtio->broken)
            return;
    }
    virtq_enable_notification(&q->vq, true);
    if (virtio->in_flight >= MAX_IN_FLIGHT)
        blk->full |= 1ULL << q->index;
    else if (virtq_available(&q->vq))
        virtio_kick(q);
}

/* --- requests that the host could not do --- */

static void retry_kept(void *opaque)
{
    struct virtio_blk *blk = opaque;
    struct blk_list kept = STAILQ_HEAD_INITIALIZER(kept);
    struct blk_request *r;

    STAILQ_CONCAT(&kept, &blk->kept);
    while ((r = STAILQ_FIRST(&kept))) {
        STAILQ_REMOVE_HEAD(&kept, link);
        virtio_begin(&blk->virtio);
        disk_retry(blk->disk, &r->disk);
    }
}

static void drop_kept(void *opaque)
{
    struct virtio_blk *blk = opaque;
    struct blk_request *r;

    while ((r = STAILQ_FIRST(&blk->kept))) {
        STAILQ_REMOVE_HEAD(&blk->kept, link);
        disk_drop(blk->disk, &r->disk);
        free(r);
    }
}

static void retry(struct device *device)
{
    struct virtio_blk *blk = container_of(device, struct virtio_blk, virtio.pci.base);

    virtio_in_loop(&blk->virtio, retry_kept, blk);
}

/* --- the write cache --- */

static void set_writeback(struct virtio_blk *blk, bool on)
{
    uint8_t wce = on;

    __atomic_store_n(&blk->writeback, on, __ATOMIC_RELAXED);
    virtio_set_config(&blk->virtio, offsetof(struct virtio_blk_config, wce), &wce, sizeof(wce));
}

static void config_written(struct virtio_device *virtio, unsigned offset, uint32_t value,
                           unsigned width)
{
    struct virtio_blk *blk = container_of(virtio, struct virtio_blk, virtio);

    if (offset == offsetof(struct virtio_blk_config, wce) && width == 1 && value <= 1 &&
        virtio_has(virtio, VIRTIO_BLK_F_CONFIG_WCE))
        set_writeback(blk, value);
}

static void reset(struct virtio_device *virtio)
{
    struct virtio_blk *blk = container_of(virtio, struct virtio_blk, virtio);

    drop_kept(blk);
    blk->full = 0;
    set_writeback(blk, true);
}

/* --- life --- */

static void save(struct device *device, struct writer *w)
{
    struct virtio_blk *blk = container_of(device, struct virtio_blk, virtio.pci.base);

    virtio_save(device, w);
    writer_u8(w, blk->writeback);
}

static int load(struct device *device, struct reader *r, uint32_t version)
{
    struct virtio_blk *blk = container_of(device, struct virtio_blk, virtio.pci.base);
    int err = virtio_load(device, r, version);
    bool writeback = version < 2 || reader_u8(r);

    if (err || r->bad)
        return err ? err : -EINVAL;
    set_writeback(blk, writeback);
    return 0;
}

static void destroy(struct device *device)
{
    struct virtio_blk *blk = container_of(device, struct virtio_blk, virtio.pci.base);

    virtio_fini(&blk->virtio);
    virtio_in_loop(&blk->virtio, drop_kept, blk);
    free(blk);
}

static const struct device_ops blk_device_ops = {
    .name = "virtio-blk",
    .version = 2, /* 2: the write cache's mode */
    .reset = virtio_reset,
    .save = save,
    .load = load,
    .resume = virtio_resume,
    .retry = retry,
    .destroy = destroy,
};

static const struct virtio_ops blk_ops = {
    .type = 2,
    .pci_device = 0x1001,
    .pci_class = 0x010000,
    .run = run,
    .reset = reset,
    .config_written = config_written,
};

static void describe(struct virtio_blk *blk, unsigned queues)
{
    struct virtio_blk_config config = {
        .capacity = blk->disk->size / DISK_SECTOR,
        .size_max = SIZE_MAX_BYTES,
        .seg_max = SEG_MAX,
        .blk_size = DISK_SECTOR,
        .physical_block_exp = PHYSICAL_EXPONENT,
        .min_io_size = 1 << PHYSICAL_EXPONENT,
        .wce = 1,
        .num_queues = (uint16_t)queues,
        .max_discard_sectors = MAX_RANGE_SECTORS,
        .max_discard_seg = MAX_RANGES,
        .discard_sector_alignment = DISCARD_ALIGNMENT,
        .max_write_zeroes_sectors = MAX_RANGE_SECTORS,
        .max_write_zeroes_seg = MAX_RANGES,
        .write_zeroes_may_unmap = 1,
    };
    struct virtio_device *v = &blk->virtio;

    static_assert(sizeof(config) <= VIRTIO_MAX_CONFIG, "config space");
    memcpy(v->config, &config, sizeof(config));
    v->config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors);
    v->offered = 1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_SEG_MAX |
                 1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_FLUSH |
                 1ULL << VIRTIO_BLK_F_TOPOLOGY | 1ULL << VIRTIO_BLK_F_CONFIG_WCE;
    v->offered |= queues > 1 ? 1ULL << VIRTIO_BLK_F_MQ : 0;
    v->offered |= blk->disk->read_only
                      ? 1ULL << VIRTIO_BLK_F_RO
                      : 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

int virtio_blk_create(struct machine *machine, uint8_t devfn,
                      const struct virtio_blk_options *options)
{
    unsigned i, queues = MIN(MAX(options->queues, 1), VIRTIO_BLK_MAX_QUEUES);
    uint16_t queue_sizes[VIRTIO_BLK_MAX_QUEUES];
    struct virtio_blk *blk;
    int err;

    if (!options->loop || options->loop == machine->loop)
        return fail(-EINVAL, "virtio-blk: a disk needs a loop of its own");
    blk = calloc(1, sizeof(*blk));
    if (!blk)
        return -ENOMEM;
    STAILQ_INIT(&blk->kept);
    blk->disk = options->disk;
    if (options->serial)
        memcpy(blk->serial, options->serial, strnlen(options->serial, sizeof(blk->serial)));
    blk->virtio.ops = &blk_ops;
    blk->virtio.loop = options->loop;
    blk->writeback = true;
    describe(blk, queues);
    for (i = 0; i < queues; i++)
        queue_sizes[i] = QUEUE_SIZE;
    err = virtio_init(&blk->virtio, &blk_device_ops, machine, devfn, queue_sizes, queues);
    if (err)
        free(blk);
    return err;
}

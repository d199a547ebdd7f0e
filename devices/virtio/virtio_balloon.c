#include "devices/virtio/virtio_balloon.h"

#include "base/log.h"
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>

#define PAGE         (1u << VIRTIO_BALLOON_PFN_SHIFT)
#define QUEUE_SIZE   128
#define MAX_PFNS     16384 /* of a buffer that are looked at: 64 MiB */
#define PFNS_AT_ONCE 256

/*
 * Without VIRTIO_BALLOON_F_FREE_PAGE_HINT there is no queue 3, and reports come on queue 4: so the specification. Drivers
 * before Linux 6.11 count the queues that there are and use 3. Both serve.
 */
enum { INFLATE, DEFLATE, STATS, REPORTING_COUNTED, REPORTING, QUEUES };

static_assert(BALLOON_STATS == VIRTIO_BALLOON_S_NR, "each tag has its place");

struct virtio_balloon {
    struct virtio_device virtio;
    uint64_t memory;
    uint32_t target; /* pages in the balloon that the host wants */
    uint32_t actual; /* pages in it, as the driver says */
    /* Atomic; written by the loop. */
    uint64_t returned, updated, value[BALLOON_STATS];
    bool refresh; /* atomic: new statistics are wanted */
    /* The loop's: */
    bool stats_held; /* the driver's buffer, which goes back when new values are wanted */
    uint16_t stats_head;
    struct virtq_buffer buffer;
};

static void give_back(struct virtio_balloon *balloon, void *host, size_t size)
{
    size_t n = memory_discard(balloon->virtio.pci.base.machine->memory, host, size);

    if (n)
        __atomic_add_fetch(&balloon->returned, n, __ATOMIC_RELAXED);
    else
        log_once(LOG_WARN, "virtio-balloon: the guest gives back what is not its memory");
}

/* --- inflate --- */

/* A row of pages: neighbours, upwards or downwards, go back in one piece. */
struct run {
    uint64_t first, count;
};

static bool extend(struct run *run, uint32_t pfn)
{
    if (run->count && pfn == run->first + run->count)
        run->count++;
    else if (run->count && pfn + 1ULL == run->first)
        *run = (struct run){pfn, run->count + 1};
    else
        return false;
    return true;
}

static void end_run(struct virtio_balloon *balloon, const struct run *run)
{
    size_t size = run->count * PAGE;
    void *host = run->count ? memory_pointer(balloon->virtio.pci.base.machine->memory,
                                             run->first * PAGE, size)
                            : NULL;

    if (host)
        give_back(balloon, host, size);
    else if (run->count)
        log_once(LOG_WARN, "virtio-balloon: the guest gives back what is not its memory");
}

static void inflate(struct virtio_balloon *balloon, const struct virtq_buffer *b)
{
    uint32_t pfns[PFNS_AT_ONCE];
    struct run run = {0};
    size_t at, n, i, limit = MIN(b->out_bytes, MAX_PFNS * sizeof(uint32_t));

    for (at = 0; at < limit; at += n * sizeof(uint32_t)) {
        n = iov_read(b->iov, b->out_count, at, pfns, MIN(sizeof(pfns), limit - at)) / sizeof(uint32_t);
        if (!n)
            break;
        for (i = 0; i < n; i++) {
            if (extend(&run, pfns[i]))
                continue;
            end_run(balloon, &run);
            run = (struct run){pfns[i], 1};
        }
    }
    end_run(balloon, &run);
}

/* The guest may use the pages again; they come back when it touches them. */
static void deflate(struct virtio_balloon *balloon UNUSED, const struct virtq_buffer *b UNUSED)
{
}

/* --- reporting --- */

static void report(struct virtio_balloon *balloon, const struct virtq_buffer *b)
{
    unsigned i;

    for (i = 0; i < b->in_count; i++)
        give_back(balloon, b->iov[b->out_count + i].iov_base, b->iov[b->out_count + i].iov_len);
}

static void take_all(struct virtio_balloon *balloon, struct virtio_queue *q,
                     void (*take)(struct virtio_balloon *balloon, const struct virtq_buffer *b))
{
    unsigned budget = q->vq.size;

    virtq_enable_notification(&q->vq, false);
    for (; budget && virtq_pop(&q->vq, &balloon->buffer) > 0; budget--) {
        take(balloon, &balloon->buffer);
        virtq_push(&q->vq, balloon->buffer.head, 0);
    }
    if (budget != q->vq.size)
        virtio_interrupt(q);
    virtq_enable_notification(&q->vq, true);
    if (virtq_available(&q->vq))
        virtio_kick(q);
}

/* --- statistics --- */

static void read_stats(struct virtio_balloon *balloon, const struct virtq_buffer *b)
{
    struct virtio_balloon_stat stats[2 * BALLOON_STATS]; /* newer drivers tell more */
    size_t n = iov_read(b->iov, b->out_count, 0, stats, sizeof(stats)) / sizeof(stats[0]), i;

    __atomic_store_n(&balloon->refresh, false, __ATOMIC_RELEASE); /* who asked before gets these */
    for (i = 0; i < n; i++)
        if (stats[i].tag < BALLOON_STATS)
            __atomic_store_n(&balloon->value[stats[i].tag], stats[i].val, __ATOMIC_RELAXED);
    __atomic_store_n(&balloon->updated, MAX(machine_clock(balloon->virtio.pci.base.machine), 1),
                     __ATOMIC_RELEASE);
}

/* The driver fills a buffer when it gets one back: it is held until somebody wants to know. */
static void run_stats(struct virtio_balloon *balloon, struct virtio_queue *q)
{
    if (balloon->stats_held && __atomic_exchange_n(&balloon->refresh, false, __ATOMIC_ACQ_REL)) {
        balloon->stats_held = false;
        virtq_push(&q->vq, balloon->stats_head, 0);
        virtio_interrupt(q);
    }
    if (!balloon->stats_held && virtq_pop(&q->vq, &balloon->buffer) > 0) {
        read_stats(balloon, &balloon->buffer);
        balloon->stats_held = true;
        balloon->stats_head = balloon->buffer.head;
    }
    virtq_enable_notification(&q->vq, true);
    if (!balloon->stats_held && virtq_available(&q->vq))
        virtio_kick(q);
}

static void run(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct virtio_balloon *balloon = container_of(virtio, struct virtio_balloon, virtio);

    switch (q->index) {
    case INFLATE:
        take_all(balloon, q, inflate);
        break;
    case DEFLATE:
        take_all(balloon, q, deflate);
        break;
    case STATS:
        run_stats(balloon, q);
        break;
    default:
        take_all(balloon, q, report);
    }
}

/* --- what the host asks --- */

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes)
{
    uint32_t pages = (uint32_t)((balloon->memory - MIN(bytes, balloon->memory)) / PAGE);

    balloon->target = pages;
    virtio_set_config(&balloon->virtio, offsetof(struct virtio_balloon_config, num_pages), &pages,
                      sizeof(pages));
    virtio_config_changed(&balloon->virtio);
}

void virtio_balloon_stats(struct virtio_balloon *balloon, struct balloon_stats *stats)
{
    uint64_t ballooned = (uint64_t)__atomic_load_n(&balloon->actual, __ATOMIC_RELAXED) * PAGE;
    unsigned i;

    stats->actual = balloon->memory - MIN(ballooned, balloon->memory);
    stats->target = balloon->memory - (uint64_t)balloon->target * PAGE;
    stats->returned = __atomic_load_n(&balloon->returned, __ATOMIC_RELAXED);
    stats->updated = __atomic_load_n(&balloon->updated, __ATOMIC_ACQUIRE);
    for (i = 0; i < BALLOON_STATS; i++)
        stats->value[i] = __atomic_load_n(&balloon->value[i], __ATOMIC_RELAXED);
    __atomic_store_n(&balloon->refresh, true, __ATOMIC_RELEASE);
    virtio_kick(&balloon->virtio.queues[STATS]);
}

/* --- life --- */

static void set_actual(struct virtio_balloon *balloon, uint32_t pages)
{
    __atomic_store_n(&balloon->actual, pages, __ATOMIC_RELAXED);
    virtio_set_config(&balloon->virtio, offsetof(struct virtio_balloon_config, actual), &pages,
                      sizeof(pages));
}

static void config_written(struct virtio_device *virtio, unsigned offset, uint32_t value,
                           unsigned width)
{
    struct virtio_balloon *balloon = container_of(virtio, struct virtio_balloon, virtio);

    if (offset == offsetof(struct virtio_balloon_config, actual) && width == sizeof(uint32_t))
        set_actual(balloon, value);
}

static void forget_stats(struct virtio_balloon *balloon)
{
    unsigned i;

    balloon->stats_held = false;
    __atomic_store_n(&balloon->updated, 0, __ATOMIC_RELAXED);
    for (i = 0; i < BALLOON_STATS; i++)
        __atomic_store_n(&balloon->value[i], BALLOON_UNKNOWN, __ATOMIC_RELAXED);
}

static void reset(struct virtio_device *virtio)
{
    struct virtio_balloon *balloon = container_of(virtio, struct virtio_balloon, virtio);

    forget_stats(balloon);
    set_actual(balloon, 0);
}

static void save(struct device *device, struct writer *w)
{
    struct virtio_balloon *balloon = container_of(device, struct virtio_balloon, virtio.pci.base);

    virtio_save(device, w);
    writer_u32(w, balloon->target);
    writer_u32(w, balloon->actual);
    writer_u8(w, balloon->stats_held);
    writer_u16(w, balloon->stats_head);
}

struct loading {
    struct virtio_balloon *balloon;
    uint32_t target, actual;
    bool held;
    uint16_t head;
};

static void take_over(void *opaque)
{
    struct loading *l = opaque;
    struct virtio_balloon *balloon = l->balloon;

    forget_stats(balloon);
    balloon->stats_held = l->held;
    balloon->stats_head = l->head;
    set_actual(balloon, l->actual);
}

static int load(struct device *device, struct reader *r, uint32_t version)
{
    struct virtio_balloon *balloon = container_of(device, struct virtio_balloon, virtio.pci.base);
    struct loading l = {.balloon = balloon};
    int err = virtio_load(device, r, version);

    if (err)
        return err;
    l.target = reader_u32(r);
    l.actual = reader_u32(r);
    l.held = reader_u8(r);
    l.head = reader_u16(r);
    if (r->bad || l.target > balloon->memory / PAGE) {
        virtio_reset(device);
        return -EINVAL;
    }
    virtio_in_loop(&balloon->virtio, take_over, &l);
    virtio_balloon_set_target(balloon, balloon->memory - (uint64_t)l.target * PAGE);
    return 0;
}

static void destroy(struct device *device)
{
    struct virtio_balloon *balloon = container_of(device, struct virtio_balloon, virtio.pci.base);

    virtio_fini(&balloon->virtio);
    free(balloon);
}

static const struct device_ops balloon_device_ops = {
    .name = "virtio-balloon",
    .version = 1,
    .reset = virtio_reset,
    .save = save,
    .load = load,
    .resume = virtio_resume,
    .destroy = destroy,
};

static const struct virtio_ops balloon_ops = {
    .type = 5,
    .pci_device = 0x1002,
    .pci_class = 0x00ff00,
    .run = run,
    .reset = reset,
    .config_written = config_written,
};

int virtio_balloon_create(struct machine *machine, uint8_t devfn,
                          const struct virtio_balloon_options *options,
                          struct virtio_balloon **created)
{
    static const uint16_t queue_sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
                                                 QUEUE_SIZE};
    struct virtio_balloon *balloon = calloc(1, sizeof(*balloon));
    int err;

    if (!balloon)
        return -ENOMEM;
    balloon->memory = options->memory;
    balloon->virtio.ops = &balloon_ops;
    balloon->virtio.loop = options->loop;
    balloon->virtio.config_size = offsetof(struct virtio_balloon_config, free_page_hint_cmd_id);
    balloon->virtio.offered = 1ULL << VIRTIO_BALLOON_F_STATS_VQ |
                              1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                              1ULL << VIRTIO_BALLOON_F_REPORTING;
    forget_stats(balloon);
    err = virtio_init(&balloon->virtio, &balloon_device_ops, machine, devfn, queue_sizes, QUEUES);
    if (err) {
        free(balloon);
        return err;
    }
    if (created)
        *created = balloon;
    return 0;
}

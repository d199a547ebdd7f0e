#include "devices/virtio/virtio_rng.h"

#include "devices/virtio/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define QUEUE_SIZE  8
#define MAX_REQUEST KIB(4) /* a buffer gets no more than this; the driver asks again */
#define PERIOD_MS   100    /* of the rate */

struct virtio_rng {
    struct virtio_device virtio;
    uint64_t rate;     /* bytes a period */
    uint64_t budget;   /* bytes left of this period */
    uv_timer_t *timer; /* libuv frees it late, so it lives on the heap */
    struct virtq_buffer buffer;
};

static uint32_t fill(struct virtio_rng *rng, const struct virtq_buffer *b)
{
    uint8_t bytes[MAX_REQUEST];
    size_t want = MIN(MIN(sizeof(bytes), b->in_bytes), rng->budget);
    ssize_t n = getrandom(bytes, want, GRND_NONBLOCK);

    n = n < 0 ? 0 : n;
    rng->budget -= (uint64_t)n;
    return (uint32_t)iov_write(b->iov + b->out_count, b->in_count, 0, bytes, (size_t)n);
}

static void next_period(uv_timer_t *timer);

static void run(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct virtio_rng *rng = container_of(virtio, struct virtio_rng, virtio);
    unsigned budget = q->vq.size;

    for (; budget && rng->budget; budget--) {
        if (virtq_pop(&q->vq, &rng->buffer) <= 0)
            break;
        virtq_push(&q->vq, rng->buffer.head, fill(rng, &rng->buffer));
    }
    if (budget != q->vq.size) /* a queue is also run when it starts, empty */
        virtio_interrupt(q);
    virtq_enable_notification(&q->vq, true);
    if (!rng->budget)
        uv_timer_start(rng->timer, next_period, PERIOD_MS, 0);
    else if (virtq_available(&q->vq))
        virtio_kick(q);
}

static void next_period(uv_timer_t *timer)
{
    struct virtio_rng *rng = timer->data;

    rng->budget = rng->rate;
    virtio_kick(&rng->virtio.queues[0]);
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

static void destroy(struct device *device)
{
    struct virtio_rng *rng = container_of(device, struct virtio_rng, virtio.pci.base);

    uv_close((uv_handle_t *)rng->timer, free_timer);
    virtio_fini(&rng->virtio);
    free(rng);
}

static const struct device_ops rng_device_ops = {
    .name = "virtio-rng",
    .version = 1,
    .reset = virtio_reset,
    .save = virtio_save,
    .load = virtio_load,
    .resume = virtio_resume,
    .destroy = destroy,
};

static const struct virtio_ops rng_ops = {
    .type = 4,
    .pci_device = 0x1005,
    .pci_class = 0x00ff00,
    .run = run,
};

int virtio_rng_create(struct machine *machine, uint8_t devfn, uint64_t rate)
{
    const uint16_t queue_size = QUEUE_SIZE;
    struct virtio_rng *rng = calloc(1, sizeof(*rng));
    int err;

    if (!rng)
        return -ENOMEM;
    rng->rate = MAX((rate ? rate : VIRTIO_RNG_RATE) * PERIOD_MS / 1000, 1);
    rng->budget = rng->rate;
    rng->timer = malloc(sizeof(*rng->timer));
    rng->virtio.ops = &rng_ops;
    err = rng->timer ? virtio_init(&rng->virtio, &rng_device_ops, machine, devfn, &queue_size, 1)
                     : -ENOMEM;
    if (err) {
        free(rng->timer);
        free(rng);
        return err;
    }
    uv_timer_init(&machine->loop->uv, rng->timer);
    rng->timer->data = rng;
    return 0;
}

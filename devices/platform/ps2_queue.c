#include "devices/platform/ps2.h"

#include <errno.h>

void ps2_queue_clear(struct ps2_queue *queue)
{
    queue->first = queue->count = 0;
}

bool ps2_queue_put(struct ps2_queue *queue, const uint8_t *bytes, unsigned count)
{
    unsigned i;

    if (count > PS2_QUEUE_SIZE - queue->count)
        return false;
    for (i = 0; i < count; i++)
        queue->bytes[(queue->first + queue->count++) % PS2_QUEUE_SIZE] = bytes[i];
    return true;
}

uint8_t ps2_queue_take(struct ps2_queue *queue)
{
    queue->last = queue->bytes[queue->first];
    queue->first = (queue->first + 1) % PS2_QUEUE_SIZE;
    queue->count--;
    return queue->last;
}

void ps2_queue_save(const struct ps2_queue *queue, struct writer *w)
{
    unsigned i;

    writer_u8(w, queue->last);
    writer_u16(w, (uint16_t)queue->count);
    for (i = 0; i < queue->count; i++)
        writer_u8(w, queue->bytes[(queue->first + i) % PS2_QUEUE_SIZE]);
}

int ps2_queue_load(struct ps2_queue *queue, struct reader *r)
{
    uint8_t last = reader_u8(r);
    unsigned count = reader_u16(r);
    const uint8_t *bytes = count <= PS2_QUEUE_SIZE ? reader_bytes(r, count) : NULL;

    if (!bytes)
        return -EINVAL;
    *queue = (struct ps2_queue){.count = count, .last = last};
    memcpy(queue->bytes, bytes, count);
    return 0;
}

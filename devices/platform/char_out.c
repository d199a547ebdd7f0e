#include "devices/platform/char_out.h"

#include <errno.h>
#include <string.h>

#define DELAY_NS 1000000

/* The next bytes that lie in one piece, copied so that the lock need not be held while they are written. */
static unsigned peek(struct char_out *out, uint8_t *bytes)
{
    unsigned n;

    machine_lock(out->machine);
    n = MIN(out->count, CHAR_OUT_SIZE - out->first);
    memcpy(bytes, out->ring + out->first, n);
    machine_unlock(out->machine);
    return n;
}

static void consume(struct char_out *out, unsigned n)
{
    machine_lock(out->machine);
    out->first = (out->first + n) % CHAR_OUT_SIZE;
    out->count -= n;
    if (out->count == 0 && out->drained)
        out->drained(out->opaque);
    machine_unlock(out->machine);
}

/* Returns false if the back end takes no more. */
static bool write_some(struct char_out *out)
{
    uint8_t bytes[CHAR_OUT_SIZE];
    unsigned n = peek(out, bytes);
    size_t taken = n ? out->chardev->ops->write(out->chardev, bytes, n) : 0;

    machine_lock(out->machine);
    out->waiting = taken < n;
    machine_unlock(out->machine);
    if (taken)
        consume(out, (unsigned)taken);
    return taken == n;
}

/* Twice, since the ring has two ends; what a busy guest adds meanwhile waits its turn. */
void char_out_flush(struct char_out *out)
{
    if (!out->chardev || !write_some(out) || !write_some(out))
        return;
    machine_lock(out->machine);
    if (out->count)
        timer_set(&out->timer, DELAY_NS);
    machine_unlock(out->machine);
}

static void timer_fired(void *opaque)
{
    char_out_flush(opaque);
}

int char_out_init(struct char_out *out, struct machine *machine, struct chardev *chardev,
                  void (*drained)(void *opaque), void *opaque)
{
    out->machine = machine;
    out->chardev = chardev;
    out->drained = drained;
    out->opaque = opaque;
    out->first = out->count = 0;
    out->waiting = false;
    return timer_init(&out->timer, machine->loop, timer_fired, out);
}

void char_out_fini(struct char_out *out)
{
    out->drained = NULL;
    char_out_flush(out);
    timer_fini(&out->timer);
}

unsigned char_out_room(const struct char_out *out)
{
    return CHAR_OUT_SIZE - out->count;
}

void char_out_put(struct char_out *out, uint8_t byte)
{
    if (!out->chardev || out->count == CHAR_OUT_SIZE)
        return;
    out->ring[(out->first + out->count) % CHAR_OUT_SIZE] = byte;
    out->count++;
    if (out->waiting)
        return;
    if (out->count == 1)
        timer_set(&out->timer, DELAY_NS);
    else if (out->count == CHAR_OUT_SIZE / 2)
        timer_set(&out->timer, 0);
}

void char_out_writable(struct char_out *out)
{
    machine_lock(out->machine);
    out->waiting = false;
    machine_unlock(out->machine);
    char_out_flush(out);
}

/* What the back end does not take now goes with the state; the rest is out and must not come twice. */
void char_out_save(struct char_out *out, struct writer *w)
{
    unsigned i;

    char_out_flush(out);
    writer_u32(w, out->count);
    for (i = 0; i < out->count; i++)
        writer_u8(w, out->ring[(out->first + i) % CHAR_OUT_SIZE]);
}

int char_out_load(struct char_out *out, struct reader *r)
{
    uint32_t count = reader_u32(r);
    const uint8_t *bytes = count <= CHAR_OUT_SIZE ? reader_bytes(r, count) : NULL;

    if (!bytes)
        return -EINVAL;
    memcpy(out->ring, bytes, count);
    out->first = 0;
    out->count = out->chardev ? count : 0;
    if (out->count && !out->waiting)
        timer_set(&out->timer, DELAY_NS);
    return 0;
}

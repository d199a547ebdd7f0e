#include "tests/lib/null_modem.h"

static size_t can_read(void *front)
{
    const struct null_modem_end *e = front;

    return sizeof(e->data) - e->size;
}

/* What has been said here, to the other one, as far as that takes it. */
static void pass_on(struct null_modem_end *e)
{
    struct chardev *to = e->other->chardev;
    size_t n = e->size ? to->ops->write(to, e->data, e->size) : 0;

    memmove(e->data, e->data + n, e->size - n);
    e->size -= n;
}

static void hear(void *front, const uint8_t *data, size_t size)
{
    struct null_modem_end *e = front;

    memcpy(e->data + e->size, data, size);
    e->size += size;
    pass_on(e);
}

static void writable(void *front)
{
    struct null_modem_end *speaker = ((struct null_modem_end *)front)->other;

    pass_on(speaker);
    speaker->chardev->ops->accept_input(speaker->chardev);
}

static void connected(void *front, bool is)
{
    struct null_modem_end *e = front;
    struct null_modem *m = container_of(e, struct null_modem, ends[0]);
    struct chardev *second = m->ends[1].chardev;

    m->ends[0].size = m->ends[1].size = 0;
    if (second->ops->front_opened)
        second->ops->front_opened(second, is);
    if (m->connected)
        m->connected(is);
}

void null_modem_connect(struct null_modem *m, struct chardev *first, struct chardev *second)
{
    static const struct chardev_front_ops first_ops = {can_read, hear, connected, writable};
    static const struct chardev_front_ops second_ops = {can_read, hear, NULL, writable};
    struct chardev *const chardevs[] = {first, second};

    for (int i = 0; i < 2; i++) {
        m->ends[i].other = &m->ends[!i];
        m->ends[i].chardev = chardevs[i];
        chardevs[i]->front = &m->ends[i];
    }
    second->front_ops = &second_ops;
    first->front_ops = &first_ops;
    first->ops->accept_input(first);
}

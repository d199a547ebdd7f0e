#include "devices/virtio/virtio_serial.h"

#include "base/log.h"
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE    128
#define CONTROL_SIZE  64
#define CONTROL_IN    2
#define CONTROL_OUT   3
#define QUEUES        (2 * SERIAL_MAX_PORTS + 2)
#define SAVED_VERSION 2 /* since 2: what the other ends know */
#define SAVED_END     KIB(16) /* bytes of that, at most */

static_assert(QUEUES <= VIRTIO_MAX_QUEUES, "each port has two, and control has two");

/* What the driver has still to be told of a port, in the order in which it must hear it. */
enum tell { TELL_REMOVE, TELL_ADD, TELL_CONSOLE, TELL_NAME, TELL_CLOSED, TELL_OPEN, TELLS };

struct port {
    struct virtio_serial *serial;
    bool exists, console;
    char name[SERIAL_MAX_NAME];
    struct chardev *chardev;
    bool guest_open; /* somebody in the guest has opened it */
    bool told_open;  /* the driver believes that there is another end */
    uint8_t tell;    /* bits of enum tell */
    uint32_t written; /* bytes of the first output buffer that the other end has taken */
    bool writing;     /* the other end is being given output, and */
    bool go_on;       /* ... has said meanwhile that it takes more */
    struct writer kept; /* from a saved machine, what the other end knows that is still to be connected */
};

struct virtio_serial {
    struct virtio_device virtio;
    bool driver_ready; /* it has asked for the ports */
    struct port ports[SERIAL_MAX_PORTS];
    struct virtq_buffer in, out; /* two: what takes output may answer from within */
};

/* --- which queue is whose (5.3.2) --- */

static struct virtio_queue *input_queue(struct port *p)
{
    unsigned number = (unsigned)(p - p->serial->ports);

    return &p->serial->virtio.queues[number ? 2 * number + 2 : 0];
}

static struct virtio_queue *output_queue(struct port *p)
{
    return input_queue(p) + 1;
}

static bool has_ports(const struct virtio_serial *s)
{
    return virtio_has(&s->virtio, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* --- to the driver: what is told --- */

/* The message that says it; its size, or 0 if it is no more true. */
static size_t compose(struct port *p, enum tell what, uint8_t *message)
{
    static const uint16_t events[] = {
        [TELL_REMOVE] = VIRTIO_CONSOLE_PORT_REMOVE, [TELL_ADD] = VIRTIO_CONSOLE_PORT_ADD,
        [TELL_CONSOLE] = VIRTIO_CONSOLE_CONSOLE_PORT, [TELL_NAME] = VIRTIO_CONSOLE_PORT_NAME,
        [TELL_CLOSED] = VIRTIO_CONSOLE_PORT_OPEN, [TELL_OPEN] = VIRTIO_CONSOLE_PORT_OPEN,
    };
    size_t size = sizeof(struct virtio_console_control);

    store_le32(message, (uint32_t)(p - p->serial->ports));
    store_le16(message + 4, events[what]);
    store_le16(message + 6, what != TELL_CLOSED);
    if (what == TELL_NAME) { /* without its NUL, which the driver adds */
        memcpy(message + size, p->name, strlen(p->name));
        size += strlen(p->name);
    }
    return size;
}

/* False: no buffer for it now. */
static bool send_control(struct virtio_serial *s, const uint8_t *message, size_t size)
{
    struct virtio_queue *q = &s->virtio.queues[CONTROL_IN];
    const struct virtq_buffer *b = &s->in;

    if (!q->live || virtq_pop(&q->vq, &s->in) <= 0)
        return false;
    virtq_push(&q->vq, b->head, (uint32_t)iov_write(b->iov + b->out_count, b->in_count, 0, message, size));
    return true;
}

static bool tell_port(struct port *p)
{
    uint8_t message[sizeof(struct virtio_console_control) + SERIAL_MAX_NAME];

    for (unsigned what = 0; what < TELLS; what++) {
        if (!(p->tell >> what & 1))
            continue;
        if (!send_control(p->serial, message, compose(p, (enum tell)what, message)))
            return false;
        p->tell &= (uint8_t)~(1u << what);
        if (what == TELL_CLOSED || what == TELL_OPEN)
            p->told_open = what == TELL_OPEN;
    }
    return true;
}

static void tell_driver(struct virtio_serial *s)
{
    bool more = s->driver_ready && !s->virtio.broken;

    for (unsigned i = 0; i < SERIAL_MAX_PORTS && more; i++)
        more = tell_port(&s->ports[i]);
    if (s->virtio.queues[CONTROL_IN].live)
        virtio_interrupt(&s->virtio.queues[CONTROL_IN]);
}

static void want(struct port *p, enum tell what)
{
    p->tell |= (uint8_t)(1u << what);
}

/* The other end as it is now. */
static void want_connection(struct port *p)
{
    bool connected = p->chardev && p->chardev->connected;

    p->tell &= (uint8_t)~(1u << TELL_OPEN);
    if (p->told_open)
        want(p, TELL_CLOSED);
    if (connected)
        want(p, TELL_OPEN);
}

/* --- from the driver: data --- */

/* One buffer of output from where the other end stopped; false: it takes no more now. */
static bool write_buffer(struct port *p, const struct virtq_buffer *b)
{
    struct chardev *c = p->chardev;
    size_t at = 0;

    for (unsigned i = 0; c && i < b->out_count; at += b->iov[i++].iov_len)
        while (p->written < at + b->iov[i].iov_len) {
            size_t skip = p->written - at;
            size_t n = c->ops->write(c, (const uint8_t *)b->iov[i].iov_base + skip, b->iov[i].iov_len - skip);

            p->written += (uint32_t)n;
            if (!n)
                return false;
        }
    p->written = 0;
    return true;
}

/* False: the other end takes no more, and writable() will follow. */
static bool write_buffers(struct port *p, struct virtio_queue *q)
{
    struct virtq_buffer *b = &p->serial->out;

    for (unsigned budget = q->vq.size; budget && virtq_pop(&q->vq, b) > 0; budget--) {
        if (p->exists && !write_buffer(p, b)) {
            virtq_unpop(&q->vq, 1);
            return false;
        }
        virtq_push(&q->vq, b->head, 0);
    }
    return true;
}

static void run_output(struct port *p, struct virtio_queue *q)
{
    uint16_t before = q->vq.used_next;
    bool all;

    p->writing = true;
    do {
        p->go_on = false;
        all = write_buffers(p, q);
    } while (!all && p->go_on);
    p->writing = false;
    if (q->vq.used_next != before)
        virtio_interrupt(q);
    virtq_enable_notification(&q->vq, all);
    if (all && virtq_available(&q->vq))
        virtio_kick(q);
}

/* --- from the driver: control --- */

static void offer_ports(struct virtio_serial *s)
{
    s->driver_ready = true;
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++)
        s->ports[i].tell = s->ports[i].exists ? 1u << TELL_ADD : 0;
}

static void port_ready(struct port *p)
{
    if (p->console)
        want(p, TELL_CONSOLE);
    if (p->name[0])
        want(p, TELL_NAME);
    want_connection(p);
}

static void set_open(struct port *p, bool open)
{
    struct chardev *c = p->chardev;

    if (p->guest_open == open)
        return;
    p->guest_open = open;
    if (!c)
        return;
    if (c->ops->front_opened)
        c->ops->front_opened(c, open);
    if (open)
        c->ops->accept_input(c);
}

static void take_control(struct virtio_serial *s, uint32_t id, uint16_t event, uint16_t value)
{
    struct port *p = id < SERIAL_MAX_PORTS ? &s->ports[id] : NULL;

    if (event == VIRTIO_CONSOLE_DEVICE_READY && value)
        offer_ports(s);
    else if (event == VIRTIO_CONSOLE_DEVICE_READY)
        log_once(LOG_WARN, "virtio-serial: the guest's driver could not set the device up");
    else if (!p || !p->exists)
        log_once(LOG_WARN, "virtio-serial: the guest speaks of port %u, which there is not", id);
    else if (event == VIRTIO_CONSOLE_PORT_READY && value)
        port_ready(p);
    else if (event == VIRTIO_CONSOLE_PORT_READY)
        log_once(LOG_WARN, "virtio-serial: the guest's driver could not set port %u up", id);
    else if (event == VIRTIO_CONSOLE_PORT_OPEN)
        set_open(p, value);
}

static void run_control(struct virtio_serial *s, struct virtio_queue *q)
{
    unsigned budget = q->vq.size;

    for (; budget && virtq_pop(&q->vq, &s->out) > 0; budget--) {
        uint8_t message[sizeof(struct virtio_console_control)];
        size_t n = iov_read(s->out.iov, s->out.out_count, 0, message, sizeof(message));

        virtq_push(&q->vq, s->out.head, 0);
        if (n == sizeof(message))
            take_control(s, load_le32(message), load_le16(message + 4), load_le16(message + 6));
    }
    if (budget != q->vq.size)
        virtio_interrupt(q);
    virtq_enable_notification(&q->vq, true);
    if (virtq_available(&q->vq))
        virtio_kick(q);
    tell_driver(s);
}

static void run(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct virtio_serial *s = container_of(virtio, struct virtio_serial, virtio);
    struct port *p = &s->ports[q->index < CONTROL_IN ? 0 : (q->index - 2) / 2];

    if (q->index == CONTROL_IN) {
        virtq_enable_notification(&q->vq, true);
        tell_driver(s);
    } else if (q->index == CONTROL_OUT) {
        run_control(s, q);
    } else if (q->index % 2) {
        run_output(p, q);
    } else {
        virtq_enable_notification(&q->vq, true);
        if (!has_ports(s) && q->index == 0) /* it has no way to say so */
            set_open(p, true);
        if (p->exists && p->chardev)
            p->chardev->ops->accept_input(p->chardev);
    }
}

/* --- the other end --- */

/* What fits into the driver's next buffer; empty ones are given back. */
static size_t room(struct port *p)
{
    struct virtio_queue *q = input_queue(p);
    struct virtq_buffer *b = &p->serial->in;
    unsigned budget = q->live ? q->vq.size : 0;

    if (!p->guest_open || p->serial->virtio.broken)
        return 0;
    for (; budget && virtq_pop(&q->vq, b) > 0; budget--) {
        if (b->in_bytes) {
            virtq_unpop(&q->vq, 1);
            return b->in_bytes;
        }
        virtq_push(&q->vq, b->head, 0);
    }
    return 0;
}

static size_t can_read(void *front)
{
    struct port *p = front;
    size_t n;

    virtio_enter(&p->serial->virtio);
    n = room(p);
    virtio_leave(&p->serial->virtio);
    return n;
}

static void receive(void *front, const uint8_t *data, size_t size)
{
    struct port *p = front;
    struct virtio_queue *q = input_queue(p);
    struct virtq_buffer *b = &p->serial->in;
    size_t done = 0;

    virtio_enter(&p->serial->virtio);
    while (done < size && q->live && virtq_pop(&q->vq, b) > 0) {
        size_t n = iov_write(b->iov + b->out_count, b->in_count, 0, data + done, size - done);

        virtq_push(&q->vq, b->head, (uint32_t)n);
        done += n;
    }
    if (done)
        virtio_interrupt(q);
    virtio_leave(&p->serial->virtio);
}

static void connected(void *front, bool is UNUSED)
{
    struct port *p = front;

    virtio_enter(&p->serial->virtio);
    want_connection(p);
    tell_driver(p->serial);
    virtio_leave(&p->serial->virtio);
}

static void writable(void *front)
{
    struct port *p = front;
    struct virtio_queue *q = output_queue(p);

    virtio_enter(&p->serial->virtio);
    if (p->writing)
        p->go_on = true;
    else if (q->live)
        run_output(p, q);
    virtio_leave(&p->serial->virtio);
}

static const struct chardev_front_ops front_ops = {
    .can_read = can_read, .read = receive, .connected = connected, .writable = writable,
};

/* --- ports --- */

bool virtio_serial_is_name(const char *name)
{
    size_t i = 0;

    while (name[i] > ' ' && name[i] < 0x7f && name[i] != '/')
        i++;
    return i && !name[i] && i < SERIAL_MAX_NAME;
}

/* What the one before knew, or where the machine was saved. */
static int give_end(struct port *p, const uint8_t *data, size_t size)
{
    struct reader r;

    if (!p->chardev->ops->load)
        return size ? -EINVAL : 0;
    reader_init(&r, data, size);
    return p->chardev->ops->load(p->chardev, &r) || r.bad ? -EINVAL : 0;
}

static void attach(struct port *p, struct chardev *c)
{
    p->chardev = c;
    if (!c)
        return;
    c->front = p;
    c->front_ops = &front_ops;
}

int virtio_serial_add(struct virtio_serial *s, const struct serial_port *port)
{
    struct port *p;
    bool removing;

    if (port->number >= SERIAL_MAX_PORTS)
        return -ENOSPC;
    p = &s->ports[port->number];
    if (p->exists)
        return -EEXIST;
    if (port->name && !virtio_serial_is_name(port->name))
        return -EINVAL;
    removing = p->tell >> TELL_REMOVE & 1;
    *p = (struct port){.serial = s, .exists = true, .console = port->console};
    if (port->name)
        strcpy(p->name, port->name);
    p->tell = (uint8_t)(removing << TELL_REMOVE | 1u << TELL_ADD);
    attach(p, port->chardev);
    tell_driver(s);
    return 0;
}

int virtio_serial_free_number(const struct virtio_serial *s)
{
    for (int i = 1; i < SERIAL_MAX_PORTS; i++)
        if (!s->ports[i].exists)
            return i;
    return -ENOSPC;
}

static void detach(struct port *p)
{
    struct chardev *c = p->chardev;

    set_open(p, false);
    if (c)
        c->front_ops = NULL;
    p->chardev = NULL;
}

int virtio_serial_remove(struct virtio_serial *s, unsigned number)
{
    struct port *p = number < SERIAL_MAX_PORTS ? &s->ports[number] : NULL;

    if (!p || !p->exists)
        return -ENOENT;
    detach(p);
    /* Of one that it was never told of it need not hear. */
    p->tell = p->tell >> TELL_ADD & 1 ? p->tell & 1u << TELL_REMOVE : 1u << TELL_REMOVE;
    p->exists = p->told_open = false;
    p->written = 0;
    writer_fini(&p->kept);
    tell_driver(s);
    return 0;
}

int virtio_serial_connect(struct virtio_serial *s, unsigned number, struct chardev *c)
{
    struct port *p = number < SERIAL_MAX_PORTS ? &s->ports[number] : NULL;

    bool open = p && p->guest_open, returns;
    int err = 0;

    if (!p || !p->exists)
        return -ENOENT;
    detach(p);
    attach(p, c);
    set_open(p, open);
    returns = c && p->kept.size; /* as the guest knows it */
    if (returns)
        err = give_end(p, p->kept.data, p->kept.size);
    writer_fini(&p->kept);
    if (!returns)
        want_connection(p);
    tell_driver(s);
    return err;
}

bool virtio_serial_is_open(const struct virtio_serial *s, unsigned number)
{
    return number < SERIAL_MAX_PORTS && s->ports[number].guest_open;
}

/* --- life --- */

static void reset(struct virtio_device *virtio)
{
    struct virtio_serial *s = container_of(virtio, struct virtio_serial, virtio);

    s->driver_ready = false;
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
        struct port *p = &s->ports[i];

        set_open(p, false);
        p->told_open = false;
        p->tell = 0;
        p->written = 0;
    }
}

/* VIRTIO_CONSOLE_F_EMERG_WRITE: a character without any queue. */
static void config_written(struct virtio_device *virtio, unsigned offset, uint32_t value, unsigned width UNUSED)
{
    struct virtio_serial *s = container_of(virtio, struct virtio_serial, virtio);
    struct chardev *c = s->ports[0].chardev;
    uint8_t byte = (uint8_t)value;

    if (offset == offsetof(struct virtio_console_config, emerg_wr) && c)
        c->ops->write(c, &byte, 1);
}

/* What the other end knows, with its size before it. */
static void save_end(const struct port *p, struct writer *w)
{
    struct writer end;

    writer_init(&end, SAVED_END);
    if (p->chardev && p->chardev->ops->save)
        p->chardev->ops->save(p->chardev, &end);
    writer_u32(w, (uint32_t)end.size);
    writer_bytes(w, end.data, end.size);
    w->bad |= end.bad;
    writer_fini(&end);
}

static void save(struct device *device, struct writer *w)
{
    struct virtio_serial *s = container_of(device, struct virtio_serial, virtio.pci.base);

    virtio_save(device, w);
    writer_u8(w, s->driver_ready);
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
        const struct port *p = &s->ports[i];

        writer_u8(w, p->exists);
        writer_bytes(w, p->name, sizeof(p->name));
        writer_u8(w, p->guest_open);
        writer_u8(w, p->told_open);
        writer_u8(w, p->tell);
        writer_u32(w, p->written);
        save_end(p, w);
    }
}

static int load_end(struct port *p, struct reader *r)
{
    uint32_t size = reader_u32(r);
    const uint8_t *data = size <= SAVED_END ? reader_bytes(r, size) : NULL;

    if (size && !data)
        return -EINVAL;
    if (p->chardev)
        return size ? give_end(p, data, size) : 0;
    writer_fini(&p->kept);
    writer_init(&p->kept, SAVED_END);
    writer_bytes(&p->kept, data, size);
    return p->kept.bad ? -ENOMEM : 0;
}

/* The same ports must be there as when it was saved. */
static int load_port(struct port *p, struct reader *r, uint32_t version)
{
    bool exists = reader_u8(r);
    char name[SERIAL_MAX_NAME];
    bool open;

    reader_copy(r, name, sizeof(name));
    if (exists != p->exists || memcmp(name, p->name, sizeof(name)) != 0)
        return -EINVAL;
    open = reader_u8(r);
    p->told_open = reader_u8(r);
    p->tell = reader_u8(r) & ((1u << TELLS) - 1);
    p->written = reader_u32(r);
    if (p->exists)
        set_open(p, open);
    return version < 2 ? 0 : load_end(p, r);
}

static int load(struct device *device, struct reader *r, uint32_t version)
{
    struct virtio_serial *s = container_of(device, struct virtio_serial, virtio.pci.base);
    int err = virtio_load(device, r, version);

    s->driver_ready = !err && reader_u8(r);
    for (unsigned i = 0; i < SERIAL_MAX_PORTS && !err; i++)
        err = load_port(&s->ports[i], r, version);
    return err;
}

/* Whoever was at the other end is not the one that is there now. */
static void resume(struct device *device)
{
    struct virtio_serial *s = container_of(device, struct virtio_serial, virtio.pci.base);

    virtio_resume(device);
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
        struct port *p = &s->ports[i];
        bool connected = p->chardev && p->chardev->connected;

        if (p->exists && !p->kept.size && p->told_open != connected)
            want_connection(p);
    }
    tell_driver(s);
}

static void destroy(struct device *device)
{
    struct virtio_serial *s = container_of(device, struct virtio_serial, virtio.pci.base);

    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++)
        if (s->ports[i].exists)
            detach(&s->ports[i]);
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++)
        writer_fini(&s->ports[i].kept);
    virtio_fini(&s->virtio);
    free(s);
}

static const struct device_ops serial_device_ops = {
    .name = "virtio-serial",
    .version = SAVED_VERSION,
    .reset = virtio_reset,
    .save = save,
    .load = load,
    .resume = resume,
    .destroy = destroy,
};

static const struct virtio_ops serial_ops = {
    .type = VIRTIO_ID_CONSOLE,
    .pci_device = 0x1003,
    .pci_class = 0x078000, /* communication controller */
    .run = run,
    .reset = reset,
    .config_written = config_written,
};

int virtio_serial_create(struct machine *machine, uint8_t devfn, struct virtio_serial **created)
{
    uint16_t sizes[QUEUES];
    struct virtio_serial *s = calloc(1, sizeof(*s));
    int err;

    if (!s)
        return -ENOMEM;
    for (unsigned i = 0; i < QUEUES; i++)
        sizes[i] = i == CONTROL_IN || i == CONTROL_OUT ? CONTROL_SIZE : QUEUE_SIZE;
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++)
        s->ports[i].serial = s;
    s->virtio.ops = &serial_ops;
    s->virtio.offered = 1ULL << VIRTIO_CONSOLE_F_MULTIPORT | 1ULL << VIRTIO_CONSOLE_F_EMERG_WRITE;
    s->virtio.config_size = sizeof(struct virtio_console_config);
    store_le32(s->virtio.config + offsetof(struct virtio_console_config, max_nr_ports), SERIAL_MAX_PORTS);
    err = virtio_init(&s->virtio, &serial_device_ops, machine, devfn, sizes, QUEUES);
    if (err) {
        free(s);
        return err;
    }
    *created = s;
    return 0;
}

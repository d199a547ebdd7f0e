/* The console device with many ports, driven as Linux' virtio_console drives it; the other ends are the test's. */
#include "devices/virtio/virtio_serial.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/virtio_driver.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVFN    PCI_DEVFN(7, 0)
#define BIT(n)   (1ULL << (n))
#define BUFFER   64 /* bytes of an input buffer */
#define BUFFERS  8
#define CONTROLS 16

enum { CONTROL_IN = 2, CONTROL_OUT = 3 };

/* Another end that takes so much and no more. */
struct peer {
    struct chardev base;
    uint8_t got[4096];
    size_t size, room;
    bool short_write, open;
    unsigned opened, accepts;
};

struct fixture {
    struct fake_machine m;
    struct virtio_serial *serial;
    struct driver d;
    struct driver_queue q[2 * SERIAL_MAX_PORTS + 2];
    gpa_t control[CONTROLS], input[2 * SERIAL_MAX_PORTS + 2][BUFFERS];
    gpa_t at[2 * SERIAL_MAX_PORTS + 2][128]; /* where the buffer of a head is */
    struct peer peers[2]; /* of ports 1 and 2 */
};

static size_t peer_write(struct chardev *c, const uint8_t *data, size_t size)
{
    struct peer *p = container_of(c, struct peer, base);
    size_t n = MIN(size, p->room - p->size);

    memcpy(p->got + p->size, data, n);
    p->size += n;
    p->short_write = n < size;
    return n;
}

static void peer_accept_input(struct chardev *c)
{
    container_of(c, struct peer, base)->accepts++;
}

static void peer_front_opened(struct chardev *c, bool open)
{
    struct peer *p = container_of(c, struct peer, base);

    p->open = open;
    p->opened += open;
}

static const struct chardev_ops peer_ops = {
    .write = peer_write, .accept_input = peer_accept_input, .front_opened = peer_front_opened,
};

static void peer_connect(struct peer *p, bool connected)
{
    p->base.connected = connected;
    p->base.front_ops->connected(p->base.front, connected);
}

/* --- the driver --- */

static void give(struct fixture *f, unsigned queue, gpa_t addr, uint32_t size)
{
    uint16_t head = driver_add(&f->q[queue], &(struct driver_buffer){addr, size, true}, 1, 0);

    f->at[queue][head] = addr;
    driver_kick(&f->q[queue]);
}

static void say(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
    struct virtio_console_control message = {id, event, value};
    gpa_t addr = driver_alloc(&f->d, sizeof(message));
    uint16_t head;
    uint32_t written;

    memcpy(driver_pointer(&f->d, addr), &message, sizeof(message));
    driver_add(&f->q[CONTROL_OUT], &(struct driver_buffer){addr, sizeof(message), false}, 1, 0);
    driver_kick(&f->q[CONTROL_OUT]);
    assert_true(driver_wait_used(&f->q[CONTROL_OUT], &head, &written));
}

/* What came in a queue's next buffer, which goes back; NULL: nothing. */
static const uint8_t *taken(struct fixture *f, unsigned queue, uint32_t size, uint32_t *written)
{
    static uint8_t copy[256];
    uint16_t head;

    if (!driver_take_used(&f->q[queue], &head, written))
        return NULL;
    memcpy(copy, driver_pointer(&f->d, f->at[queue][head]), MIN(*written, sizeof(copy)));
    give(f, queue, f->at[queue][head], size);
    return copy;
}

static void assert_told(struct fixture *f, uint32_t id, uint16_t event, uint16_t value, const char *text)
{
    uint32_t written;
    const uint8_t *m = taken(f, CONTROL_IN, 128, &written);

    assert_non_null(m);
    assert_int_equal(written, 8 + strlen(text));
    assert_int_equal(load_le32(m), id);
    assert_int_equal(load_le16(m + 4), event);
    assert_int_equal(load_le16(m + 6), value);
    assert_memory_equal(m + 8, text, strlen(text));
}

static void assert_told_nothing(struct fixture *f)
{
    uint32_t written;

    assert_null(taken(f, CONTROL_IN, 128, &written));
}

static void give_control(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        f->control[i] = driver_alloc(&f->d, 128);
        give(f, CONTROL_IN, f->control[i], 128);
    }
}

static unsigned queue_of(unsigned port)
{
    return port ? 2 * port + 2 : 0;
}

static void give_input(struct fixture *f, unsigned port)
{
    for (unsigned i = 0; i < BUFFERS; i++)
        give(f, queue_of(port), driver_alloc(&f->d, BUFFER), BUFFER);
}

static void put_port(struct fixture *f, unsigned number, const char *name, struct peer *peer)
{
    *peer = (struct peer){.base = {.ops = &peer_ops, .connected = true}, .room = sizeof(peer->got)};
    assert_int_equal(virtio_serial_add(f->serial, &(struct serial_port){number, name, false, &peer->base}), 0);
}

static struct fixture *create(enum driver_interface interface, uint64_t features)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->m, MIB(16), true), 0);
    assert_int_equal(virtio_serial_create(&f->m.base, DEVFN, &f->serial), 0);
    put_port(f, 1, "org.example.one", &f->peers[0]);
    driver_init(&f->d, &f->m, DEVFN, interface, interface == DRIVER_MODERN);
    assert_true(driver_negotiate(&f->d, features));
    for (unsigned i = 0; i < ARRAY_SIZE(f->q); i++)
        driver_setup_queue(&f->d, &f->q[i], i, i == CONTROL_IN || i == CONTROL_OUT ? 64 : 128);
    driver_ok(&f->d);
    fake_machine_run(&f->m, 0);
    return f;
}

/* Port 1 is known to the driver and open at both ends. */
static struct fixture *start_with(enum driver_interface interface)
{
    struct fixture *f = create(interface, ~0ULL);

    give_control(f, CONTROLS);
    say(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    assert_told_nothing(f);
    give_input(f, 1);
    say(f, 1, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "org.example.one");
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    assert_false(virtio_serial_is_open(f->serial, 1));
    say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
    assert_told_nothing(f);
    return f;
}

static struct fixture *start(void)
{
    return start_with(DRIVER_MODERN);
}

static void stop(struct fixture *f)
{
    fake_machine_fini(&f->m);
    assert_null(f->peers[0].base.front_ops);
    free(f);
}

static void guest_writes(struct fixture *f, const char *text, size_t first_piece)
{
    size_t size = strlen(text);
    gpa_t addr = driver_alloc(&f->d, size);
    const struct driver_buffer pieces[] = {{addr, (uint32_t)first_piece, false},
                                           {addr + first_piece, (uint32_t)(size - first_piece), false}};

    memcpy(driver_pointer(&f->d, addr), text, size);
    driver_add(&f->q[queue_of(1) + 1], pieces, 2, 0);
    driver_kick(&f->q[queue_of(1) + 1]);
    fake_machine_run(&f->m, 0);
}

static bool output_done(struct fixture *f)
{
    uint16_t head;
    uint32_t written;

    return driver_take_used(&f->q[queue_of(1) + 1], &head, &written);
}

static size_t host_writes(struct peer *p, const char *text)
{
    const struct chardev_front_ops *front = p->base.front_ops;
    size_t n = MIN(front->can_read(p->base.front), strlen(text));

    if (n)
        front->read(p->base.front, (const uint8_t *)text, n);
    return n;
}

/* --- tests --- */

static void identity(void **state UNUSED)
{
    struct fixture *f = start();

    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_DEVICE_ID, 2), 0x1003);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, PCI_SUBSYSTEM_ID, 2), 3);
    assert_true(driver_offered(&f->d) & BIT(VIRTIO_CONSOLE_F_MULTIPORT));
    assert_int_equal(driver_config(&f->d, offsetof(struct virtio_console_config, max_nr_ports), 4), SERIAL_MAX_PORTS);
    stop(f);
}

static void data(void **state UNUSED)
{
    static const enum driver_interface interfaces[] = {DRIVER_LEGACY, DRIVER_MODERN};

    for (unsigned i = 0; i < ARRAY_SIZE(interfaces); i++) {
        struct fixture *f = start_with(interfaces[i]);
        struct peer *p = &f->peers[0];
        const uint8_t *m;
        uint32_t written;

        assert_true(p->open && virtio_serial_is_open(f->serial, 1));
        assert_true(p->accepts > 0);
        guest_writes(f, "hello, host", 3);
        assert_true(output_done(f));
        assert_int_equal(p->size, 11);
        assert_memory_equal(p->got, "hello, host", 11);
        assert_int_equal(host_writes(p, "hello, guest"), 12);
        m = taken(f, queue_of(1), BUFFER, &written);
        assert_non_null(m);
        assert_int_equal(written, 12);
        assert_memory_equal(m, "hello, guest", 12);
        stop(f);
    }
}

/* Nobody reads in the guest: what is sent waits at its sender. */
static void closed_in_the_guest(void **state UNUSED)
{
    struct fixture *f = start();
    struct peer *p = &f->peers[0];
    unsigned accepts = p->accepts;

    say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
    assert_false(p->open);
    assert_int_equal(host_writes(p, "x"), 0);
    say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
    assert_int_equal(p->opened, 2);
    assert_true(p->accepts > accepts);
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_int_equal(host_writes(p, "x"), 1);
    assert_int_equal(host_writes(p, "x"), 0); /* no buffer is left */
    stop(f);
}

static void slow_peer(void **state UNUSED)
{
    struct fixture *f = start();
    struct peer *p = &f->peers[0];

    p->room = 5;
    guest_writes(f, "0123456789", 4);
    guest_writes(f, "abcdef", 1);
    assert_false(output_done(f));
    assert_int_equal(p->size, 5);
    for (; p->room < 16; p->room++)
        p->base.front_ops->writable(p->base.front);
    assert_true(output_done(f));
    assert_false(output_done(f));
    p->base.front_ops->writable(p->base.front);
    assert_true(output_done(f));
    assert_int_equal(p->size, 16);
    assert_memory_equal(p->got, "0123456789abcdef", 16);
    stop(f);
}

/* Each end of the other's presence is told, also when it comes again before the driver could hear. */
static void comes_and_goes(void **state UNUSED)
{
    struct fixture *f = start();
    struct peer *p = &f->peers[0];

    peer_connect(p, false);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
    peer_connect(p, true);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    peer_connect(p, false);
    peer_connect(p, true);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    assert_told_nothing(f);
    stop(f);
}

static void hot_plug(void **state UNUSED)
{
    struct fixture *f = start();

    assert_int_equal(virtio_serial_free_number(f->serial), 2);
    put_port(f, 2, "two", &f->peers[1]);
    assert_told(f, 2, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    say(f, 2, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_told(f, 2, VIRTIO_CONSOLE_PORT_NAME, 1, "two");
    assert_told(f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    say(f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
    assert_true(f->peers[1].open);
    assert_int_equal(virtio_serial_remove(f->serial, 2), 0);
    assert_false(f->peers[1].open);
    assert_null(f->peers[1].base.front_ops);
    assert_told(f, 2, VIRTIO_CONSOLE_PORT_REMOVE, 1, "");
    assert_int_equal(virtio_serial_remove(f->serial, 2), -ENOENT);
    assert_int_equal(virtio_serial_add(f->serial, &(struct serial_port){1, "x", false, NULL}), -EEXIST);
    assert_int_equal(virtio_serial_add(f->serial, &(struct serial_port){2, "a/b", false, NULL}), -EINVAL);
    assert_int_equal(virtio_serial_add(f->serial, &(struct serial_port){SERIAL_MAX_PORTS, "x", false, NULL}), -ENOSPC);
    stop(f);
}

/* Without buffers nothing is told, nothing is lost, and nothing that was over before it could be. */
static void told_late(void **state UNUSED)
{
    struct fixture *f = create(DRIVER_MODERN, ~0ULL);

    say(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    put_port(f, 2, "two", &f->peers[1]);
    assert_int_equal(virtio_serial_remove(f->serial, 2), 0);
    give_control(f, 1);
    fake_machine_run(&f->m, 0);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    assert_int_equal(virtio_serial_remove(f->serial, 1), 0); /* and the number is taken again */
    fake_machine_run(&f->m, 0);
    put_port(f, 1, "again", &f->peers[0]);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_REMOVE, 1, "");
    fake_machine_run(&f->m, 0);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    fake_machine_run(&f->m, 0);
    assert_told_nothing(f);
    stop(f);
}

static void resets(void **state UNUSED)
{
    struct fixture *f = start();
    struct peer *p = &f->peers[0];

    p->room = 2;
    guest_writes(f, "0123", 1);
    driver_reset(&f->d);
    fake_machine_run(&f->m, 0);
    assert_false(p->open);
    assert_int_equal(host_writes(p, "x"), 0);
    p->base.front_ops->writable(p->base.front);
    peer_connect(p, false);
    assert_int_equal(p->size, 2);
    stop(f);
}

/* A driver without VIRTIO_CONSOLE_F_MULTIPORT has port 0 and no way to say that it is open. */
static void one_console(void **state UNUSED)
{
    struct fixture *f = create(DRIVER_LEGACY, 0);
    struct peer console;
    uint32_t written;

    console = (struct peer){.base = {.ops = &peer_ops, .connected = true}, .room = sizeof(console.got)};
    assert_int_equal(virtio_serial_add(f->serial, &(struct serial_port){0, NULL, true, &console.base}), 0);
    give_input(f, 0);
    fake_machine_run(&f->m, 0);
    assert_true(console.open);
    assert_int_equal(host_writes(&console, "root\n"), 5);
    assert_non_null(taken(f, 0, BUFFER, &written));
    stop(f);
}

static void console_port(void **state UNUSED)
{
    struct fixture *f = start();
    struct peer *console = &f->peers[1];

    *console = (struct peer){.base = {.ops = &peer_ops}, .room = sizeof(console->got)};
    assert_int_equal(virtio_serial_add(f->serial, &(struct serial_port){0, NULL, true, &console->base}), 0);
    assert_told(f, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    say(f, 0, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_told(f, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "");
    assert_told_nothing(f);
    fake_mmio_write(&f->m, f->d.config + offsetof(struct virtio_console_config, emerg_wr), '!', 4);
    assert_int_equal(console->size, 1);
    assert_int_equal(console->got[0], '!');
    stop(f);
}

static void nonsense(void **state UNUSED)
{
    struct fixture *f = start();
    struct driver_buffer small = {driver_alloc(&f->d, 16), 3, false};
    uint16_t head;
    uint32_t written;

    say(f, SERIAL_MAX_PORTS, VIRTIO_CONSOLE_PORT_READY, 1);
    say(f, ~0u, VIRTIO_CONSOLE_PORT_OPEN, 1);
    say(f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
    say(f, 1, 77, 1);
    say(f, 1, VIRTIO_CONSOLE_PORT_READY, 0);
    driver_add(&f->q[CONTROL_OUT], &small, 1, 0);
    driver_kick(&f->q[CONTROL_OUT]);
    assert_true(driver_wait_used(&f->q[CONTROL_OUT], &head, &written));
    assert_told_nothing(f);
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_int_equal(host_writes(&f->peers[0], "x"), 1);
    small.in = true;
    driver_add(&f->q[queue_of(1)], &small, 1, 0);
    driver_kick(&f->q[queue_of(1)]);
    fake_machine_run(&f->m, 0);
    assert_int_equal(host_writes(&f->peers[0], "longer"), 3);
    stop(f);
}

static void saved(void **state UNUSED)
{
    struct fixture *f = start();
    struct device *device = TAILQ_LAST(&f->m.base.devices, device_list);
    struct peer *p = &f->peers[0];
    struct writer w;
    struct reader r;

    p->room = 5;
    guest_writes(f, "0123456789", 4);
    writer_init(&w, MIB(1));
    device->ops->save(device, &w);
    device->ops->reset(device);
    assert_false(p->open);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, device->ops->version), 0);
    assert_int_equal(reader_left(&r), 0);
    p->base.connected = false; /* it is another machine */
    device->ops->resume(device);
    assert_true(p->open);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
    p->room = 10;
    fake_machine_run(&f->m, 0);
    p->base.front_ops->writable(p->base.front);
    assert_memory_equal(p->got, "0123456789", 10);
    assert_int_equal(p->size, 10);
    /* Other ports than were saved. */
    assert_int_equal(virtio_serial_remove(f->serial, 1), 0);
    reader_init(&r, w.data, w.size);
    assert_int_not_equal(device->ops->load(device, &r, device->ops->version), 0);
    writer_fini(&w);
    stop(f);
}

static void remember(struct chardev *c UNUSED, struct writer *w)
{
    writer_u32(w, 4711);
}

static int recall(struct chardev *c, struct reader *r)
{
    struct peer *p = container_of(c, struct peer, base);

    p->accepts = reader_u32(r); /* after it was opened */
    return p->open && p->accepts == 4711 ? 0 : -EINVAL;
}

static const struct chardev_ops remembering_ops = {
    .write = peer_write, .accept_input = peer_accept_input, .front_opened = peer_front_opened,
    .save = remember, .load = recall,
};

/* What another end knows is saved with the machine, and given to the one that is connected later; the guest sees no change. */
static void late_end(void **state UNUSED)
{
    struct fixture *f = start();
    struct device *device = TAILQ_LAST(&f->m.base.devices, device_list);
    struct peer *p = &f->peers[0];
    struct writer w;
    struct reader r;

    p->base.ops = &remembering_ops;
    writer_init(&w, MIB(1));
    device->ops->save(device, &w); /* from here on the guest stands still */
    assert_int_equal(virtio_serial_connect(f->serial, 1, NULL), 0);
    assert_null(p->base.front_ops);
    assert_false(p->open);
    assert_int_equal(virtio_serial_connect(f->serial, 9, &p->base), -ENOENT);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, device->ops->version), 0);
    device->ops->resume(device);
    assert_int_equal(virtio_serial_connect(f->serial, 1, &p->base), 0);
    assert_int_equal(p->accepts, 4711);
    assert_true(p->open);
    assert_told_nothing(f);
    /* The next one comes while the guest runs, and the guest hears of it. */
    assert_int_equal(virtio_serial_connect(f->serial, 1, &p->base), 0);
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
    assert_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    writer_fini(&w);
    stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),    cmocka_unit_test(data),           cmocka_unit_test(closed_in_the_guest),
        cmocka_unit_test(slow_peer),   cmocka_unit_test(comes_and_goes), cmocka_unit_test(hot_plug),
        cmocka_unit_test(told_late),   cmocka_unit_test(resets),         cmocka_unit_test(one_console),
        cmocka_unit_test(console_port), cmocka_unit_test(nonsense),      cmocka_unit_test(saved),
        cmocka_unit_test(late_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

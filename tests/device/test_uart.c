/* test_uart.c - the serial port driven as Linux' 8250 driver does, in front of a back end that the test controls. */
#include "devices/platform/debugport.h"
#include "devices/platform/uart16550.h"
#include "tests/lib/fake_machine.h"

#include <linux/serial_reg.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define PORT 0x3f8
#define IRQ  4

/* A back end that takes as much as the test lets it. */
struct sink {
    struct chardev base;
    char data[1 << 16];
    size_t size, limit; /* it takes no more than limit in all */
    unsigned writes, invitations;
};

struct fixture {
    struct fake_machine machine;
    struct sink sink;
    struct device *uart;
};

static size_t sink_write(struct chardev *c, const uint8_t *data, size_t size)
{
    struct sink *sink = container_of(c, struct sink, base);
    size_t n = MIN(size, sink->limit - sink->size);

    memcpy(sink->data + sink->size, data, n);
    sink->size += n;
    sink->writes++;
    return n;
}

static void sink_accept(struct chardev *c)
{
    container_of(c, struct sink, base)->invitations++;
}

static const struct chardev_ops sink_ops = {.write = sink_write, .accept_input = sink_accept};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    f->sink.base.ops = &sink_ops;
    f->sink.limit = sizeof(f->sink.data);
    f->uart = uart16550_create(&f->machine.base, PORT, IRQ, &f->sink.base);
    assert_non_null(f->uart);
    fake_machine_reset(&f->machine);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    free(f);
    return 0;
}

static uint8_t in(struct fixture *f, unsigned reg)
{
    return (uint8_t)fake_in(&f->machine, (uint16_t)(PORT + reg), 1);
}

static void out(struct fixture *f, unsigned reg, uint8_t value)
{
    fake_out(&f->machine, (uint16_t)(PORT + reg), value, 1);
}

static bool up(const struct fixture *f)
{
    return f->machine.gsi_level[IRQ];
}

/* What arrives from the other end, as a back end gives it: never more than the port takes. */
static size_t receive(struct fixture *f, const char *text)
{
    const struct chardev_front_ops *ops = f->sink.base.front_ops;
    size_t room = ops->can_read(f->sink.base.front), n = MIN(strlen(text), room);

    if (n)
        ops->read(f->sink.base.front, (const uint8_t *)text, n);
    return n;
}

static void open_port(struct fixture *f, uint8_t ier)
{
    out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
    out(f, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    out(f, UART_IER, ier);
}

/* --- tests --- */

/* Linux' autoconfig: interrupt enable and scratch registers, loopback, FIFO size. */
static void is_found(void **state)
{
    struct fixture *f = *state;

    out(f, UART_IER, 0xff);
    assert_int_equal(in(f, UART_IER), 0x0f);
    out(f, UART_IER, 0);
    assert_int_equal(in(f, UART_IER), 0);
    out(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
    assert_int_equal(in(f, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
    out(f, UART_MCR, 0);
    assert_int_equal(in(f, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
    out(f, UART_SCR, 0xa5);
    assert_int_equal(in(f, UART_SCR), 0xa5);
    assert_int_equal(in(f, UART_IIR), UART_IIR_NO_INT);
    out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
    assert_int_equal(in(f, UART_IIR), 0xc0 | UART_IIR_NO_INT);
    assert_int_equal(in(f, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

static void has_a_divisor(void **state)
{
    struct fixture *f = *state;

    out(f, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
    out(f, UART_DLL, 0x34);
    out(f, UART_DLM, 0x12);
    assert_int_equal(in(f, UART_DLL) | in(f, UART_DLM) << 8, 0x1234);
    out(f, UART_LCR, UART_LCR_WLEN8);
    assert_int_equal(in(f, UART_IER), 0);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->sink.size, 0);
}

static void batches_output(void **state)
{
    struct fixture *f = *state;
    const char *text = "a line of a kernel's console\n";
    unsigned i;

    for (i = 0; text[i]; i++) {
        assert_true(in(f, UART_LSR) & UART_LSR_TEMT);
        out(f, UART_TX, (uint8_t)text[i]);
    }
    assert_int_equal(f->sink.writes, 0);
    fake_machine_run(&f->machine, 20);
    assert_int_equal(f->sink.size, strlen(text));
    assert_memory_equal(f->sink.data, text, strlen(text));
    assert_true(f->sink.writes <= 2);
}

static void transmit_interrupts(void **state)
{
    struct fixture *f = *state;

    open_port(f, UART_IER_THRI);
    assert_true(up(f));
    assert_int_equal(in(f, UART_IIR) & 15, UART_IIR_THRI);
    assert_false(up(f)); /* reading acknowledged it */
    assert_int_equal(in(f, UART_IIR) & 15, UART_IIR_NO_INT);
    /* Linux' test for a broken chip: enabling it again asserts it again. */
    out(f, UART_IER, 0);
    out(f, UART_IER, UART_IER_THRI);
    assert_true(up(f));
    in(f, UART_IIR);
    out(f, UART_TX, 'x');
    assert_true(up(f));
    assert_int_equal(f->machine.gsi_edges[IRQ], 3);
}

static void out2_gates_interrupts(void **state)
{
    struct fixture *f = *state;

    open_port(f, UART_IER_THRI);
    out(f, UART_MCR, 0);
    assert_false(up(f));
    out(f, UART_MCR, UART_MCR_OUT2);
    assert_true(up(f));
}

static void receives(void **state)
{
    struct fixture *f = *state;

    open_port(f, UART_IER_RDI);
    assert_int_equal(receive(f, "abc"), 3);
    assert_true(up(f));
    assert_int_equal(in(f, UART_IIR), 0xcc); /* fewer than the trigger level */
    assert_int_equal(receive(f, "defghi"), 6);
    assert_int_equal(in(f, UART_IIR), 0xc4);
    assert_true(in(f, UART_LSR) & UART_LSR_DR);
    assert_int_equal(in(f, UART_RX), 'a');
    assert_int_equal(in(f, UART_RX), 'b');
    assert_int_equal(in(f, UART_IIR), 0xcc);
    while (in(f, UART_LSR) & UART_LSR_DR)
        in(f, UART_RX);
    assert_false(up(f));
    assert_int_equal(in(f, UART_IIR), 0xc1);
}

/* More than the FIFO holds waits in the back end, which is asked to go on when the guest has read. */
static void asks_for_more_when_empty(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    open_port(f, 0);
    assert_int_equal(receive(f, "0123456789abcdefghij"), 16);
    assert_int_equal(receive(f, "ghij"), 0);
    for (i = 0; i < 16; i++) {
        fake_machine_run(&f->machine, 0);
        assert_int_equal(f->sink.invitations, 0);
        assert_int_equal(in(f, UART_RX), "0123456789abcdef"[i]);
    }
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->sink.invitations, 1);
    assert_int_equal(receive(f, "ghij"), 4);
    assert_int_equal(in(f, UART_LSR) & UART_LSR_OE, 0);
    /* Without FIFOs there is one place. */
    out(f, UART_FCR, 0);
    assert_int_equal(in(f, UART_LSR) & UART_LSR_DR, 0);
    assert_int_equal(receive(f, "xyz"), 1);
}

static void loops_back(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    open_port(f, 0);
    out(f, UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT1);
    assert_int_equal(in(f, UART_MSR) & 0xf0, UART_MSR_DSR | UART_MSR_RI);
    assert_int_equal(in(f, UART_MSR) & 0x0f, 0); /* the deltas were read */
    for (i = 0; i < 17; i++)
        out(f, UART_TX, (uint8_t)i);
    assert_int_equal(in(f, UART_LSR) & (UART_LSR_DR | UART_LSR_OE), UART_LSR_DR | UART_LSR_OE);
    assert_int_equal(in(f, UART_LSR) & UART_LSR_OE, 0);
    for (i = 0; i < 16; i++)
        assert_int_equal(in(f, UART_RX), i);
    out(f, UART_MCR, UART_MCR_LOOP);
    assert_int_equal(in(f, UART_MSR), UART_MSR_DDSR | UART_MSR_TERI);
    assert_int_equal(receive(f, "x"), 0);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->sink.size, 0);
    out(f, UART_MCR, 0);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->sink.invitations, 1);
}

static void status_interrupts_come_first(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    open_port(f, UART_IER_RDI | UART_IER_RLSI | UART_IER_MSI);
    out(f, UART_MCR, UART_MCR_LOOP);
    for (i = 0; i < 17; i++)
        out(f, UART_TX, 0);
    assert_int_equal(in(f, UART_IIR) & 15, UART_IIR_RLSI);
    in(f, UART_LSR);
    assert_int_equal(in(f, UART_IIR) & 15, UART_IIR_RDI);
    out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
    assert_int_equal(in(f, UART_IIR) & 15, UART_IIR_MSI);
    in(f, UART_MSR);
    assert_int_equal(in(f, UART_IIR) & 15, UART_IIR_NO_INT);
}

/* A slow other end: the guest is held up, and nothing is lost. */
static void waits_for_a_slow_back_end(void **state)
{
    struct fixture *f = *state;
    unsigned sent = 0, edges;

    f->sink.limit = 100;
    open_port(f, UART_IER_THRI);
    while (in(f, UART_LSR) & UART_LSR_THRE) {
        unsigned i;

        for (i = 0; i < 16; i++)
            out(f, UART_TX, (uint8_t)sent++);
        assert_true(sent < 20000);
        if (sent % 4096 == 0)
            fake_machine_run(&f->machine, 3);
    }
    fake_machine_run(&f->machine, 10);
    assert_int_equal(f->sink.size, 100);
    in(f, UART_IIR);
    assert_false(up(f));
    edges = f->machine.gsi_edges[IRQ];
    f->sink.limit = sizeof(f->sink.data);
    f->sink.base.front_ops->writable(f->sink.base.front);
    fake_machine_run(&f->machine, 10);
    assert_int_equal(f->sink.size, sent);
    assert_int_equal(f->machine.gsi_edges[IRQ], edges + 1);
    assert_true(in(f, UART_LSR) & UART_LSR_THRE);
    while (sent-- > 0)
        assert_int_equal((uint8_t)f->sink.data[sent], (uint8_t)sent);
}

/* The last words before a power-off or a reset come out too. */
static void flushes_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct device *device = f->uart;

    out(f, UART_TX, 'b');
    fake_machine_reset(&f->machine);
    out(f, UART_TX, 'y');
    machine_lock(&f->machine.base);
    TAILQ_REMOVE(&f->machine.base.devices, device, link);
    device->ops->destroy(device);
    machine_unlock(&f->machine.base);
    assert_int_equal(f->sink.size, 2);
    assert_memory_equal(f->sink.data, "by", 2);
    assert_null(f->sink.base.front_ops);
}

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct writer w;
    struct reader r;
    size_t i;

    writer_init(&w, KIB(64));
    f->sink.limit = 1;
    open_port(f, UART_IER_RDI);
    out(f, UART_TX, '1');
    out(f, UART_TX, '2');
    receive(f, "pq");
    in(f, UART_RX);
    f->uart->ops->save(f->uart, &w);
    assert_int_equal(f->sink.size, 1);
    fake_machine_reset(&f->machine);
    assert_false(up(f));
    reader_init(&r, w.data, w.size);
    assert_int_equal(f->uart->ops->load(f->uart, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_true(up(f));
    assert_int_equal(in(f, UART_RX), 'q');
    f->sink.limit = 10;
    f->sink.base.front_ops->writable(f->sink.base.front);
    assert_memory_equal(f->sink.data, "12", 2);
    for (i = 0; i < w.size; i++) {
        reader_init(&r, w.data, i);
        f->uart->ops->load(f->uart, &r, 1); /* the last bytes may be missed without harm */
    }
    writer_fini(&w);
}

#define STREAM 50000

/* A CPU that sends, receives and takes interrupts while the main loop runs. */
static void *play_cpu(void *arg)
{
    struct fixture *f = arg;
    unsigned sent, received = 0;

    for (sent = 0; sent < STREAM; sent++) {
        while (!(in(f, UART_LSR) & UART_LSR_THRE))
            sched_yield();
        out(f, UART_TX, (uint8_t)sent);
        in(f, UART_IIR);
        while (in(f, UART_LSR) & UART_LSR_DR)
            received += in(f, UART_RX) == 'r';
    }
    while (received < 1000)
        if (in(f, UART_LSR) & UART_LSR_DR)
            received += in(f, UART_RX) == 'r';
    return NULL;
}

static bool all_is_out(void *arg)
{
    struct fixture *f = arg;

    return f->sink.size == STREAM;
}

static void serves_a_cpu_and_the_loop(void **state)
{
    struct fixture *f = *state;
    unsigned given = 0, i;
    pthread_t cpu;

    open_port(f, UART_IER_RDI | UART_IER_THRI);
    assert_int_equal(pthread_create(&cpu, NULL, play_cpu, f), 0);
    while (given < 1000) {
        given += receive(f, given < 990 ? "rrrrrrrrrr" : "r");
        fake_machine_run(&f->machine, 0);
    }
    assert_true(fake_machine_wait(&f->machine, all_is_out, f, 20000));
    pthread_join(cpu, NULL);
    for (i = 0; i < STREAM; i++)
        assert_int_equal((uint8_t)f->sink.data[i], (uint8_t)i);
}

static void works_unconnected(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    assert_non_null(uart16550_create(&f->machine.base, 0x2f8, 3, NULL));
    for (i = 0; i < 20000; i++)
        fake_out(&f->machine, 0x2f8, i, 1);
    assert_int_equal(fake_in(&f->machine, 0x2fd, 1), UART_LSR_THRE | UART_LSR_TEMT);
}

static void debug_port_tells_and_listens(void **state)
{
    struct fixture *f = *state;
    struct sink *sink = calloc(1, sizeof(*sink));
    const char *text = "SeaBIOS\n", *p;

    sink->base.ops = &sink_ops;
    sink->limit = 5;
    assert_non_null(debugport_create(&f->machine.base, &sink->base));
    assert_int_equal(fake_in(&f->machine, 0x402, 1), 0xe9);
    for (p = text; *p; p++)
        fake_out(&f->machine, 0x402, (uint8_t)*p, 1);
    fake_machine_run(&f->machine, 10);
    assert_int_equal(sink->size, 5);
    sink->limit = 100;
    sink->base.front_ops->writable(sink->base.front);
    assert_memory_equal(sink->data, text, strlen(text));
    fake_machine_fini(&f->machine);
    free(sink);
    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_found),
        TEST(has_a_divisor),
        TEST(batches_output),
        TEST(transmit_interrupts),
        TEST(out2_gates_interrupts),
        TEST(receives),
        TEST(asks_for_more_when_empty),
        TEST(loops_back),
        TEST(status_interrupts_come_first),
        TEST(waits_for_a_slow_back_end),
        TEST(flushes_at_the_end),
        TEST(survives_save_and_load),
        TEST(serves_a_cpu_and_the_loop),
        TEST(works_unconnected),
        TEST(debug_port_tells_and_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

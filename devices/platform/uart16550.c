#include "devices/platform/uart16550.h"

#include "devices/platform/char_out.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>

#define UART_PORTS      8
#define FIFO_SIZE       16
#define IIR_FIFOS       0xc0
#define IIR_TIMEOUT     0x0c
#define IER_WRITABLE    0x0f
#define MCR_WRITABLE    0x1f
#define LSR_ERRORS      0x1e
#define MSR_DELTAS      0x0f
#define MSR_CONNECTED   (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define DIVISOR_DEFAULT 12 /* 9600 baud */

struct uart {
    struct device base;
    struct region ports;
    struct irq irq;
    struct chardev *chardev;
    struct char_out out;
    struct notifier accept; /* to the main loop: the FIFO can take bytes again */
    uint16_t divisor;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scratch;
    bool irq_level;
    bool thr_pending; /* the transmitter ran empty and nobody has seen it */
    uint8_t fifo[FIFO_SIZE];
    unsigned first, count;
    bool refused; /* the back end was told that there is no room */
};

/* --- interrupts --- */

static bool transmitter_empty(const struct uart *uart)
{
    return char_out_room(&uart->out) >= FIFO_SIZE;
}

static unsigned trigger_level(const struct uart *uart)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return uart->fcr & UART_FCR_ENABLE_FIFO ? levels[uart->fcr >> 6] : 1;
}

/* Fewer bytes than the trigger level are announced at once as a time-out: more may not be coming. */
static uint8_t interrupt_id(const struct uart *uart)
{
    if ((uart->ier & UART_IER_RLSI) && (uart->lsr & LSR_ERRORS))
        return UART_IIR_RLSI;
    if ((uart->ier & UART_IER_RDI) && uart->count)
        return uart->count >= trigger_level(uart) ? UART_IIR_RDI : IIR_TIMEOUT;
    if ((uart->ier & UART_IER_THRI) && uart->thr_pending)
        return UART_IIR_THRI;
    if ((uart->ier & UART_IER_MSI) && (uart->msr & MSR_DELTAS))
        return UART_IIR_MSI;
    return UART_IIR_NO_INT;
}

static bool wanted_irq(const struct uart *uart)
{
    bool wired = (uart->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2;

    return wired && interrupt_id(uart) != UART_IIR_NO_INT;
}

static void drive_irq(struct uart *uart)
{
    uart->irq_level = wanted_irq(uart);
    irq_set(uart->irq, uart->irq_level);
}

/* After every access; a line that stays is left alone, since setting it costs a system call. */
static void update_irq(struct uart *uart)
{
    if (wanted_irq(uart) != uart->irq_level)
        drive_irq(uart);
}

/* The queue ran dry: if the guest found it full, tell it that it may go on. */
static void queue_drained(void *opaque)
{
    struct uart *uart = opaque;

    if (uart->lsr & UART_LSR_THRE)
        return;
    uart->lsr |= UART_LSR_THRE | UART_LSR_TEMT;
    uart->thr_pending = true;
    update_irq(uart);
}

/* --- receiving --- */

static unsigned fifo_room(const struct uart *uart)
{
    unsigned size = uart->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;

    return uart->mcr & UART_MCR_LOOP ? 0 : size - MIN(size, uart->count);
}

static void fifo_put(struct uart *uart, uint8_t byte)
{
    unsigned size = uart->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;

    if (uart->count >= size) {
        uart->lsr |= UART_LSR_OE;
        return;
    }
    uart->fifo[(uart->first + uart->count++) % FIFO_SIZE] = byte;
    uart->lsr |= UART_LSR_DR;
}

/* Let the back end go on once the guest has taken all: so it comes in pieces, not byte by byte. */
static void invite_input(struct uart *uart)
{
    if (!uart->refused || uart->count || (uart->mcr & UART_MCR_LOOP))
        return;
    uart->refused = false;
    notifier_signal(&uart->accept);
}

static uint8_t fifo_take(struct uart *uart)
{
    uint8_t byte = uart->fifo[uart->first];

    if (uart->count) {
        uart->first = (uart->first + 1) % FIFO_SIZE;
        uart->count--;
    }
    if (uart->count == 0)
        uart->lsr &= ~UART_LSR_DR;
    invite_input(uart);
    return byte;
}

static void fifo_clear(struct uart *uart)
{
    uart->count = 0;
    uart->lsr &= ~(UART_LSR_DR | LSR_ERRORS);
    invite_input(uart);
}

static size_t front_can_read(void *front)
{
    struct uart *uart = front;
    unsigned room;

    machine_lock(uart->base.machine);
    room = fifo_room(uart);
    uart->refused |= room == 0;
    machine_unlock(uart->base.machine);
    return room;
}

static void front_read(void *front, const uint8_t *data, size_t size)
{
    struct uart *uart = front;
    size_t i;

    machine_lock(uart->base.machine);
    for (i = 0; i < size; i++)
        fifo_put(uart, data[i]);
    uart->refused |= fifo_room(uart) == 0;
    update_irq(uart);
    machine_unlock(uart->base.machine);
}

static void front_writable(void *front)
{
    char_out_writable(&((struct uart *)front)->out);
}

static void accept_input(void *opaque)
{
    struct uart *uart = opaque;

    if (uart->chardev)
        uart->chardev->ops->accept_input(uart->chardev);
}

static const struct chardev_front_ops front_ops = {
    .can_read = front_can_read,
    .read = front_read,
    .writable = front_writable,
};

/* --- registers --- */

static void write_thr(struct uart *uart, uint8_t byte)
{
    uart->thr_pending = false;
    if (uart->mcr & UART_MCR_LOOP)
        fifo_put(uart, byte);
    else
        char_out_put(&uart->out, byte);
    if (transmitter_empty(uart))
        uart->thr_pending = true;
    else
        uart->lsr &= ~(UART_LSR_THRE | UART_LSR_TEMT);
}

static void write_ier(struct uart *uart, uint8_t value)
{
    uint8_t rising = value & ~uart->ier;

    uart->ier = value & IER_WRITABLE;
    if ((rising & UART_IER_THRI) && (uart->lsr & UART_LSR_THRE))
        uart->thr_pending = true;
}

/* Other bits count only while the FIFOs are being enabled or are; a change of mode empties them. */
static void write_fcr(struct uart *uart, uint8_t value)
{
    bool changed = (value ^ uart->fcr) & UART_FCR_ENABLE_FIFO;

    if (changed || (value & UART_FCR_CLEAR_RCVR))
        fifo_clear(uart);
    uart->fcr =
        value & UART_FCR_ENABLE_FIFO ? value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK) : 0;
}

/* In loopback the modem outputs feed the inputs. */
static void update_msr(struct uart *uart)
{
    uint8_t lines = MSR_CONNECTED, changed;

    if (uart->mcr & UART_MCR_LOOP)
        lines = (uart->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
                (uart->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
                (uart->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
                (uart->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
    changed = (lines ^ uart->msr) >> 4;
    if (!(uart->msr & UART_MSR_RI) || (lines & UART_MSR_RI))
        changed &= ~UART_MSR_TERI; /* only the ring's end counts */
    uart->msr = lines | (uart->msr & MSR_DELTAS) | changed;
}

static void write_mcr(struct uart *uart, uint8_t value)
{
    uart->mcr = value & MCR_WRITABLE;
    update_msr(uart);
    invite_input(uart);
}

static uint8_t read_iir(struct uart *uart)
{
    uint8_t id = interrupt_id(uart);

    if (id == UART_IIR_THRI)
        uart->thr_pending = false;
    return id | (uart->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct uart *uart)
{
    uint8_t value = uart->lsr;

    uart->lsr &= ~LSR_ERRORS;
    return value;
}

static uint8_t read_msr(struct uart *uart)
{
    uint8_t value = uart->msr;

    uart->msr &= ~MSR_DELTAS;
    return value;
}

static uint8_t read_register(struct uart *uart, uint64_t offset)
{
    bool latch = uart->lcr & UART_LCR_DLAB;

    switch (offset) {
    case UART_RX:
        return latch ? (uint8_t)uart->divisor : fifo_take(uart);
    case UART_IER:
        return latch ? uart->divisor >> 8 : uart->ier;
    case UART_IIR:
        return read_iir(uart);
    case UART_LCR:
        return uart->lcr;
    case UART_MCR:
        return uart->mcr;
    case UART_LSR:
        return read_lsr(uart);
    case UART_MSR:
        return read_msr(uart);
    default:
        return uart->scratch;
    }
}

static void write_divisor(struct uart *uart, uint64_t offset, uint8_t value)
{
    if (offset == UART_DLL)
        uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
    else
        uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
}

static void write_register(struct uart *uart, uint64_t offset, uint8_t value)
{
    if ((uart->lcr & UART_LCR_DLAB) && offset <= UART_DLM) {
        write_divisor(uart, offset, value);
        return;
    }
    switch (offset) {
    case UART_TX:
        write_thr(uart, value);
        break;
    case UART_IER:
        write_ier(uart, value);
        break;
    case UART_FCR:
        write_fcr(uart, value);
        break;
    case UART_LCR:
        uart->lcr = value;
        break;
    case UART_MCR:
        write_mcr(uart, value);
        break;
    case UART_SCR:
        uart->scratch = value;
        break;
    default:; /* the status registers are read only */
    }
}

static uint64_t uart_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    uint8_t value = read_register(opaque, offset);

    update_irq(opaque);
    return value;
}

static void uart_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    write_register(opaque, offset, (uint8_t)value);
    update_irq(opaque);
}

static const struct region_ops uart_region_ops = {
    .read = uart_read, .write = uart_write, .max_width = 1};

/* --- the device --- */

/* Output on its way is not the machine's any more: it survives. */
static void uart_reset(struct device *device)
{
    struct uart *uart = container_of(device, struct uart, base);

    uart->divisor = DIVISOR_DEFAULT;
    uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->scratch = 0;
    uart->lsr = transmitter_empty(uart) ? UART_LSR_THRE | UART_LSR_TEMT : 0;
    uart->msr = MSR_CONNECTED;
    uart->thr_pending = false;
    fifo_clear(uart);
    drive_irq(uart);
}

static void uart_save(struct device *device, struct writer *w)
{
    struct uart *uart = container_of(device, struct uart, base);
    unsigned i;

    char_out_save(&uart->out, w);
    writer_u16(w, uart->divisor);
    writer_u8(w, uart->ier);
    writer_u8(w, uart->fcr);
    writer_u8(w, uart->lcr);
    writer_u8(w, uart->mcr);
    writer_u8(w, uart->lsr);
    writer_u8(w, uart->msr);
    writer_u8(w, uart->scratch);
    writer_u8(w, uart->thr_pending);
    writer_u8(w, (uint8_t)uart->count);
    for (i = 0; i < uart->count; i++)
        writer_u8(w, uart->fifo[(uart->first + i) % FIFO_SIZE]);
}

static int uart_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct uart *uart = container_of(device, struct uart, base);
    const uint8_t *fifo;
    int err = char_out_load(&uart->out, r);

    if (err)
        return err;
    uart->divisor = reader_u16(r);
    uart->ier = reader_u8(r) & IER_WRITABLE;
    uart->fcr = reader_u8(r);
    uart->lcr = reader_u8(r);
    uart->mcr = reader_u8(r) & MCR_WRITABLE;
    uart->lsr = reader_u8(r) & ~(UART_LSR_THRE | UART_LSR_TEMT);
    uart->lsr |= transmitter_empty(uart) ? UART_LSR_THRE | UART_LSR_TEMT : 0;
    uart->msr = reader_u8(r);
    uart->scratch = reader_u8(r);
    uart->thr_pending = reader_u8(r);
    uart->first = 0;
    uart->count = reader_u8(r);
    fifo = uart->count <= FIFO_SIZE ? reader_bytes(r, uart->count) : NULL;
    if (!fifo) {
        uart_reset(device);
        return -EINVAL;
    }
    memcpy(uart->fifo, fifo, uart->count);
    drive_irq(uart);
    return 0;
}

static void uart_destroy(struct device *device)
{
    struct uart *uart = container_of(device, struct uart, base);

    bus_unmap(device->machine->pio, &uart->ports);
    char_out_fini(&uart->out);
    if (uart->chardev)
        uart->chardev->front_ops = NULL;
    notifier_detach(&uart->accept);
    notifier_fini(&uart->accept);
    free(uart);
}

static const struct device_ops uart_ops = {
    .name = "uart16550",
    .version = 1,
    .reset = uart_reset,
    .save = uart_save,
    .load = uart_load,
    .destroy = uart_destroy,
};

static int uart_open(struct uart *uart, struct machine *machine, struct chardev *chardev)
{
    int err = notifier_init(&uart->accept);

    if (!err)
        err = notifier_attach(&uart->accept, machine->loop, accept_input, uart);
    if (!err)
        err = char_out_init(&uart->out, machine, chardev, queue_drained, uart);
    if (err) {
        notifier_detach(&uart->accept);
        notifier_fini(&uart->accept);
    }
    return err;
}

struct device *uart16550_create(struct machine *machine, uint16_t base, unsigned irq,
                                struct chardev *chardev)
{
    struct uart *uart = calloc(1, sizeof(*uart));

    if (!uart || uart_open(uart, machine, chardev)) {
        free(uart);
        return NULL;
    }
    device_init(&uart->base, &uart_ops, machine);
    uart->irq = machine->gsi(machine, irq);
    uart->ports = (struct region){"uart16550", &uart_region_ops, uart, .size = UART_PORTS};
    bus_map(machine->pio, &uart->ports, base);
    uart_reset(&uart->base);
    if (chardev) {
        uart->chardev = chardev;
        chardev->front = uart;
        chardev->front_ops = &front_ops;
    }
    return &uart->base;
}

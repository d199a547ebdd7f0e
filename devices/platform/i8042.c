#include "devices/platform/i8042.h"

#include "devices/platform/ps2.h"

#include <errno.h>
#include <stdlib.h>

enum {
    STATUS_OUTPUT_FULL = 0x01,
    STATUS_SYSTEM = 0x04,  /* the self test passed */
    STATUS_COMMAND = 0x08, /* the last write went to port 0x64 */
    STATUS_UNLOCKED = 0x10,
    STATUS_AUX = 0x20,
};

/* The command byte, RAM byte 0. */
enum {
    MODE_KEYBOARD_IRQ = 0x01,
    MODE_AUX_IRQ = 0x02,
    MODE_SYSTEM = 0x04,
    MODE_KEYBOARD_OFF = 0x10,
    MODE_AUX_OFF = 0x20,
    MODE_TRANSLATE = 0x40,
    /* As firmware leaves it, for a kernel that is started without any. */
    MODE_FIRST = MODE_KEYBOARD_IRQ | MODE_SYSTEM | MODE_AUX_OFF | MODE_TRANSLATE,
};

enum {
    COMMAND_READ_RAM = 0x20,  /* -0x3f */
    COMMAND_WRITE_RAM = 0x60, /* -0x7f, data */
    COMMAND_TEST_PASSWORD = 0xa4,
    COMMAND_AUX_OFF = 0xa7,
    COMMAND_AUX_ON = 0xa8,
    COMMAND_TEST_AUX = 0xa9,
    COMMAND_SELF_TEST = 0xaa,
    COMMAND_TEST_KEYBOARD = 0xab,
    COMMAND_KEYBOARD_OFF = 0xad,
    COMMAND_KEYBOARD_ON = 0xae,
    COMMAND_READ_INPUT = 0xc0,
    COMMAND_READ_OUTPUT = 0xd0,
    COMMAND_WRITE_OUTPUT = 0xd1, /* d1-d4: data */
    COMMAND_LOOP_KEYBOARD = 0xd2,
    COMMAND_LOOP_AUX = 0xd3,
    COMMAND_WRITE_AUX = 0xd4,
    COMMAND_A20_OFF = 0xdd,
    COMMAND_A20_ON = 0xdf,
    COMMAND_TEST_INPUTS = 0xe0,
    COMMAND_PULSE = 0xf0, /* -0xff: the bits that are 0 pulse output lines */
};

enum {
    OUTPUT_NO_RESET = 0x01,
    OUTPUT_A20 = 0x02,
    OUTPUT_KEYBOARD_FULL = 0x10,
    OUTPUT_AUX_FULL = 0x20,
    OUTPUT_LINES = 0xc0,
};

#define RAM_SIZE     32
#define SET2_RELEASE 0xf0

struct i8042 {
    struct device base;
    struct region data_region, command_region;
    struct irq keyboard_irq, aux_irq;
    struct input *input;
    struct input_sink sink;
    struct notifier leds_changed; /* to the main loop, where the input's listeners are */
    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
    uint8_t ram[RAM_SIZE];
    uint8_t status, output;
    uint8_t command; /* that waits for its data byte, 0: none */
    int reply;       /* the controller's own byte that waits for the output buffer, -1: none */
    bool reply_aux;  /* and whether it is to look like the mouse's */
    bool a20;
    bool release;      /* translation: an f0 came before */
    bool irq_level[2]; /* keyboard, aux */
};

/* --- the output buffer --- */

static void drive_irqs(struct i8042 *kbc)
{
    bool full = kbc->status & STATUS_OUTPUT_FULL, aux = kbc->status & STATUS_AUX;

    kbc->irq_level[0] = full && !aux && (kbc->ram[0] & MODE_KEYBOARD_IRQ);
    kbc->irq_level[1] = full && aux && (kbc->ram[0] & MODE_AUX_IRQ);
    irq_set(kbc->keyboard_irq, kbc->irq_level[0]);
    irq_set(kbc->aux_irq, kbc->irq_level[1]);
}

static void fill(struct i8042 *kbc, uint8_t byte, bool aux)
{
    kbc->output = byte;
    kbc->status &= ~STATUS_AUX;
    kbc->status |= STATUS_OUTPUT_FULL | (aux ? STATUS_AUX : 0);
}

/* In translation, f0 and a code become one code with the top bit. Returns false if there is no byte to show yet. */
static bool keyboard_byte(struct i8042 *kbc, uint8_t *byte)
{
    *byte = ps2_queue_take(&kbc->keyboard.queue);
    if (!(kbc->ram[0] & MODE_TRANSLATE))
        return true;
    if (*byte == SET2_RELEASE) {
        kbc->release = true;
        return false;
    }
    *byte = ps2_set1_of_set2(*byte) | (kbc->release ? 0x80 : 0);
    kbc->release = false;
    return true;
}

/* Fill the empty buffer with what comes first: the controller's own answer, the keyboard, the mouse. */
static void refill(struct i8042 *kbc)
{
    bool keyboard = !(kbc->ram[0] & MODE_KEYBOARD_OFF), aux = !(kbc->ram[0] & MODE_AUX_OFF);
    uint8_t byte;

    if (kbc->reply >= 0 && !(kbc->status & STATUS_OUTPUT_FULL)) {
        fill(kbc, (uint8_t)kbc->reply, kbc->reply_aux);
        kbc->reply = -1;
    }
    while (keyboard && kbc->keyboard.queue.count && !(kbc->status & STATUS_OUTPUT_FULL))
        if (keyboard_byte(kbc, &byte))
            fill(kbc, byte, false);
    if (aux && kbc->mouse.queue.count && !(kbc->status & STATUS_OUTPUT_FULL)) {
        fill(kbc, ps2_queue_take(&kbc->mouse.queue), true);
        ps2_mouse_continue(&kbc->mouse);
    }
    drive_irqs(kbc);
}

static void reply(struct i8042 *kbc, uint8_t byte, bool aux)
{
    kbc->reply = byte;
    kbc->reply_aux = aux;
}

/* --- commands --- */

static void reset_machine(struct i8042 *kbc)
{
    kbc->base.machine->request(kbc->base.machine, MACHINE_RESET);
}

static uint8_t output_port(const struct i8042 *kbc)
{
    return OUTPUT_LINES | OUTPUT_NO_RESET | (kbc->a20 ? OUTPUT_A20 : 0) |
           (kbc->irq_level[0] ? OUTPUT_KEYBOARD_FULL : 0) |
           (kbc->irq_level[1] ? OUTPUT_AUX_FULL : 0);
}

/* The A20 line cannot be held down; the bit is kept for those who ask. */
static void write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->a20 = value & OUTPUT_A20;
    if (!(value & OUTPUT_NO_RESET))
        reset_machine(kbc);
}

static void self_test(struct i8042 *kbc)
{
    kbc->status |= STATUS_SYSTEM;
    kbc->ram[0] |= MODE_SYSTEM;
    reply(kbc, 0x55, false);
}

/* Commands that are answered with a byte. -1: this is none. */
static int query(const struct i8042 *kbc, uint8_t command)
{
    switch (command) {
    case COMMAND_READ_RAM ... COMMAND_READ_RAM + RAM_SIZE - 1:
        return kbc->ram[command - COMMAND_READ_RAM];
    case COMMAND_TEST_PASSWORD:
        return 0xf1; /* none is set */
    case COMMAND_TEST_AUX:
    case COMMAND_TEST_KEYBOARD:
    case COMMAND_TEST_INPUTS:
        return 0;
    case COMMAND_READ_INPUT:
        return 0x80; /* not locked */
    case COMMAND_READ_OUTPUT:
        return output_port(kbc);
    default:
        return -1;
    }
}

static void set_mode_bits(struct i8042 *kbc, uint8_t bits, bool on)
{
    kbc->ram[0] = on ? kbc->ram[0] | bits : kbc->ram[0] & ~bits;
}

static void take_command(struct i8042 *kbc, uint8_t command)
{
    int answer = query(kbc, command);

    kbc->command = 0;
    if (answer >= 0) {
        reply(kbc, (uint8_t)answer, false);
        return;
    }
    switch (command) {
    case COMMAND_WRITE_RAM ... COMMAND_WRITE_RAM + RAM_SIZE - 1:
    case COMMAND_WRITE_OUTPUT ... COMMAND_WRITE_AUX:
        kbc->command = command;
        break;
    case COMMAND_AUX_OFF:
    case COMMAND_AUX_ON:
        set_mode_bits(kbc, MODE_AUX_OFF, command == COMMAND_AUX_OFF);
        break;
    case COMMAND_KEYBOARD_OFF:
    case COMMAND_KEYBOARD_ON:
        set_mode_bits(kbc, MODE_KEYBOARD_OFF, command == COMMAND_KEYBOARD_OFF);
        break;
    case COMMAND_SELF_TEST:
        self_test(kbc);
        break;
    case COMMAND_A20_OFF:
    case COMMAND_A20_ON:
        kbc->a20 = command == COMMAND_A20_ON;
        break;
    case COMMAND_PULSE ... COMMAND_PULSE + 15:
        if (!(command & OUTPUT_NO_RESET))
            reset_machine(kbc);
        break;
    default:; /* unknown: real ones do nothing either */
    }
}

static void write_keyboard(struct i8042 *kbc, uint8_t byte)
{
    set_mode_bits(kbc, MODE_KEYBOARD_OFF, false); /* sending starts the port's clock */
    if (ps2_keyboard_write(&kbc->keyboard, byte))
        notifier_signal(&kbc->leds_changed);
}

static void write_aux(struct i8042 *kbc, uint8_t byte)
{
    set_mode_bits(kbc, MODE_AUX_OFF, false);
    ps2_mouse_write(&kbc->mouse, byte);
}

static void take_data(struct i8042 *kbc, uint8_t byte)
{
    uint8_t command = kbc->command;

    kbc->command = 0;
    switch (command) {
    case 0:
        write_keyboard(kbc, byte);
        break;
    case COMMAND_WRITE_OUTPUT:
        write_output_port(kbc, byte);
        break;
    case COMMAND_LOOP_KEYBOARD:
    case COMMAND_LOOP_AUX:
        reply(kbc, byte, command == COMMAND_LOOP_AUX);
        break;
    case COMMAND_WRITE_AUX:
        write_aux(kbc, byte);
        break;
    default:
        kbc->ram[command - COMMAND_WRITE_RAM] = byte;
    }
}

/* --- ports --- */

/* The line falls before the next byte raises it again: the interrupt is an edge. */
static uint64_t data_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    struct i8042 *kbc = opaque;
    uint8_t byte = kbc->output;

    if (kbc->status & STATUS_OUTPUT_FULL) {
        kbc->status &= ~(STATUS_OUTPUT_FULL | STATUS_AUX);
        drive_irqs(kbc);
        refill(kbc);
    }
    return byte;
}

static void data_write(void *opaque, uint64_t offset UNUSED, uint64_t value, unsigned width UNUSED)
{
    struct i8042 *kbc = opaque;

    kbc->status &= ~STATUS_COMMAND;
    take_data(kbc, (uint8_t)value);
    refill(kbc);
}

static uint64_t status_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return ((struct i8042 *)opaque)->status;
}

static void command_write(void *opaque, uint64_t offset UNUSED, uint64_t value,
                          unsigned width UNUSED)
{
    struct i8042 *kbc = opaque;

    kbc->status |= STATUS_COMMAND;
    take_command(kbc, (uint8_t)value);
    refill(kbc);
}

static const struct region_ops data_ops = {.read = data_read, .write = data_write, .max_width = 1};
static const struct region_ops command_ops = {
    .read = status_read, .write = command_write, .max_width = 1};

/* --- the user's side, in the main loop --- */

static struct i8042 *of_sink(struct input_sink *sink)
{
    return container_of(sink, struct i8042, sink);
}

static void sink_scancode(struct input_sink *sink, uint8_t code)
{
    struct i8042 *kbc = of_sink(sink);

    machine_lock(kbc->base.machine);
    ps2_keyboard_scancode(&kbc->keyboard, code);
    refill(kbc);
    machine_unlock(kbc->base.machine);
}

static void sink_motion(struct input_sink *sink, int dx, int dy, int wheel, unsigned buttons)
{
    struct i8042 *kbc = of_sink(sink);

    machine_lock(kbc->base.machine);
    ps2_mouse_motion(&kbc->mouse, dx, dy, wheel, buttons);
    refill(kbc);
    machine_unlock(kbc->base.machine);
}

static void tell_leds(void *opaque)
{
    struct i8042 *kbc = opaque;
    unsigned leds;

    machine_lock(kbc->base.machine);
    leds = kbc->keyboard.leds;
    machine_unlock(kbc->base.machine);
    input_set_leds(kbc->input, leds);
}

/* --- the device --- */

static void i8042_reset(struct device *device)
{
    struct i8042 *kbc = container_of(device, struct i8042, base);

    ps2_keyboard_reset(&kbc->keyboard);
    ps2_mouse_reset(&kbc->mouse);
    memset(kbc->ram, 0, sizeof(kbc->ram));
    kbc->ram[0] = MODE_FIRST;
    kbc->status = STATUS_SYSTEM | STATUS_COMMAND | STATUS_UNLOCKED;
    kbc->output = 0;
    kbc->command = 0;
    kbc->reply = -1;
    kbc->reply_aux = kbc->release = false;
    kbc->a20 = true;
    drive_irqs(kbc);
    notifier_signal(&kbc->leds_changed);
}

static void i8042_save(struct device *device, struct writer *w)
{
    struct i8042 *kbc = container_of(device, struct i8042, base);

    ps2_keyboard_save(&kbc->keyboard, w);
    ps2_mouse_save(&kbc->mouse, w);
    writer_bytes(w, kbc->ram, sizeof(kbc->ram));
    writer_u8(w, kbc->status);
    writer_u8(w, kbc->output);
    writer_u8(w, kbc->command);
    writer_u16(w, (uint16_t)kbc->reply);
    writer_u8(w, kbc->reply_aux);
    writer_u8(w, kbc->a20);
    writer_u8(w, kbc->release);
}

/* A command that waits for data must be one that take_data() knows. */
static bool takes_data(uint8_t command)
{
    return command == 0 ||
           (command >= COMMAND_WRITE_RAM && command < COMMAND_WRITE_RAM + RAM_SIZE) ||
           (command >= COMMAND_WRITE_OUTPUT && command <= COMMAND_WRITE_AUX);
}

static int i8042_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct i8042 *kbc = container_of(device, struct i8042, base);
    int err = ps2_keyboard_load(&kbc->keyboard, r);
    const uint8_t *ram;

    if (!err)
        err = ps2_mouse_load(&kbc->mouse, r);
    ram = reader_bytes(r, sizeof(kbc->ram));
    if (err || !ram)
        return -EINVAL;
    memcpy(kbc->ram, ram, sizeof(kbc->ram));
    kbc->status = reader_u8(r);
    kbc->output = reader_u8(r);
    kbc->command = reader_u8(r);
    kbc->reply = (int16_t)reader_u16(r);
    kbc->reply_aux = reader_u8(r);
    kbc->a20 = reader_u8(r);
    kbc->release = reader_u8(r);
    if (r->bad || !takes_data(kbc->command) || kbc->reply > 0xff) {
        i8042_reset(device);
        return -EINVAL;
    }
    drive_irqs(kbc);
    notifier_signal(&kbc->leds_changed);
    return 0;
}

static void i8042_destroy(struct device *device)
{
    struct i8042 *kbc = container_of(device, struct i8042, base);

    bus_unmap(device->machine->pio, &kbc->data_region);
    bus_unmap(device->machine->pio, &kbc->command_region);
    input_remove_sink(kbc->input, &kbc->sink);
    notifier_detach(&kbc->leds_changed);
    notifier_fini(&kbc->leds_changed);
    free(kbc);
}

static const struct device_ops i8042_ops = {
    .name = "i8042",
    .version = 1,
    .reset = i8042_reset,
    .save = i8042_save,
    .load = i8042_load,
    .destroy = i8042_destroy,
};

static int open_notifier(struct i8042 *kbc, struct machine *machine)
{
    int err = notifier_init(&kbc->leds_changed);

    if (!err)
        err = notifier_attach(&kbc->leds_changed, machine->loop, tell_leds, kbc);
    if (err)
        notifier_fini(&kbc->leds_changed);
    return err;
}

struct device *i8042_create(struct machine *machine, struct input *input)
{
    struct i8042 *kbc = calloc(1, sizeof(*kbc));

    if (!kbc || open_notifier(kbc, machine)) {
        free(kbc);
        return NULL;
    }
    device_init(&kbc->base, &i8042_ops, machine);
    kbc->input = input;
    kbc->keyboard_irq = machine->gsi(machine, 1);
    kbc->aux_irq = machine->gsi(machine, 12);
    kbc->data_region = (struct region){"i8042 data", &data_ops, kbc, .size = 1};
    kbc->command_region = (struct region){"i8042 command", &command_ops, kbc, .size = 1};
    bus_map(machine->pio, &kbc->data_region, 0x60);
    bus_map(machine->pio, &kbc->command_region, 0x64);
    i8042_reset(&kbc->base);
    kbc->sink = (struct input_sink){.scancode = sink_scancode, .motion = sink_motion};
    input_add_sink(input, &kbc->sink);
    return &kbc->base;
}

#include "devices/audio/hda.h"

#include "devices/audio/hda_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* WALCLK counts at 24 MHz. */
#define CLOCK_TICKS(ns) ((ns) * 24 / 1000)

enum { INTCTL_GLOBAL = 31, INTCTL_CONTROLLER = 30 };

struct reg {
    uint16_t offset, width;
    uint32_t reset, writable, clearable; /* masks: plain bits, write-one-to-clear bits */
};

static const struct reg global_registers[] = {
    {GCAP, 2, HDA_OUTPUTS << 12 | HDA_INPUTS << 8 | 1, 0, 0}, /* 64-bit addresses */
    {VMAJ, 1, 1, 0, 0},
    {OUTPAY, 2, 0x3c, 0, 0},
    {INPAY, 2, 0x1d, 0, 0},
    {GCTL, 4, 0, GCTL_RUN | GCTL_UNSOLICITED, 0},
    {WAKEEN, 2, 0, 1, 0},
    {STATESTS, 2, 0, 0, 0x7fff},
    {GSTS, 2, 0, 0, 2},
    {INTCTL, 4, 0, 0xc0000000 | ((1 << HDA_STREAMS) - 1), 0},
    {SSYNC, 4, 0, (1 << HDA_STREAMS) - 1, 0},
    {CORBLBASE, 4, 0, 0xffffff80, 0},
    {CORBUBASE, 4, 0, 0xffffffff, 0},
    {CORBWP, 2, 0, 0xff, 0},
    {CORBRP, 2, 0, 0x8000, 0},
    {CORBCTL, 1, 0, 3, 0},
    {CORBSTS, 1, 0, 0, 1},
    {CORBSIZE, 1, 0x42, 0, 0}, /* 256 entries, and nothing else */
    {RIRBLBASE, 4, 0, 0xffffff80, 0},
    {RIRBUBASE, 4, 0, 0xffffffff, 0},
    {RIRBWP, 2, 0, 0x8000, 0},
    {RINTCNT, 2, 0, 0xff, 0},
    {RIRBCTL, 1, 0, 7, 0},
    {RIRBSTS, 1, 0, 0, RIRBSTS_RESPONSE | RIRBSTS_OVERRUN},
    {RIRBSIZE, 1, 0x42, 0, 0},
    {ICW, 4, 0, 0xffffffff, 0},
    {ICS, 2, 0, 1, 2},
    {DPLBASE, 4, 0, 0xffffff81, 0},
    {DPUBASE, 4, 0, 0xffffffff, 0},
};

/* Their reset values: hda_streams_reset(). */
static const struct reg stream_registers[] = {
    {SDCTL, 3, 0, 0xff001f, 0},
    {SDSTS, 1, 0, 0, SDSTS_COMPLETE | SDSTS_FIFO_ERROR | SDSTS_BDL_ERROR},
    {SDCBL, 4, 0, 0xffffffff, 0},
    {SDLVI, 2, 0, 0xff, 0},
    {SDFMT, 2, 0, 0x7f7f, 0},
    {SDBDPL, 4, 0, 0xffffff80, 0},
    {SDBDPU, 4, 0, 0xffffffff, 0},
};

/* By byte; from the tables, once. */
static struct {
    uint8_t reset[REGISTERS], writable[REGISTERS], clearable[REGISTERS];
} masks;

static void add_masks(const struct reg *regs, size_t count, unsigned base)
{
    for (size_t i = 0; i < count; i++)
        for (unsigned b = 0; b < regs[i].width; b++) {
            unsigned at = base + regs[i].offset + b;

            masks.reset[at] = (uint8_t)(regs[i].reset >> b * 8);
            masks.writable[at] = (uint8_t)(regs[i].writable >> b * 8);
            masks.clearable[at] = (uint8_t)(regs[i].clearable >> b * 8);
        }
}

static void make_masks(void)
{
    add_masks(global_registers, ARRAY_SIZE(global_registers), 0);
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        add_masks(stream_registers, ARRAY_SIZE(stream_registers), STREAMS + n * STREAM_SIZE);
}

static struct hda *of_device(struct device *device)
{
    return container_of(device, struct hda, pci.base);
}

void hda_wake(struct hda *hda)
{
    timer_set(&hda->timer, 0);
}

/* --- interrupts, 3.3.14 and 3.3.15 --- */

static bool controller_wants(const uint8_t *r)
{
    /* RIRBCTL has its enables where RIRBSTS has the causes. */
    return r[RIRBSTS] & r[RIRBCTL] & (RIRBCTL_INTERRUPT | RIRBCTL_OVERRUN) || (r[CORBSTS] & r[CORBCTL] & 1) ||
           (r[STATESTS] & r[WAKEEN]);
}

void hda_update_interrupt(struct hda *hda)
{
    uint8_t *r = hda->registers;
    uint32_t enabled = load_le32(r + INTCTL), status = 0, wanted;

    for (unsigned n = 0; n < HDA_STREAMS; n++) {
        const uint8_t *s = hda_stream_registers(hda, n);

        if (s[SDSTS] & s[SDCTL] & SDCTL_ENABLES)
            status |= 1u << n;
    }
    if (controller_wants(r))
        status |= 1u << INTCTL_CONTROLLER;
    wanted = enabled >> INTCTL_GLOBAL ? status & enabled : 0;
    store_le32(r + INTSTS, status | (status & enabled ? 1u << INTCTL_GLOBAL : 0));
    if (!pci_msi_enabled(&hda->pci))
        pci_set_intx(&hda->pci, wanted != 0);
    else if (wanted & ~hda->signalled)
        pci_msi_notify(&hda->pci);
    hda->signalled = wanted;
}

/* --- registers --- */

static void reset_controller(struct hda *hda)
{
    uint8_t wakeen = hda->registers[WAKEEN];

    memcpy(hda->registers, masks.reset, sizeof(hda->registers));
    hda->registers[WAKEEN] = wakeen; /* survives */
    hda->responses = 0;
    hda_streams_reset(hda);
    hda_wake(hda);
}

/* The link is reset while RUN is 0; when it comes back, the codec has asked for its address. */
static void control(struct hda *hda, const uint8_t *before)
{
    bool was = before[GCTL] & GCTL_RUN, is = hda->registers[GCTL] & GCTL_RUN;

    if (was && !is) {
        reset_controller(hda);
    } else if (!was && is) {
        hda_codec_reset(&hda->codec);
        hda->clock_zero = machine_clock(hda->pci.base.machine);
        hda->registers[STATESTS] |= 1;
    }
}

static void command_pointers(struct hda *hda, const uint8_t *before UNUSED)
{
    uint8_t *r = hda->registers;

    if (r[CORBRP + 1] & 0x80)
        r[CORBRP] = 0;
    hda_run_commands(hda);
}

static void response_pointer(struct hda *hda, const uint8_t *before UNUSED)
{
    uint8_t *r = hda->registers;

    if (r[RIRBWP + 1] & 0x80) {
        r[RIRBWP] = r[RIRBWP + 1] = 0;
        hda->responses = 0;
    }
}

static void immediate(struct hda *hda, const uint8_t *before UNUSED)
{
    hda_immediate_command(hda);
}

static void synchronize(struct hda *hda, const uint8_t *before UNUSED)
{
    hda_streams_synchronize(hda);
}

/* What follows from a write to [offset, offset + size); `before` are the registers as they were. */
static const struct {
    uint16_t offset, size;
    void (*fn)(struct hda *hda, const uint8_t *before);
} effects[] = {
    {GCTL, 1, control},
    {CORBWP, CORBCTL + 1 - CORBWP, command_pointers},
    {RIRBWP, 2, response_pointer},
    {ICS, 1, immediate},
    {SSYNC, 1, synchronize},
};

static uint32_t wall_clock(struct hda *hda)
{
    return (uint32_t)CLOCK_TICKS(machine_clock(hda->pci.base.machine) - hda->clock_zero);
}

/* An alias, 4 bytes wide, as an offset of the register itself. */
static uint64_t resolve(uint64_t offset)
{
    if (offset >= WALCLK_ALIAS && offset < WALCLK_ALIAS + 4)
        return WALCLK + (offset - WALCLK_ALIAS);
    if (offset >= LPIB_ALIAS && offset < LPIB_ALIAS + HDA_STREAMS * STREAM_SIZE && (offset - LPIB_ALIAS) % STREAM_SIZE < 4)
        return STREAMS + SDLPIB + (offset - LPIB_ALIAS);
    return offset;
}

static uint64_t hda_read(void *opaque, uint64_t offset, unsigned width)
{
    struct hda *hda = opaque;
    uint64_t at = resolve(offset);
    uint8_t value[8] = {0};

    if (at + width > REGISTERS)
        return 0;
    if ((at & ~3ull) == WALCLK)
        store_le32(hda->registers + WALCLK, wall_clock(hda));
    memcpy(value, hda->registers + at, width);
    return load_le64(value);
}

static bool overlap(uint64_t a, unsigned a_size, unsigned b, unsigned b_size)
{
    return a < b + b_size && b < a + a_size;
}

static void write_bytes(struct hda *hda, uint64_t offset, uint64_t value, unsigned width)
{
    for (unsigned b = 0; b < width; b++, offset++, value >>= 8) {
        uint8_t *r = &hda->registers[offset];

        *r = (uint8_t)((*r & ~masks.writable[offset]) | (value & masks.writable[offset]));
        *r &= (uint8_t)~(value & masks.clearable[offset]);
    }
}

static void follow_write(struct hda *hda, uint64_t offset, unsigned width, const uint8_t *before)
{
    for (size_t i = 0; i < ARRAY_SIZE(effects); i++)
        if (overlap(offset, width, effects[i].offset, effects[i].size))
            effects[i].fn(hda, before);
    for (unsigned n = 0; n < HDA_STREAMS; n++) {
        unsigned control = STREAMS + n * STREAM_SIZE + SDCTL;

        if (overlap(offset, width, control, 3))
            hda_stream_control(hda, n, before[control]);
    }
    hda_update_interrupt(hda);
}

static void hda_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct hda *hda = opaque;
    uint8_t before[REGISTERS];

    /* In reset nothing else can be written. */
    if (offset + width > REGISTERS || (!(hda->registers[GCTL] & GCTL_RUN) && !overlap(offset, width, GCTL, WAKEEN + 2 - GCTL)))
        return;
    memcpy(before, hda->registers, sizeof(before));
    write_bytes(hda, offset, value, width);
    follow_write(hda, offset, width, before);
}

static const struct region_ops region_ops = {.read = hda_read, .write = hda_write, .max_width = 4};

/* --- the device --- */

static void hda_reset(struct device *device)
{
    struct hda *hda = of_device(device);

    hda->registers[WAKEEN] = 0;
    reset_controller(hda);
    hda_codec_reset(&hda->codec);
    hda->clock_zero = machine_clock(device->machine);
    hda_update_interrupt(hda);
}

static void hda_save(struct device *device, struct writer *w)
{
    struct hda *hda = of_device(device);

    pci_save(&hda->pci, w);
    writer_bytes(w, hda->registers, sizeof(hda->registers));
    hda_codec_save(&hda->codec, w);
    writer_u32(w, hda->responses);
    writer_u32(w, wall_clock(hda));
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        hda_stream_save(&hda->streams[n], w);
}

/* A register has no bits that are neither fixed nor a driver's nor the device's own. */
static void load_registers(struct hda *hda, struct reader *r)
{
    reader_copy(r, hda->registers, sizeof(hda->registers));
    for (size_t i = 0; i < ARRAY_SIZE(global_registers); i++)
        if (!global_registers[i].writable && !global_registers[i].clearable)
            memcpy(hda->registers + global_registers[i].offset, masks.reset + global_registers[i].offset,
                   global_registers[i].width);
}

static int hda_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct hda *hda = of_device(device);
    int err = pci_load(&hda->pci, r);
    uint64_t ticks;

    if (err)
        return err;
    load_registers(hda, r);
    hda_codec_load(&hda->codec, r);
    hda->responses = reader_u32(r) & 0xff;
    ticks = reader_u32(r);
    hda->clock_zero = machine_clock(device->machine) - ticks * 1000 / 24;
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        hda_stream_load(hda, n, r);
    hda->signalled = 0;
    hda_update_interrupt(hda);
    hda_wake(hda);
    return r->bad ? -EINVAL : 0;
}

static void hda_destroy(struct device *device)
{
    struct hda *hda = of_device(device);

    timer_fini(&hda->timer);
    pci_fini(&hda->pci);
    free(hda);
}

static const struct device_ops hda_ops = {
    .name = "hda",
    .version = 1,
    .reset = hda_reset,
    .save = hda_save,
    .load = hda_load,
    .destroy = hda_destroy,
};

/* ICH6's HDCTL (18.1.19): the link is HD Audio's; TCSEL is a driver's to write; where capabilities begin. */
enum { HDCTL = 0x40, TCSEL = 0x44, CAPABILITIES = 0x60 };

struct pci_device *hda_create(struct machine *machine, uint8_t devfn, enum hda_codec_kind kind, struct sound *sound)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086,
        .device = 0x2668,
        .subvendor = 0x1af4,
        .subdevice = 0x1100,
        .class = 0x040300,
        .revision = 1,
        .interrupt_pin = 1,
    };
    struct hda *hda = calloc(1, sizeof(*hda));

    if (!hda || timer_init(&hda->timer, machine->loop, hda_streams_run, hda)) {
        free(hda);
        return NULL;
    }
    if (pci_init(&hda->pci, &hda_ops, machine, devfn, &ids)) {
        timer_fini(&hda->timer);
        free(hda);
        return NULL;
    }
    make_masks();
    hda->sound = sound;
    hda->region = (struct region){"hda", &region_ops, hda, .size = REGISTER_SPACE};
    pci_add_bar(&hda->pci, 0, PCI_BAR_MEM, &hda->region);
    hda->pci.next_cap = CAPABILITIES;
    pci_add_msi(&hda->pci);
    hda->pci.config[HDCTL] = 1;
    hda->pci.writable[TCSEL] = 7;
    hda_codec_init(&hda->codec, kind);
    hda_reset(&hda->pci.base);
    return &hda->pci;
}

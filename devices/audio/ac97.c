/*
 * The bus master: three boxes, as the datasheet calls them, each a list of 32 buffers that is gone round until the last
 * valid one. All of it is done in the main loop, as hda_stream.c does, and under the device lock but while others hear or speak.
 */
#include "devices/audio/ac97.h"

#include "base/log.h"
#include "base/timer.h"
#include "devices/audio/ac97_mixer.h"
#include "devices/audio/pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_FRAMES 480
#define MIXER_SPACE  256
#define MASTER_SPACE 64
#define BOX_SIZE     16
#define LIST_MASK    31

enum { PCM_IN, PCM_OUT, MIC_IN, BOXES };

/* Registers of a box; the global ones. 13.2 */
enum { BDBAR = 0x0, CIV = 0x4, LVI = 0x5, SR = 0x6, PICB = 0x8, PIV = 0xa, CR = 0xb };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };

enum { SR_HALTED = 1 << 0, SR_AT_LAST = 1 << 1, SR_LAST_DONE = 1 << 2, SR_DONE = 1 << 3, SR_FIFO_ERROR = 1 << 4 };
#define SR_CLEARABLE (SR_LAST_DONE | SR_DONE | SR_FIFO_ERROR)
enum { CR_RUN = 1 << 0, CR_RESET = 1 << 1, CR_LAST = 1 << 2, CR_FIFO = 1 << 3, CR_DONE = 1 << 4 };
#define CR_WRITABLE (CR_RUN | CR_LAST | CR_FIFO | CR_DONE)
enum { CNT_COLD = 1 << 1, CNT_WARM = 1 << 2 };
#define CNT_WRITABLE 0x3b /* but for WARM, which ends at once */
#define STA_READY 0x100

struct box {
    uint32_t list;          /* BDBAR */
    uint8_t current, last, next, control;
    uint16_t status, left;  /* left: samples of the current buffer */
    uint32_t address;       /* of the next one of them */
    bool interrupt;         /* when the buffer is at its end */
    struct pace pace;       /* rate 0: stands still */
};

struct ac97 {
    struct pci_device pci;
    struct region mixer_region, master_region;
    struct sound *sound;
    struct timer timer;
    struct ac97_mixer mixer;
    struct box boxes[BOXES];
    uint32_t control;
    bool taken; /* CAS: somebody is at the codec */
};

static const struct {
    enum sound_direction direction;
    uint8_t channels, rate; /* rate: the mixer's register */
    uint32_t interrupt;     /* in GLOB_STA */
} kinds[BOXES] = {
    [PCM_IN] = {SOUND_RECORD, 2, AC97_ADC_RATE, 1 << 5},
    [PCM_OUT] = {SOUND_PLAYBACK, 2, AC97_DAC_RATE, 1 << 6},
    [MIC_IN] = {SOUND_RECORD, 1, AC97_MIC_RATE, 1 << 7},
};

static struct ac97 *of_device(struct device *device)
{
    return container_of(device, struct ac97, pci.base);
}

static uint64_t now_of(struct ac97 *a)
{
    return machine_clock(a->pci.base.machine);
}

/* --- interrupts --- */

static bool wants(const struct box *b)
{
    return (b->status & SR_LAST_DONE && b->control & CR_LAST) || (b->status & SR_DONE && b->control & CR_DONE) ||
           (b->status & SR_FIFO_ERROR && b->control & CR_FIFO);
}

static uint32_t global_status(const struct ac97 *a)
{
    uint32_t status = a->control & CNT_COLD ? STA_READY : 0;

    for (unsigned n = 0; n < BOXES; n++)
        status |= wants(&a->boxes[n]) ? kinds[n].interrupt : 0;
    return status;
}

static void update_interrupt(struct ac97 *a)
{
    pci_set_intx(&a->pci, global_status(a) & ~(uint32_t)STA_READY);
}

/* --- the list of buffers --- */

static void wake(struct ac97 *a)
{
    timer_set(&a->timer, 0);
}

/* Whoever hears is to be told. */
static void halt(struct ac97 *a, struct box *b, uint16_t why)
{
    b->status |= SR_HALTED | why;
    b->pace.rate = 0;
    wake(a);
}

static bool read_entry(struct ac97 *a, struct box *b)
{
    uint8_t raw[8];

    if (memory_read(a->pci.base.machine->memory, (uint64_t)b->list + b->current * sizeof(raw), raw, sizeof(raw))) {
        log_once(LOG_WARN, "ac97: the guest's list of buffers is no memory");
        halt(a, b, SR_FIFO_ERROR);
        return false;
    }
    b->address = load_le32(raw) & ~1u;
    b->left = load_le16(raw + 4);
    b->interrupt = raw[7] & 0x80;
    return true;
}

static bool next_entry(struct ac97 *a, struct box *b)
{
    b->current = b->next;
    b->next = (b->next + 1) & LIST_MASK;
    return read_entry(a, b);
}

static void end_entry(struct ac97 *a, struct box *b)
{
    if (b->interrupt)
        b->status |= SR_DONE;
    if (b->current == b->last)
        halt(a, b, SR_LAST_DONE | SR_AT_LAST);
    else
        next_entry(a, b);
}

/* `count` samples to or from the guest's buffers; returns how many there were before the last buffer's end. */
static size_t transfer(struct ac97 *a, unsigned n, int16_t *samples, size_t count)
{
    struct box *b = &a->boxes[n];
    size_t done = 0, part;

    /* A round of the list ends at the last valid entry, so that empty ones do not go on for ever. */
    while (done < count && !(b->status & SR_HALTED)) {
        uint8_t *bytes;

        part = MIN(count - done, b->left);
        bytes = part ? memory_pointer(a->pci.base.machine->memory, b->address, part * 2) : NULL;
        if (part && !bytes) {
            log_once(LOG_WARN, "ac97: the guest's buffer is no memory");
            halt(a, b, SR_FIFO_ERROR);
            break;
        }
        for (size_t i = 0; i < part; i++)
            if (kinds[n].direction == SOUND_RECORD)
                store_le16(bytes + i * 2, (uint16_t)samples[done + i]);
            else
                samples[done + i] = (int16_t)load_le16(bytes + i * 2);
        done += part;
        b->left -= (uint16_t)part;
        b->address += (uint32_t)part * 2;
        if (!b->left)
            end_entry(a, b);
    }
    return done;
}

/* --- registers of a box --- */

static void reset_box(struct box *b)
{
    *b = (struct box){.status = SR_HALTED};
}

static void go_on(struct ac97 *a, unsigned n)
{
    struct box *b = &a->boxes[n];

    b->status &= (uint16_t)~(SR_HALTED | SR_AT_LAST);
    pace_start(&b->pace, ac97_mixer_rate(&a->mixer, kinds[n].rate), now_of(a));
    wake(a);
}

static void write_control(struct ac97 *a, unsigned n, uint8_t value)
{
    struct box *b = &a->boxes[n];
    bool ran = b->control & CR_RUN;

    if (value & CR_RESET) {
        if (!ran)
            reset_box(b);
        return;
    }
    b->control = value & CR_WRITABLE;
    if (ran && !(value & CR_RUN))
        halt(a, b, 0);
    else if (!ran && value & CR_RUN && (b->left || next_entry(a, b)))
        go_on(a, n);
}

/* What has come to its end goes on when there is more. */
static void write_last(struct ac97 *a, unsigned n, uint8_t value)
{
    struct box *b = &a->boxes[n];

    b->last = value & LIST_MASK;
    if (b->control & CR_RUN && b->status & SR_HALTED && next_entry(a, b))
        go_on(a, n);
}

static void box_image(const struct box *b, uint8_t raw[BOX_SIZE])
{
    memset(raw, 0, BOX_SIZE);
    store_le32(raw + BDBAR, b->list);
    raw[CIV] = b->current;
    raw[LVI] = b->last;
    store_le16(raw + SR, b->status);
    store_le16(raw + PICB, b->left);
    raw[PIV] = b->next;
    raw[CR] = b->control;
}

static bool has(unsigned offset, unsigned width, unsigned reg)
{
    return reg >= offset && reg < offset + width;
}

static void write_box(struct ac97 *a, unsigned n, unsigned offset, uint64_t value, unsigned width)
{
    struct box *b = &a->boxes[n];
    uint8_t raw[BOX_SIZE];

    box_image(b, raw);
    store_le16(raw + SR, 0); /* ones clear */
    for (unsigned i = 0; i < width; i++)
        raw[offset + i] = (uint8_t)(value >> i * 8);
    b->list = load_le32(raw + BDBAR) & ~7u;
    b->status &= (uint16_t)~(load_le16(raw + SR) & SR_CLEARABLE);
    if (has(offset, width, LVI))
        write_last(a, n, raw[LVI]);
    if (has(offset, width, CR))
        write_control(a, n, raw[CR]);
}

/* --- the bus master --- */

static void reset_boxes(struct ac97 *a)
{
    for (unsigned n = 0; n < BOXES; n++)
        reset_box(&a->boxes[n]);
    a->taken = false;
    wake(a);
}

static void write_global(struct ac97 *a, uint32_t value)
{
    if (a->control & CNT_COLD && !(value & CNT_COLD)) {
        reset_boxes(a);
        ac97_mixer_reset(&a->mixer);
    }
    a->control = value & CNT_WRITABLE;
}

static uint64_t master_read(void *opaque, uint64_t offset, unsigned width)
{
    struct ac97 *a = opaque;
    uint8_t raw[MASTER_SPACE + 8] = {0};

    for (unsigned n = 0; n < BOXES; n++)
        box_image(&a->boxes[n], raw + n * BOX_SIZE);
    if (has((unsigned)offset, width, CAS)) {
        raw[CAS] = a->taken;
        a->taken = true; /* until the codec was used */
    }
    /* The end of the third box is theirs. */
    store_le32(raw + GLOB_CNT, a->control);
    store_le32(raw + GLOB_STA, global_status(a));
    return load_le64(raw + offset) & (UINT64_MAX >> (64 - width * 8));
}

static void master_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct ac97 *a = opaque;

    if (offset == GLOB_CNT && width == 4)
        write_global(a, (uint32_t)value);
    else if (offset < GLOB_CNT)
        write_box(a, (unsigned)offset / BOX_SIZE, offset % BOX_SIZE, value, width);
    update_interrupt(a);
}

static uint64_t mixer_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct ac97 *a = opaque;

    a->taken = false;
    return ac97_mixer_read(&a->mixer, (unsigned)offset);
}

static void mixer_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct ac97 *a = opaque;

    a->taken = false;
    ac97_mixer_write(&a->mixer, (unsigned)offset, (uint16_t)value);
    for (unsigned n = 0; n < BOXES; n++) {
        uint32_t rate = ac97_mixer_rate(&a->mixer, kinds[n].rate);

        if (a->boxes[n].pace.rate && a->boxes[n].pace.rate != rate)
            pace_start(&a->boxes[n].pace, rate, now_of(a));
    }
    wake(a); /* the volume may be another */
}

static const struct region_ops master_ops = {.read = master_read, .write = master_write, .max_width = 4};
static const struct region_ops mixer_ops = {.read = mixer_read, .write = mixer_write, .min_width = 2, .max_width = 2};

/* --- running --- */

/* The box whose sound goes to or comes from the seam; BOXES: none. */
static unsigned find_box(const struct ac97 *a, enum sound_direction direction)
{
    for (unsigned n = 0; n < BOXES; n++)
        if (kinds[n].direction == direction && a->boxes[n].pace.rate)
            return n;
    return BOXES;
}

static unsigned tell(struct ac97 *a, enum sound_direction direction)
{
    struct machine *machine = a->pci.base.machine;
    struct sound_format format = {0};
    struct sound_volume volume;
    unsigned n;

    machine_lock(machine);
    n = find_box(a, direction);
    if (n < BOXES)
        format = (struct sound_format){a->boxes[n].pace.rate, kinds[n].channels};
    volume = ac97_mixer_volume(&a->mixer, direction);
    machine_unlock(machine);
    sound_set_volume(a->sound, direction, &volume);
    sound_run(a->sound, direction, n < BOXES ? &format : NULL);
    return n;
}

static size_t due(struct ac97 *a, unsigned n, size_t most)
{
    return pace_due(&a->boxes[n].pace, now_of(a), (uint32_t)most);
}

/* A chunk of a box; true: there may be more. */
static bool run_box(struct ac97 *a, unsigned n, bool heard)
{
    struct machine *machine = a->pci.base.machine;
    struct box *b = &a->boxes[n];
    int16_t samples[CHUNK_FRAMES * SOUND_MAX_CHANNELS] = {0};
    unsigned channels = kinds[n].channels;
    bool record = kinds[n].direction == SOUND_RECORD;
    size_t frames;

    machine_lock(machine);
    frames = due(a, n, CHUNK_FRAMES);
    machine_unlock(machine);
    if (frames && record && heard)
        sound_record(a->sound, samples, frames);
    machine_lock(machine);
    frames = due(a, n, frames); /* it may have been stopped meanwhile */
    pace_take(&b->pace, (uint32_t)frames);
    frames = transfer(a, n, samples, frames * channels) / channels;
    machine_unlock(machine);
    if (frames && !record && heard)
        sound_play(a->sound, samples, frames);
    return frames == CHUNK_FRAMES;
}

static void set_timer(struct ac97 *a)
{
    uint64_t now = now_of(a), tick = UINT64_MAX;

    for (unsigned n = 0; n < BOXES; n++)
        tick = MIN(tick, pace_tick(&a->boxes[n].pace, a->boxes[n].left / kinds[n].channels, now));
    pace_set_timer(&a->timer, a->pci.base.machine, tick);
}

static void run(void *opaque)
{
    struct ac97 *a = opaque;
    unsigned playing = tell(a, SOUND_PLAYBACK), recording = tell(a, SOUND_RECORD);

    for (unsigned n = 0; n < BOXES; n++)
        while (run_box(a, n, n == playing || n == recording))
            ;
    machine_lock(a->pci.base.machine);
    update_interrupt(a);
    set_timer(a);
    machine_unlock(a->pci.base.machine);
}

/* --- the device --- */

static void ac97_reset(struct device *device)
{
    struct ac97 *a = of_device(device);

    a->control = 0;
    reset_boxes(a);
    ac97_mixer_reset(&a->mixer);
    update_interrupt(a);
}

static void ac97_save(struct device *device, struct writer *w)
{
    struct ac97 *a = of_device(device);

    pci_save(&a->pci, w);
    ac97_mixer_save(&a->mixer, w);
    writer_u32(w, a->control);
    writer_u8(w, a->taken);
    for (unsigned n = 0; n < BOXES; n++) {
        const struct box *b = &a->boxes[n];
        const uint8_t bytes[] = {b->current, b->last, b->next, b->control, b->interrupt};

        writer_u32(w, b->list);
        writer_bytes(w, bytes, sizeof(bytes));
        writer_u16(w, b->status);
        writer_u16(w, b->left);
        writer_u32(w, b->address);
    }
}

static void load_box(struct ac97 *a, unsigned n, struct reader *r)
{
    struct box *b = &a->boxes[n];
    uint8_t bytes[5] = {0};

    reset_box(b);
    b->list = reader_u32(r) & ~7u;
    reader_copy(r, bytes, sizeof(bytes));
    b->current = bytes[0] & LIST_MASK;
    b->last = bytes[1] & LIST_MASK;
    b->next = bytes[2] & LIST_MASK;
    b->control = bytes[3] & CR_WRITABLE;
    b->interrupt = bytes[4] & 1;
    b->status = reader_u16(r) & (SR_HALTED | SR_AT_LAST | SR_CLEARABLE);
    b->left = reader_u16(r);
    b->address = reader_u32(r) & ~1u;
    if (b->control & CR_RUN && !(b->status & SR_HALTED))
        go_on(a, n);
    else
        b->status |= SR_HALTED;
}

static int ac97_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct ac97 *a = of_device(device);
    int err = pci_load(&a->pci, r);

    if (err)
        return err;
    ac97_mixer_load(&a->mixer, r);
    a->control = reader_u32(r) & CNT_WRITABLE;
    a->taken = reader_u8(r) & 1;
    for (unsigned n = 0; n < BOXES; n++)
        load_box(a, n, r);
    update_interrupt(a);
    wake(a);
    return r->bad ? -EINVAL : 0;
}

static void ac97_destroy(struct device *device)
{
    struct ac97 *a = of_device(device);

    timer_fini(&a->timer);
    pci_fini(&a->pci);
    free(a);
}

static const struct device_ops ac97_ops = {
    .name = "ac97",
    .version = 1,
    .reset = ac97_reset,
    .save = ac97_save,
    .load = ac97_load,
    .destroy = ac97_destroy,
};

struct pci_device *ac97_create(struct machine *machine, uint8_t devfn, struct sound *sound)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086,
        .device = 0x2415,
        .subvendor = 0x1af4,
        .subdevice = 0x1100,
        .class = 0x040100,
        .revision = 1,
        .interrupt_pin = 1,
    };
    struct ac97 *a = calloc(1, sizeof(*a));

    if (!a || timer_init(&a->timer, machine->loop, run, a)) {
        free(a);
        return NULL;
    }
    if (pci_init(&a->pci, &ac97_ops, machine, devfn, &ids)) {
        timer_fini(&a->timer);
        free(a);
        return NULL;
    }
    a->sound = sound;
    a->mixer_region = (struct region){"ac97-mixer", &mixer_ops, a, .size = MIXER_SPACE};
    a->master_region = (struct region){"ac97-master", &master_ops, a, .size = MASTER_SPACE};
    pci_add_bar(&a->pci, 0, PCI_BAR_IO, &a->mixer_region);
    pci_add_bar(&a->pci, 1, PCI_BAR_IO, &a->master_region);
    ac97_reset(&a->pci.base);
    return &a->pci;
}

#include "devices/ide/ide_private.h"

#include <string.h>

/* Command block registers (ACS-2, 6; ATA-7 volume 2, 5). */
enum {
    REG_DATA,
    REG_FEATURES, /* read: error */
    REG_COUNT,
    REG_LBA_LOW,
    REG_LBA_HIGH = 5,
    REG_DEVICE,
    REG_COMMAND, /* read: status */
};

#define CMD_DEVICE_RESET 0x08
#define CMD_DIAGNOSTIC   0x90
#define DIAGNOSTIC_OK    0x01
#define DEVICE_FIXED     0xa0 /* bits that have read as ones since ATA-1 */
#define NOBODY           0x7f /* the bus is pulled up, but for its bit 7 */

static struct ide_drive *selected(struct ide_channel *channel)
{
    return &channel->drives[!!(channel->device & ATA_DEV)];
}

static bool is_empty(const struct ide_channel *channel)
{
    return !channel->drives[0].model && !channel->drives[1].model;
}

/* --- status and interrupt --- */

static uint8_t status_of(const struct ide_drive *drive)
{
    if (drive->in_flight || (drive->channel->control & ATA_SRST))
        return ATA_BSY;
    return drive->status;
}

void ide_update_line(struct ide_channel *channel)
{
    bool level = selected(channel)->interrupt && !(channel->control & ATA_NIEN);

    if (level && !channel->line)
        ide_bmdma_interrupt(channel);
    if (level != channel->line)
        irq_set(channel->irq, level);
    channel->line = level;
}

static void set_interrupt(struct ide_drive *drive, bool level)
{
    drive->interrupt = level;
    ide_update_line(drive->channel);
}

void ide_interrupt(struct ide_drive *drive)
{
    set_interrupt(drive, true);
}

void ide_complete(struct ide_drive *drive, uint8_t status, uint8_t error)
{
    drive->phase = IDE_IDLE;
    drive->status = status;
    drive->error = error;
    ide_interrupt(drive);
}

/* --- resets --- */

void ide_put_signature(struct ide_drive *drive)
{
    struct ide_taskfile *tf = &drive->taskfile;

    tf->count[0] = tf->lba[0][0] = 1;
    tf->lba[1][0] = drive->model->signature[0];
    tf->lba[2][0] = drive->model->signature[1];
}

void ide_drive_reset(struct ide_drive *drive, bool hard)
{
    if (!drive->model)
        return;
    ide_io_abandon(drive);
    drive->phase = IDE_IDLE;
    drive->transfer = (struct ide_transfer){0};
    drive->taskfile = (struct ide_taskfile){0};
    drive->status = drive->model->reset_status;
    drive->error = DIAGNOSTIC_OK;
    ide_put_signature(drive);
    drive->model->reset(drive, hard);
    set_interrupt(drive, false);
}

static void reset_drives(struct ide_channel *channel, bool hard)
{
    unsigned i;

    for (i = 0; i < IDE_DRIVES; i++)
        ide_drive_reset(&channel->drives[i], hard);
    channel->device = 0;
    ide_update_line(channel);
}

void ide_channel_reset(struct ide_channel *channel)
{
    channel->control = 0;
    reset_drives(channel, true);
    ide_bmdma_reset(&channel->bmdma);
}

/* Drive 0 speaks for both. */
static void run_diagnostic(struct ide_channel *channel)
{
    reset_drives(channel, false);
    if (channel->drives[0].model)
        ide_interrupt(&channel->drives[0]);
}

/* --- registers --- */

static uint8_t drive_register(const struct ide_drive *drive, unsigned reg)
{
    unsigned previous = !!(drive->channel->control & ATA_HOB);

    if (reg == REG_FEATURES)
        return drive->error;
    if (reg == REG_COUNT)
        return drive->taskfile.count[previous];
    return drive->taskfile.lba[reg - REG_LBA_LOW][previous];
}

static uint8_t read_register(struct ide_channel *channel, unsigned reg)
{
    struct ide_drive *drive = selected(channel);

    if (is_empty(channel))
        return NOBODY;
    if (reg == REG_DEVICE)
        return channel->device | DEVICE_FIXED;
    if (!drive->model)
        return 0;
    if (reg < REG_DEVICE)
        return drive_register(drive, reg);
    if (!(channel->control & ATA_SRST))
        set_interrupt(drive, false);
    return status_of(drive);
}

static uint64_t command_read(void *opaque, uint64_t offset, unsigned width)
{
    struct ide_channel *channel = opaque;
    uint64_t value = 0;
    unsigned i;

    if (offset == REG_DATA && width > 1)
        return is_empty(channel) ? ~0ULL : ide_data_read(selected(channel), width);
    if (offset == REG_DATA)
        return is_empty(channel) ? NOBODY : ide_data_read(selected(channel), 1);
    for (i = 0; i < width; i++)
        value |= (uint64_t)read_register(channel, (unsigned)offset + i) << 8 * i;
    return value;
}

static void latch(uint8_t reg[2], uint8_t value)
{
    reg[1] = reg[0];
    reg[0] = value;
}

static void write_taskfile(struct ide_drive *drive, unsigned reg, uint8_t value)
{
    struct ide_taskfile *tf = &drive->taskfile;

    if (status_of(drive) & (ATA_BSY | ATA_DRQ))
        return;
    if (reg == REG_FEATURES)
        latch(tf->features, value);
    else if (reg == REG_COUNT)
        latch(tf->count, value);
    else
        latch(tf->lba[reg - REG_LBA_LOW], value);
}

static void write_command(struct ide_channel *channel, uint8_t command)
{
    struct ide_drive *drive = selected(channel);

    if (channel->control & ATA_SRST)
        return;
    if (command == CMD_DIAGNOSTIC) {
        run_diagnostic(channel);
        return;
    }
    if (!drive->model)
        return;
    set_interrupt(drive, false);
    if (command == CMD_DEVICE_RESET && drive->kind == IDE_CDROM)
        ide_drive_reset(drive, false);
    else if (!(status_of(drive) & (ATA_BSY | ATA_DRQ)))
        ide_command(drive, command);
}

static void write_register(struct ide_channel *channel, unsigned reg, uint8_t value)
{
    unsigned i;

    channel->control &= (uint8_t)~ATA_HOB;
    if (reg == REG_COMMAND) {
        write_command(channel, value);
    } else if (reg == REG_DEVICE) {
        channel->device = value;
        ide_update_line(channel);
    } else {
        for (i = 0; i < IDE_DRIVES; i++)
            write_taskfile(&channel->drives[i], reg, value);
    }
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct ide_channel *channel = opaque;
    unsigned i;

    if (offset == REG_DATA) {
        ide_data_write(selected(channel), (uint32_t)value, width);
        return;
    }
    for (i = 0; i < width; i++)
        write_register(channel, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
}

/* Alternate status: without an effect on the interrupt. */
static uint64_t control_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    struct ide_channel *channel = opaque;

    if (is_empty(channel))
        return NOBODY;
    return selected(channel)->model ? status_of(selected(channel)) : 0;
}

static void control_write(void *opaque, uint64_t offset UNUSED, uint64_t value, unsigned width UNUSED)
{
    struct ide_channel *channel = opaque;
    bool rises = (value & ATA_SRST) && !(channel->control & ATA_SRST);

    channel->control = value & (ATA_NIEN | ATA_SRST | ATA_HOB);
    if (rises)
        reset_drives(channel, false);
    ide_update_line(channel);
}

const struct region_ops ide_command_ops = {.read = command_read, .write = command_write};
const struct region_ops ide_control_ops = {.read = control_read, .write = control_write, .max_width = 1};

/* --- life --- */

void ide_channel_init(struct ide_channel *channel, struct ide *ide, unsigned number)
{
    static const unsigned irqs[IDE_CHANNELS] = {14, 15};
    struct machine *machine = ide->pci.base.machine;
    unsigned i;

    channel->ide = ide;
    channel->number = number;
    channel->irq = machine->gsi(machine, irqs[number]);
    channel->command_region = (struct region){"ide command", &ide_command_ops, channel, .size = 8};
    channel->control_region = (struct region){"ide control", &ide_control_ops, channel, .size = 1};
    for (i = 0; i < IDE_DRIVES; i++) {
        channel->drives[i].ide = ide;
        channel->drives[i].channel = channel;
        channel->drives[i].unit = number * IDE_DRIVES + i;
    }
}

#include "devices/ide/ide_private.h"

#include "base/error.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Configuration registers (82371SB, 2.3). */
#define IDETIM        0x40 /* two bytes for each channel */
#define IDETIM_DECODE 0x8000
#define SIDETIM       0x44
#define BMDMA_BAR     4

static const uint16_t command_ports[IDE_CHANNELS] = {0x1f0, 0x170};
static const uint16_t control_ports[IDE_CHANNELS] = {0x3f6, 0x376};

static struct ide *of_device(struct device *device)
{
    return container_of(device, struct ide, pci.base);
}

/* --- where the ports are --- */

static void place(struct bus *bus, struct region *region, bool wanted, uint16_t port)
{
    if (wanted && !region->mapped)
        bus_map(bus, region, port);
    else if (!wanted && region->mapped)
        bus_unmap(bus, region);
}

static void place_ports(struct ide *ide)
{
    const uint8_t *config = ide->pci.config;
    bool io = load_le16(config + PCI_COMMAND) & PCI_COMMAND_IO;
    struct bus *pio = ide->pci.base.machine->pio;
    unsigned i;

    for (i = 0; i < IDE_CHANNELS; i++) {
        bool decoded = io && (load_le16(config + IDETIM + 2 * i) & IDETIM_DECODE);

        place(pio, &ide->channels[i].command_region, decoded, command_ports[i]);
        place(pio, &ide->channels[i].control_region, decoded, control_ports[i]);
    }
}

static void config_written(struct pci_device *pci, unsigned offset UNUSED, unsigned size UNUSED)
{
    place_ports(container_of(pci, struct ide, pci));
}

/* --- saved state: nothing is in flight when it is written --- */

static void save_transfer(const struct ide_drive *drive, struct writer *w)
{
    const struct ide_transfer *t = &drive->transfer;
    const bool flags[] = {t->to_host, t->dma, t->medium, t->silent, t->quiet, t->single, t->sync, t->ext};
    const uint32_t numbers[] = {t->left, t->chunk, t->unit, t->drq_size, t->at, t->drq_end, t->end};
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(flags); i++)
        writer_u8(w, flags[i]);
    writer_u8(w, t->after);
    writer_u8(w, t->parts);
    writer_u64(w, t->lba);
    for (i = 0; i < ARRAY_SIZE(numbers); i++)
        writer_u32(w, numbers[i]);
    writer_bytes(w, drive->buffer, drive->phase == IDE_IDLE ? 0 : t->end);
}

/* All that the code of a running transfer takes for granted. */
static bool transfer_is_sound(const struct ide_drive *drive)
{
    const struct ide_transfer *t = &drive->transfer;
    uint64_t blocks = ide_blocks(drive);
    uint32_t unit = t->parts ? atapi_raw_size(t->parts) : drive->model->block;
    bool cdrom = drive->kind == IDE_CDROM;

    if (t->at > t->end || t->end > IDE_BUFFER || (!t->dma && !t->drq_size))
        return false;
    if (drive->phase == IDE_PIO && (t->at > t->drq_end || t->drq_end > t->end))
        return false;
    if (t->after >= IDE_AFTERS || (t->after == IDE_AFTER_TRIM && !IS_ALIGNED(t->end, DISK_SECTOR)) ||
        (t->after && (t->after == IDE_AFTER_PACKET) != cdrom))
        return false;
    if (cdrom ? t->sync || (t->medium && !t->to_host) : t->parts != 0)
        return false;
    if (!t->medium)
        return !t->left;
    return unit && t->unit == unit && t->lba <= blocks && t->left <= blocks - t->lba &&
           (t->to_host || (t->chunk <= t->left && t->end == t->chunk * t->unit));
}

static int load_transfer(struct ide_drive *drive, struct reader *r)
{
    struct ide_transfer *t = &drive->transfer;
    bool *flags[] = {&t->to_host, &t->dma, &t->medium, &t->silent, &t->quiet, &t->single, &t->sync, &t->ext};
    uint32_t *numbers[] = {&t->left, &t->chunk, &t->unit, &t->drq_size, &t->at, &t->drq_end, &t->end};
    const uint8_t *data;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(flags); i++)
        *flags[i] = reader_u8(r) & 1;
    t->after = reader_u8(r);
    t->parts = reader_u8(r);
    t->lba = reader_u64(r);
    for (i = 0; i < ARRAY_SIZE(numbers); i++)
        *numbers[i] = reader_u32(r);
    if (drive->phase == IDE_IDLE)
        *t = (struct ide_transfer){0};
    else if (r->bad || !transfer_is_sound(drive))
        return -EINVAL;
    data = reader_bytes(r, t->end);
    if (!data)
        return -EINVAL;
    memcpy(drive->buffer, data, t->end);
    return 0;
}

static void save_drive(const struct ide_drive *drive, struct writer *w)
{
    writer_u8(w, (uint8_t)drive->kind);
    if (!drive->model)
        return;
    writer_u64(w, ide_blocks(drive));
    writer_bytes(w, &drive->taskfile, sizeof(drive->taskfile));
    writer_u8(w, drive->status);
    writer_u8(w, drive->error);
    writer_u8(w, drive->interrupt);
    writer_u8(w, (uint8_t)drive->phase);
    writer_u8(w, drive->multiple);
    writer_u8(w, drive->transfer_mode);
    writer_u8(w, drive->write_cache);
    writer_u16(w, drive->geometry.cylinders);
    writer_u8(w, drive->geometry.heads);
    writer_u8(w, drive->geometry.sectors);
    save_transfer(drive, w);
    cdrom_save(drive, w);
}

static int load_registers(struct ide_drive *drive, struct reader *r)
{
    const uint8_t *taskfile = reader_bytes(r, sizeof(drive->taskfile));

    if (!taskfile)
        return -EINVAL;
    memcpy(&drive->taskfile, taskfile, sizeof(drive->taskfile));
    drive->status = reader_u8(r);
    drive->error = reader_u8(r);
    drive->interrupt = reader_u8(r) & 1;
    drive->phase = (enum ide_phase)reader_u8(r);
    drive->multiple = reader_u8(r);
    drive->transfer_mode = reader_u8(r);
    drive->write_cache = reader_u8(r) & 1;
    drive->geometry.cylinders = reader_u16(r);
    drive->geometry.heads = reader_u8(r);
    drive->geometry.sectors = reader_u8(r);
    if (r->bad || drive->phase >= IDE_PHASES || drive->phase == IDE_MEDIUM || drive->multiple > IDE_MAX_MULTIPLE ||
        !drive->geometry.heads || !drive->geometry.sectors)
        return -EINVAL;
    return 0;
}

static int load_drive(struct ide_drive *drive, struct reader *r)
{
    int err;

    if (reader_u8(r) != (uint8_t)drive->kind)
        return fail(-EINVAL, "ide: the saved state has another kind of drive as unit %u", drive->unit);
    if (!drive->model)
        return 0;
    if (reader_u64(r) != ide_blocks(drive))
        return fail(-EINVAL, "ide: the saved state has a medium of another size in unit %u", drive->unit);
    err = load_registers(drive, r);
    if (!err)
        err = load_transfer(drive, r);
    if (!err)
        err = cdrom_load(drive, r);
    if (err)
        ide_drive_reset(drive, true); /* nothing half-loaded runs */
    return err;
}

static void ide_save(struct device *device, struct writer *w)
{
    struct ide *ide = of_device(device);
    unsigned i, j;

    ide_io_drain(ide);
    pci_save(&ide->pci, w);
    for (i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *channel = &ide->channels[i];

        writer_u8(w, channel->device);
        writer_u8(w, channel->control);
        ide_bmdma_save(&channel->bmdma, w);
        for (j = 0; j < IDE_DRIVES; j++)
            save_drive(&channel->drives[j], w);
    }
}

static int load_channel(struct ide_channel *channel, struct reader *r)
{
    unsigned i;
    int err = 0;

    channel->device = reader_u8(r);
    channel->control = reader_u8(r) & (ATA_NIEN | ATA_SRST | ATA_HOB);
    ide_bmdma_load(&channel->bmdma, r);
    for (i = 0; i < IDE_DRIVES && !err; i++)
        err = load_drive(&channel->drives[i], r);
    return err;
}

/* The line's level is set again; an edge that this makes is none of the device's. */
static void restore_line(struct ide_channel *channel)
{
    uint8_t status = channel->bmdma.status;

    ide_update_line(channel);
    channel->bmdma.status = status;
}

static int ide_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct ide *ide = of_device(device);
    unsigned i;
    int err;

    for (i = 0; i < IDE_CHANNELS; i++)
        ide_channel_reset(&ide->channels[i]);
    ide_io_drain(ide);
    err = pci_load(&ide->pci, r);
    for (i = 0; i < IDE_CHANNELS && !err; i++)
        err = load_channel(&ide->channels[i], r);
    for (i = 0; i < IDE_CHANNELS; i++)
        restore_line(&ide->channels[i]);
    place_ports(ide);
    return err ? err : r->bad ? -EINVAL : 0;
}

/* --- life --- */

static void ide_reset(struct device *device)
{
    struct ide *ide = of_device(device);
    unsigned i;

    store_le32(ide->pci.config + IDETIM, 0);
    ide->pci.config[SIDETIM] = 0;
    for (i = 0; i < IDE_CHANNELS; i++)
        ide_channel_reset(&ide->channels[i]);
    place_ports(ide);
}

static void ide_retry(struct device *device)
{
    ide_io_retry(of_device(device));
}

static void free_drives(struct ide *ide)
{
    unsigned unit;

    for (unit = 0; unit < IDE_UNITS; unit++)
        free(ide->channels[unit / IDE_DRIVES].drives[unit % IDE_DRIVES].buffer);
}

static void ide_destroy(struct device *device)
{
    struct ide *ide = of_device(device);
    unsigned i;

    ide_io_fini(ide);
    for (i = 0; i < IDE_CHANNELS; i++) {
        place(device->machine->pio, &ide->channels[i].command_region, false, 0);
        place(device->machine->pio, &ide->channels[i].control_region, false, 0);
    }
    pci_fini(&ide->pci);
    free_drives(ide);
    free(ide);
}

static const struct device_ops ide_ops = {
    .name = "ide",
    .version = 1,
    .reset = ide_reset,
    .save = ide_save,
    .load = ide_load,
    .retry = ide_retry,
    .destroy = ide_destroy,
};

static int init_drive(struct ide_drive *drive, const struct ide_unit_options *options)
{
    if (options->kind == IDE_NONE)
        return 0;
    drive->buffer = malloc(IDE_BUFFER);
    if (!drive->buffer)
        return -ENOMEM;
    drive->kind = options->kind;
    drive->model = options->kind == IDE_DISK ? &ata_model : &atapi_model;
    drive->disk = options->disk;
    if (options->serial)
        snprintf(drive->serial, sizeof(drive->serial), "%s", options->serial);
    else
        snprintf(drive->serial, sizeof(drive->serial), "MV%05u", drive->unit + 1);
    return 0;
}

static int init_drives(struct ide *ide, const struct ide_options *options)
{
    unsigned unit;
    int err;

    for (unit = 0; unit < IDE_CHANNELS; unit++)
        ide_channel_init(&ide->channels[unit], ide, unit);
    err = ide_io_init(ide);
    for (unit = 0; unit < IDE_UNITS && !err; unit++)
        err = init_drive(&ide->channels[unit / IDE_DRIVES].drives[unit % IDE_DRIVES], &options->units[unit]);
    return err;
}

static int check_options(const struct machine *machine, const struct ide_options *options)
{
    unsigned unit;

    if (!options->loop || options->loop == machine->loop)
        return fail(-EINVAL, "ide: drives need a loop of their own");
    for (unit = 0; unit < IDE_UNITS; unit++) {
        const struct ide_unit_options *o = &options->units[unit];

        if (o->kind == IDE_DISK && o->disk->read_only)
            return fail(-EROFS, "an IDE disk cannot be read-only; use snapshot=on or bus=virtio");
        if (o->kind == IDE_DISK && o->disk->size < DISK_SECTOR)
            return fail(-EINVAL, "an IDE disk cannot be empty");
    }
    return 0;
}

int ide_create(struct ide **created, struct machine *machine, const struct ide_options *options)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086, .device = 0x7010, .subvendor = 0x1af4, .subdevice = 0x1100, .class = 0x010180};
    struct ide *ide;
    int err = check_options(machine, options);

    if (err)
        return err;
    ide = calloc(1, sizeof(*ide));
    if (!ide)
        return -ENOMEM;
    err = pci_init(&ide->pci, &ide_ops, machine, IDE_DEVFN, &ids);
    if (err) {
        free(ide);
        return err;
    }
    ide->loop = options->loop;
    store_le32(ide->pci.writable + IDETIM, 0xffffffff);
    ide->pci.writable[SIDETIM] = 0xff;
    ide->pci.config_written = config_written;
    ide->bmdma_region = (struct region){"ide bus master", &ide_bmdma_ops, ide, .size = 16};
    pci_add_bar(&ide->pci, BMDMA_BAR, PCI_BAR_IO, &ide->bmdma_region);
    *created = ide;
    err = init_drives(ide, options); /* from here on the machine destroys what there is */
    if (!err)
        ide_reset(&ide->pci.base);
    return err;
}

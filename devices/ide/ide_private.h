/*
 * ide_private.h - what the parts of the IDE device share.
 *
 *     ide.c        the PCI function, where its ports are, saved state
 *     channel.c    the command and control block registers of a channel, its interrupt, resets
 *     transfer.c   a command's data on its way: by DRQ blocks or DMA, through the drive's buffer, to or from the medium
 *     bmdma.c      the bus master: its registers and descriptor tables
 *     io.c         requests to the disks' loop, and their ends
 *     ata.c, ata_set.c, ata_identify.c   what a disk understands
 *     atapi.c, atapi_*.c, cdrom.c        what a CD-ROM drive understands, and its medium
 *
 * A drive's phases:
 *
 *     IDLE    takes commands
 *     MEDIUM  a request is in the disks' loop, or kept there until the host can do it; the host sees BSY
 *     PIO     a DRQ block waits for the host at the data register
 *     DMA     data waits for the bus master; the host sees DRQ
 *
 * A command goes from IDLE through any of the others back to IDLE. A reset makes the drive IDLE at once; if a request is
 * in flight then, the host sees BSY until that has ended, and nothing else comes of it.
 */
#ifndef DEVICES_IDE_IDE_PRIVATE_H
#define DEVICES_IDE_IDE_PRIVATE_H

#include "devices/ide/ide.h"
#include "vmm/pci.h"

#define IDE_CHANNELS      2
#define IDE_DRIVES        2 /* on each */
#define IDE_BUFFER        MIB(1)
#define IDE_MAX_MULTIPLE  16 /* sectors in a DRQ block */
#define IDE_TRIM_BLOCKS   8  /* of ranges, in one DATA SET MANAGEMENT */
#define CDROM_BLOCK       2048
#define CDROM_RAW_BLOCK   2352
#define ATAPI_PACKET_SIZE 12

/* Registers (ACS-2, 6). */
enum { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DF = 0x20, ATA_DRDY = 0x40, ATA_BSY = 0x80 };
enum { ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40, ATA_ICRC = 0x80 };
enum { ATA_DEV = 0x10, ATA_LBA = 0x40 };                   /* device */
enum { ATA_NIEN = 0x02, ATA_SRST = 0x04, ATA_HOB = 0x80 }; /* device control */
enum { ATAPI_CD = 1, ATAPI_IO = 2 };                       /* interrupt reason, in the count register */

#define ATA_READY (ATA_DRDY | ATA_DSC)

enum ide_phase { IDE_IDLE, IDE_MEDIUM, IDE_PIO, IDE_DMA, IDE_PHASES };
enum ide_fault { IDE_FAULT_READ, IDE_FAULT_WRITE, IDE_FAULT_DMA };
/* What a command does when its data is through. */
enum ide_after { IDE_AFTER_END, IDE_AFTER_TRIM, IDE_AFTER_PACKET, IDE_AFTERS };

struct ide;
struct ide_drive;

/* What makes a disk a disk and a CD-ROM drive one. */
struct ide_model {
    uint8_t signature[2]; /* cylinder low and high after a reset */
    uint8_t reset_status;
    uint16_t block;                                               /* bytes, of the medium */
    void (*drq)(struct ide_drive *drive);                         /* a DRQ block is about to be offered */
    void (*ended)(struct ide_drive *drive);                       /* all data is through */
    void (*fault)(struct ide_drive *drive, enum ide_fault fault); /* a transfer failed, at transfer.lba */
    void (*reset)(struct ide_drive *drive, bool hard);
};

/* What both drives of a channel latch; [1] holds what was there before, for 48-bit commands. */
struct ide_taskfile {
    uint8_t features[2], count[2], lba[3][2];
};

/* The data of the command that runs. A unit is what the host gets of one block of the medium. */
struct ide_transfer {
    bool to_host, dma;
    bool medium;               /* the data is the medium's; else it is all in the buffer */
    bool silent;               /* nothing goes to the host (verify) */
    bool quiet;                /* the next DRQ block comes without an interrupt */
    bool single;               /* block by block, to find the one that cannot be read */
    bool sync;                 /* flush afterwards */
    bool ext;                  /* a 48-bit command */
    uint8_t after;             /* enum ide_after */
    uint8_t parts;             /* READ CD: what of a raw block is wanted; 0: the data as it is */
    uint64_t lba;              /* next on the medium */
    uint32_t left;             /* blocks from there on */
    uint32_t chunk;            /* those of them that the buffer is for */
    uint32_t unit;             /* bytes */
    uint32_t drq_size;         /* bytes of a DRQ block, even but where the buffer ends */
    uint32_t at, drq_end, end; /* in the buffer: next byte, end of this DRQ block, of what is in it */
};

struct ide_geometry {
    uint16_t cylinders;
    uint8_t heads, sectors;
};

enum cdrom_change { CDROM_STEADY, CDROM_GONE, CDROM_CHANGED, CDROM_CHANGES };

struct cdrom {
    bool tray_open, locked, eject_request, removal, new_medium;
    bool was_reset;         /* a unit attention to tell */
    uint8_t change;         /* enum cdrom_change: what the guest is told next */
    uint8_t key, asc, ascq; /* sense data */
};

struct ide_drive {
    struct ide *ide;
    struct ide_channel *channel;
    unsigned unit;
    enum ide_kind kind;
    const struct ide_model *model; /* NULL: there is no drive */
    struct disk *disk;             /* NULL: no medium */
    char serial[IDE_SERIAL_MAX + 1];
    uint8_t *buffer; /* IDE_BUFFER bytes */

    struct ide_taskfile taskfile;
    uint8_t status, error;
    bool interrupt;
    enum ide_phase phase;
    struct ide_transfer transfer;

    uint8_t multiple;      /* sectors, 0: READ and WRITE MULTIPLE are off */
    uint8_t transfer_mode; /* SET FEATURES 03h */
    bool write_cache;
    struct ide_geometry geometry; /* by INITIALIZE DEVICE PARAMETERS */
    struct cdrom cdrom;

    /* The request in the disks' loop; io.c's. */
    bool in_flight, orphaned;
    bool ended;    /* atomic, by the disks' thread */
    bool kept;     /* the same: the host could not do it, and it waits to be tried again */
    bool given_up; /* the disks' thread's: nothing shall wait any more */
    int result;
    struct iovec iov;
    struct disk_request request;
};

struct ide_bmdma {
    uint8_t command, status;
    uint32_t table;      /* register */
    uint32_t next;       /* descriptor to read */
    uint32_t count;      /* descriptors read */
    uint32_t addr, left; /* of the present one */
    bool last;
};

struct ide_channel {
    struct ide *ide;
    unsigned number;
    struct ide_drive drives[IDE_DRIVES];
    uint8_t device, control;
    bool line; /* INTRQ */
    struct irq irq;
    struct ide_bmdma bmdma;
    struct region command_region, control_region;
};

struct ide {
    struct pci_device pci; /* first */
    struct loop *loop;
    struct ide_channel channels[IDE_CHANNELS];
    struct region bmdma_region;
    struct notifier ends; /* of requests, for the main loop */
};

static inline uint64_t ide_blocks(const struct ide_drive *drive)
{
    return drive->disk ? drive->disk->size / drive->model->block : 0;
}

/* --- channel.c --- */

extern const struct region_ops ide_command_ops, ide_control_ops;

void ide_channel_init(struct ide_channel *channel, struct ide *ide, unsigned number);
/* As at power-on. */
void ide_channel_reset(struct ide_channel *channel);
/* The line as drive, selection and nIEN have it. */
void ide_update_line(struct ide_channel *channel);
/* A drive back to where it takes commands, with its signature in the registers. */
void ide_drive_reset(struct ide_drive *drive, bool hard);
void ide_put_signature(struct ide_drive *drive);
/* The command is over: status and interrupt. */
void ide_complete(struct ide_drive *drive, uint8_t status, uint8_t error);
void ide_interrupt(struct ide_drive *drive);

/* --- transfer.c --- */

/* `transfer` is filled in, as are the first transfer->end bytes of the buffer where the data is not the medium's. */
void ide_transfer(struct ide_drive *drive, const struct ide_transfer *transfer);
/* The host at the data register: 1, 2 or 4 bytes. */
uint32_t ide_data_read(struct ide_drive *drive, unsigned width);
void ide_data_write(struct ide_drive *drive, uint32_t value, unsigned width);
/* The bus master of the drive's channel was started. */
void ide_transfer_dma(struct ide_drive *drive);
/* The request in flight has ended. */
void ide_transfer_io_ended(struct ide_drive *drive, int result);
/* Flush, and then end the command; without a medium's cache, at once. */
void ide_flush(struct ide_drive *drive);

/* --- bmdma.c --- */

extern const struct region_ops ide_bmdma_ops;

void ide_bmdma_reset(struct ide_bmdma *bmdma);
/* Move up to n bytes; how many, 0 while the bus master is stopped, or -EIO after a fault of its own. */
int64_t ide_bmdma_transfer(struct ide_channel *channel, uint8_t *data, uint32_t n, bool to_host);
void ide_bmdma_interrupt(struct ide_channel *channel);
void ide_bmdma_save(const struct ide_bmdma *bmdma, struct writer *w);
void ide_bmdma_load(struct ide_bmdma *bmdma, struct reader *r);

/* --- io.c --- */

int ide_io_init(struct ide *ide);
/* Waits for what is in flight. Main loop. */
void ide_io_fini(struct ide *ide);
/* The drive's only request; its end goes to ide_transfer_io_ended(), unless the drive is reset before. */
void ide_io_submit(struct ide_drive *drive, enum disk_op op, uint64_t offset, uint8_t *data, uint64_t bytes);
/* Nothing shall come of the request in flight, if there is one. */
void ide_io_abandon(struct ide_drive *drive);
/* Wait until nothing is in flight but what is kept, with all that follows from it. Main loop. */
void ide_io_drain(struct ide *ide);
/* Try again what is kept. */
void ide_io_retry(struct ide *ide);

/* --- ata.c, ata_set.c, ata_identify.c --- */

extern const struct ide_model ata_model;

void ide_command(struct ide_drive *drive, uint8_t command);
void ata_abort(struct ide_drive *drive, uint8_t error);
/* Send the first `size` bytes of the buffer. */
void ata_send(struct ide_drive *drive, uint32_t size);
void ata_set_features(struct ide_drive *drive);
void ata_set_parameters(struct ide_drive *drive);
void ata_set_multiple(struct ide_drive *drive);
void ata_reset_features(struct ide_drive *drive);
void ata_trim(struct ide_drive *drive);
void ata_trim_next(struct ide_drive *drive);
void ata_identify(struct ide_drive *drive);
struct ide_geometry ata_geometry(const struct ide_drive *drive);

/* --- atapi.c --- */

extern const struct ide_model atapi_model;

void atapi_packet(struct ide_drive *drive);
void atapi_fail(struct ide_drive *drive, uint8_t key, uint8_t asc, uint8_t ascq);
void atapi_succeed(struct ide_drive *drive);
/* Answer with the first `size` bytes of the buffer, of which the host takes `limit`. */
void atapi_send(struct ide_drive *drive, uint32_t size, uint32_t limit);
/* Send blocks of the medium, checked against its end; parts as in struct ide_transfer. */
void atapi_send_blocks(struct ide_drive *drive, uint32_t lba, uint32_t count, uint8_t parts);

/* --- atapi_read.c, atapi_info.c, atapi_features.c, cdrom.c: packet commands --- */

typedef void packet_fn(struct ide_drive *drive, const uint8_t *packet);

packet_fn atapi_read_10, atapi_read_12, atapi_seek, atapi_read_cd, atapi_read_cd_msf;
packet_fn atapi_inquiry, atapi_read_capacity, atapi_mode_sense, atapi_mechanism_status;
packet_fn atapi_read_toc, atapi_read_disc_info, atapi_read_track_info;
packet_fn atapi_get_configuration, atapi_read_dvd_structure;
packet_fn cdrom_request_sense, cdrom_start_stop, cdrom_prevent_allow, cdrom_get_event;

/* Raw blocks, in place: the `chunk` data blocks at the buffer's end become units at its beginning. */
void atapi_make_raw(struct ide_drive *drive);
uint32_t atapi_raw_size(uint8_t parts);
/* Minute, second and frame of a block, as addresses on a disc count (2 seconds before block 0). */
void cdrom_msf(uint32_t lba, uint8_t msf[3]);
bool cdrom_is_dvd(const struct ide_drive *drive);

/* --- cdrom.c --- */

static inline bool cdrom_ready(const struct ide_drive *drive)
{
    return drive->disk && !drive->cdrom.tray_open;
}

void cdrom_reset(struct ide_drive *drive, bool hard);
/* Tell the guest what it must know before anything else: false, with the command failed. */
bool cdrom_no_attention(struct ide_drive *drive);
void cdrom_save(const struct ide_drive *drive, struct writer *w);
int cdrom_load(struct ide_drive *drive, struct reader *r);

#endif

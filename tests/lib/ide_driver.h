/*
 * ide_driver.h - an IDE driver for device tests: a machine with an IDE function whose disks are real image files in a
 * disks' thread, commands by PIO and bus-master DMA as hosts give them, packets.
 */
#ifndef TESTS_IDE_DRIVER_H
#define TESTS_IDE_DRIVER_H

#include "devices/ide/ide.h"
#include "tests/lib/fake_machine.h"

#define IDE_TEST_RAM   MIB(16)
#define IDE_TEST_TABLE 0x10000 /* of descriptors */
#define IDE_TEST_DATA  MIB(4)

enum { ERR = 0x01, DRQ = 0x08, DSC = 0x10, DRDY = 0x40, BSY = 0x80 };
enum { BM_ACTIVE = 1, BM_ERROR = 2, BM_INTERRUPT = 4 };

/* A disk between the device and the image, whose requests can be held and made to fail. */
struct gate {
    struct disk disk; /* what the device sees */
    struct disk *image;
    struct ide_rig *rig;
    struct disk_request inner; /* a drive has one request at a time */
    struct disk_request *request;
    uint64_t bad_from, bad_to;  /* bytes: reads and writes that touch them fail; empty: none */
    int error;                  /* atomic: what all requests end with, if not 0 */
    bool hold, held;            /* atomic */
    unsigned flushes, discards; /* atomic */
};

struct ide_rig {
    struct fake_machine m;
    struct loop disk_loop;
    struct gate gates[IDE_UNITS];
    char paths[IDE_UNITS][256];
    struct ide *ide;
    bool slave; /* which drive commands go to */
    unsigned channel;
    uint16_t bmdma;
};

/* Sizes in bytes of what is in each unit (0: nothing); content is ide_rig_byte(unit, at). */
struct ide_rig_options {
    enum ide_kind kinds[IDE_UNITS];
    uint64_t sizes[IDE_UNITS];
    const char *serial; /* of unit 0 */
};

struct ide_rig *ide_rig_create(const struct ide_rig_options *options);
/* As firmware does: ports, decode, bus master. */
void ide_rig_set_up(struct ide_rig *rig);
void ide_rig_destroy(struct ide_rig *rig);
uint8_t ide_rig_byte(unsigned unit, uint64_t at);
/* An image file of the rig, open behind its gate; also for a medium that comes later. */
void ide_rig_open(struct ide_rig *rig, unsigned unit, enum ide_kind kind, uint64_t size);
void ide_rig_close(struct ide_rig *rig, unsigned unit);
void ide_rig_hold(struct ide_rig *rig, unsigned unit);
void ide_rig_release(struct ide_rig *rig, unsigned unit);
/* Wait until the gate holds a request. */
void ide_rig_wait_held(struct ide_rig *rig, unsigned unit);
struct device *ide_rig_device(struct ide_rig *rig);

/* --- registers of the chosen drive --- */

void ide_select(struct ide_rig *rig, unsigned unit);
uint8_t ide_in(struct ide_rig *rig, unsigned reg);
void ide_out(struct ide_rig *rig, unsigned reg, uint8_t value);
void ide_control(struct ide_rig *rig, uint8_t value);
/* SRST, up and down. */
void ide_soft_reset(struct ide_rig *rig);
uint8_t ide_alt_status(struct ide_rig *rig);
/* The alternate status once BSY is clear. */
uint8_t ide_wait(struct ide_rig *rig);
/* Wait for the channel's interrupt, then read (and so clear) the status. */
uint8_t ide_wait_irq(struct ide_rig *rig);
bool ide_irq(struct ide_rig *rig);

/* --- ATA commands --- */

void ide_address28(struct ide_rig *rig, uint32_t lba, uint8_t count);
void ide_address48(struct ide_rig *rig, uint64_t lba, uint16_t count);
void ide_address_chs(struct ide_rig *rig, unsigned cylinder, unsigned head, unsigned sector, uint8_t count);
void ide_command_out(struct ide_rig *rig, uint8_t command);
/* Words by the data register; each DRQ block, of `block` bytes, is waited for. */
void ide_pio_read(struct ide_rig *rig, void *data, size_t size, size_t block);
void ide_pio_write(struct ide_rig *rig, const void *data, size_t size, size_t block);

/* --- DMA --- */

struct prd {
    uint32_t addr, size; /* size 0: 64 KiB */
};

void ide_prd(struct ide_rig *rig, unsigned n, uint32_t addr, uint32_t flags_size);
/* A table with an end for one piece of memory at IDE_TEST_DATA, cut at 64 KiB. */
void ide_prd_simple(struct ide_rig *rig, uint32_t size);
void ide_bm_start(struct ide_rig *rig, bool to_memory);
void ide_bm_stop(struct ide_rig *rig);
uint8_t ide_bm_status(struct ide_rig *rig);
/* The whole way of a DMA command whose registers are set; the drive's status at its end. */
uint8_t ide_dma(struct ide_rig *rig, uint8_t command, uint32_t size, bool to_memory);
static inline uint8_t *ide_memory(struct ide_rig *rig, uint32_t addr)
{
    return rig->m.ram.host + addr;
}

/* --- packets --- */

/* PIO with this byte count limit; how many bytes came, or -1 after CHECK CONDITION. */
int ide_packet(struct ide_rig *rig, const uint8_t packet[12], void *data, size_t size, uint16_t limit);
/* By DMA into IDE_TEST_DATA; the drive's status. */
uint8_t ide_packet_dma(struct ide_rig *rig, const uint8_t packet[12], uint32_t size);
/* REQUEST SENSE: key << 16 | asc << 8 | ascq. */
uint32_t ide_sense(struct ide_rig *rig);

#endif

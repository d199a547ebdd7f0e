/* ATAPI CD-ROM drives, as Linux' sr and SeaBIOS drive them: packets by PIO and DMA, sense, media that come and go. */
#include "tests/lib/ide_driver.h"

#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CD_SIZE (300 * 2048 + 512) /* cut off at the end: 300 blocks */
#define BLOCKS  300
#define CD      2 /* unit: the secondary master */
#define OTHER   3 /* the image of another medium */

#define NOT_PRESENT 0x023a01
#define TRAY_OPEN   0x023a02
#define CHANGED     0x062800
#define RESET       0x062900
#define BAD_OPCODE  0x052000
#define BAD_FIELD   0x052400

static struct ide_rig *new_drive(uint64_t size)
{
    struct ide_rig *rig =
        ide_rig_create(&(struct ide_rig_options){.kinds = {[CD] = IDE_CDROM}, .sizes = {[CD] = size}});

    ide_select(rig, CD);
    return rig;
}

/* No data; 0 or the sense. */
static uint32_t command(struct ide_rig *rig, uint8_t opcode, uint8_t byte4)
{
    const uint8_t packet[12] = {opcode, [4] = byte4};

    return ide_packet(rig, packet, NULL, 0, 0xfffe) < 0 ? ide_sense(rig) : 0;
}

static uint32_t ready(struct ide_rig *rig)
{
    return command(rig, 0x00, 0);
}

/* A drive whose first unit attention has been told. */
static struct ide_rig *start(void)
{
    struct ide_rig *rig = new_drive(CD_SIZE);

    assert_int_equal(ready(rig), RESET);
    assert_int_equal(ready(rig), 0);
    return rig;
}

static void assert_blocks(const uint8_t *data, unsigned unit, uint64_t lba, unsigned count)
{
    uint64_t i;

    for (i = 0; i < count * 2048; i++)
        if (data[i] != ide_rig_byte(unit, lba * 2048 + i))
            fail_msg("byte %u: %02x, not %02x", (unsigned)i, data[i], ide_rig_byte(unit, lba * 2048 + i));
}

/* How a host tells it from a disk. */
static void signature(void **state UNUSED)
{
    struct ide_rig *rig = new_drive(CD_SIZE);
    uint16_t id[256];
    uint8_t sum = 0;
    unsigned i;

    assert_int_equal(ide_in(rig, 7), 0); /* no DRDY before the first command */
    assert_int_equal(ide_in(rig, 4) | ide_in(rig, 5) << 8, 0xeb14);
    ide_command_out(rig, 0xec);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), 4);
    assert_int_equal(ide_in(rig, 4) | ide_in(rig, 5) << 8, 0xeb14);
    ide_command_out(rig, 0xa1);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | DRQ);
    ide_pio_read(rig, id, 512, 512);
    assert_int_equal(id[0], 0x85c0);
    assert_int_equal(id[49] & 0x300, 0x300);
    for (i = 0; i < 512; i++)
        sum += ((uint8_t *)id)[i];
    assert_int_equal(sum, 0);
    ide_command_out(rig, 0x20); /* a disk's commands */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_command_out(rig, 0xc8);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_out(rig, 4, 0);
    ide_command_out(rig, 0x08); /* DEVICE RESET */
    assert_int_equal(ide_wait(rig), 0);
    assert_int_equal(ide_in(rig, 4) | ide_in(rig, 5) << 8, 0xeb14);
    assert_false(ide_irq(rig));
    ide_rig_destroy(rig);
}

static void capacity_and_reads(void **state UNUSED)
{
    static const uint8_t capacity[12] = {0x25}, read_10[12] = {0x28, [5] = 100, [8] = 7};
    static const uint8_t read_12[12] = {0xa8, [4] = 1, [5] = 43, [9] = 1}, nothing[12] = {0x28, [5] = 100};
    static const uint8_t beyond[12] = {0x28, [4] = 1, [5] = 43, [8] = 2},
                         far[12] = {0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1};
    struct ide_rig *rig = start();
    uint8_t data[7 * 2048];

    assert_int_equal(ide_packet(rig, capacity, data, sizeof(data), 8), 8);
    assert_int_equal(load_be32(data), BLOCKS - 1);
    assert_int_equal(load_be32(data + 4), 2048);
    assert_int_equal(ide_packet(rig, read_10, data, sizeof(data), 2048), 7 * 2048);
    assert_blocks(data, CD, 100, 7);
    assert_int_equal(ide_packet(rig, read_10, data, sizeof(data), 0xfffe), 7 * 2048);
    assert_blocks(data, CD, 100, 7);
    assert_int_equal(ide_packet(rig, read_10, data, sizeof(data), 1001), 7 * 2048); /* odd: blocks of 1000 */
    assert_blocks(data, CD, 100, 7);
    assert_int_equal(ide_packet(rig, read_12, data, sizeof(data), 0xffff), 2048);
    assert_blocks(data, CD, 299, 1);
    assert_int_equal(ide_packet(rig, nothing, data, sizeof(data), 2048), 0);
    assert_int_equal(ide_packet(rig, beyond, data, sizeof(data), 2048), -1);
    assert_int_equal(ide_in(rig, 1) >> 4, 5);
    assert_int_equal(ide_sense(rig), 0x052100);
    assert_int_equal(ide_packet(rig, far, data, sizeof(data), 2048), -1);
    assert_int_equal(ide_packet_dma(rig, read_10, sizeof(data)), DRDY | DSC);
    assert_int_equal(ide_in(rig, 2) & 3, 3);
    assert_blocks(ide_memory(rig, IDE_TEST_DATA), CD, 100, 7);
    ide_rig_destroy(rig);
}

/* More than the drive's buffer, by both ways. */
static void long_reads(void **state UNUSED)
{
    static const uint8_t read[12] = {0x28, [8] = 0x04, [7] = 0x04}; /* 1028 blocks */
    struct ide_rig *rig = new_drive(1100 * 2048);
    uint8_t *data = malloc(1028 * 2048);

    assert_int_equal(ready(rig), RESET);
    assert_int_equal(ide_packet(rig, read, data, 1028 * 2048, 0x8000), 1028 * 2048);
    assert_blocks(data, CD, 0, 1028);
    assert_int_equal(ide_packet_dma(rig, read, 1028 * 2048), DRDY | DSC);
    assert_blocks(ide_memory(rig, IDE_TEST_DATA), CD, 0, 1028);
    free(data);
    ide_rig_destroy(rig);
}

static void raw_reads(void **state UNUSED)
{
    static const uint8_t raw[12] = {0xbe, [5] = 150, [8] = 2, [9] = 0xf8},
                         plain[12] = {0xbe, [5] = 9, [8] = 3, [9] = 0x10};
    static const uint8_t msf[12] = {0xb9, 0, 0, 0, 4, 0, 0, 4, 2, 0x10},
                         mode2[12] = {0xbe, 3 << 2, [8] = 1, [9] = 0x10};
    static const uint8_t header[12] = {0xbe, [5] = 150, [8] = 1, [9] = 0x20}, c2[12] = {0xbe, [8] = 1, [9] = 0x12};
    static const uint8_t sync_and_address[16] = {0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                 0xff, 0xff, 0xff, 0,    0,    4,    0,    1};
    struct ide_rig *rig = start();
    uint8_t data[3 * 2352];

    assert_int_equal(ide_packet(rig, raw, data, sizeof(data), 0xfffe), 2 * 2352);
    assert_memory_equal(data, sync_and_address, 16);
    assert_blocks(data + 16, CD, 150, 1);
    assert_int_equal(data[2352 + 14], 1); /* frame */
    assert_blocks(data + 2352 + 16, CD, 151, 1);
    assert_int_equal(ide_packet(rig, plain, data, sizeof(data), 2048), 3 * 2048);
    assert_blocks(data, CD, 9, 3);
    assert_int_equal(ide_packet(rig, msf, data, sizeof(data), 2048), 2 * 2048);
    assert_blocks(data, CD, 150, 2);
    assert_int_equal(ide_packet(rig, header, data, sizeof(data), 2048), 4);
    assert_memory_equal(data, sync_and_address + 12, 4);
    assert_int_equal(ide_packet(rig, mode2, data, sizeof(data), 2048), -1);
    assert_int_equal(ide_sense(rig), 0x056400);
    assert_int_equal(ide_packet(rig, c2, data, sizeof(data), 2048), -1);
    assert_int_equal(ide_sense(rig), BAD_FIELD);
    ide_rig_destroy(rig);
}

/* What the drive says of itself; answers are cut to what the host has room for. */
static void inquiries(void **state UNUSED)
{
    static const uint8_t inquiry[12] = {0x12, [4] = 36}, cut[12] = {0x12, [4] = 5}, vital[12] = {0x12, 1, [4] = 36};
    static const uint8_t mode[12] = {0x5a, 0, 0x2a, [8] = 128}, all[12] = {0x5a, 0, 0x3f, [8] = 255};
    static const uint8_t saved[12] = {0x5a, 0, 0xea, [8] = 128}, no_page[12] = {0x5a, 0, 0x05, [8] = 128};
    static const uint8_t mechanism[12] = {0xbd, [9] = 8};
    struct ide_rig *rig = start();
    uint8_t data[256];

    assert_int_equal(ide_packet(rig, inquiry, data, sizeof(data), 36), 36);
    assert_int_equal(data[0], 5);
    assert_int_equal(data[1], 0x80);
    assert_memory_equal(data + 8, "MINIVM  CD-ROM          1.0 ", 28);
    assert_int_equal(ide_packet(rig, cut, data, sizeof(data), 36), 5);
    assert_int_equal(ide_packet(rig, vital, data, sizeof(data), 36), -1);
    assert_int_equal(ide_sense(rig), BAD_FIELD);
    assert_int_equal(ide_packet(rig, mode, data, sizeof(data), 128), 8 + 22);
    assert_int_equal(load_be16(data), 28);
    assert_int_equal(data[2], 1);
    assert_int_equal(data[8], 0x2a);
    assert_int_equal(data[8 + 6], 0x29);
    assert_int_equal(ide_packet(rig, all, data, sizeof(data), 254), 8 + 8 + 16 + 22);
    assert_int_equal(ide_packet(rig, saved, data, sizeof(data), 128), -1);
    assert_int_equal(ide_sense(rig), 0x053900);
    assert_int_equal(ide_packet(rig, no_page, data, sizeof(data), 128), -1);
    assert_int_equal(ide_packet(rig, mechanism, data, sizeof(data), 8), 8);
    assert_int_equal(command(rig, 0xfe, 0), BAD_OPCODE);
    assert_int_equal(ide_sense(rig), 0); /* told once */
    ide_rig_destroy(rig);
}

static void contents(void **state UNUSED)
{
    static const uint8_t toc[12] = {0x43, [8] = 64}, msf[12] = {0x43, 2, [8] = 64},
                         sessions[12] = {0x43, [2] = 1, [8] = 12};
    static const uint8_t raw[12] = {0x43, [2] = 2, [8] = 64}, old_raw[12] = {0x43, [8] = 64, [9] = 0x80};
    static const uint8_t lead_out[12] = {0x43, [6] = 0xaa, [8] = 64}, second[12] = {0x43, [6] = 2, [8] = 64};
    static const uint8_t disc[12] = {0x51, [8] = 34}, track[12] = {0x52, 1, [5] = 1, [8] = 36};
    struct ide_rig *rig = start();
    uint8_t data[64];

    assert_int_equal(ide_packet(rig, toc, data, sizeof(data), 64), 20);
    assert_int_equal(load_be32(data), 0x00120101);
    assert_int_equal(data[5] << 8 | data[6], 0x1401);
    assert_int_equal(load_be32(data + 8), 0);
    assert_int_equal(data[14], 0xaa);
    assert_int_equal(load_be32(data + 16), BLOCKS);
    assert_int_equal(ide_packet(rig, msf, data, sizeof(data), 64), 20);
    assert_int_equal(load_be32(data + 8), 0x000200);
    assert_int_equal(load_be32(data + 16), 0x000600); /* 300 frames are 4 s */
    assert_int_equal(ide_packet(rig, lead_out, data, sizeof(data), 64), 12);
    assert_int_equal(ide_packet(rig, sessions, data, sizeof(data), 64), 12);
    assert_int_equal(ide_packet(rig, raw, data, sizeof(data), 64), 4 + 4 * 11);
    assert_int_equal(ide_packet(rig, old_raw, data, sizeof(data), 64), 4 + 4 * 11);
    assert_int_equal(ide_packet(rig, second, data, sizeof(data), 64), -1);
    assert_int_equal(ide_packet(rig, disc, data, sizeof(data), 64), 34);
    assert_int_equal(data[2], 0x0e);
    assert_int_equal(ide_packet(rig, track, data, sizeof(data), 64), 36);
    assert_int_equal(load_be32(data + 24), BLOCKS);
    ide_rig_destroy(rig);
}

static void features(void **state UNUSED)
{
    static const uint8_t all[12] = {0x46, [7] = 1}, one[12] = {0x46, 2, [3] = 0x1e, [8] = 64},
                         current[12] = {0x46, 1, [7] = 1};
    static const uint8_t dvd[12] = {0xad, [8] = 8};
    struct ide_rig *rig = start();
    uint8_t data[256];
    int n = ide_packet(rig, all, data, sizeof(data), 256), m;

    assert_true(n > 60);
    assert_int_equal(load_be32(data), n - 4);
    assert_int_equal(load_be16(data + 6), 8); /* CD-ROM */
    m = ide_packet(rig, current, data, sizeof(data), 256);
    assert_int_equal(n - m, 8); /* DVD read is not */
    assert_int_equal(ide_packet(rig, one, data, sizeof(data), 256), 16);
    assert_int_equal(data[10] & 1, 1);
    assert_int_equal(ide_packet(rig, dvd, data, sizeof(data), 256), -1);
    assert_int_equal(ide_sense(rig), 0x053002);
    assert_int_equal(command(rig, 0x1b, 2), 0);
    assert_int_equal(ide_packet(rig, all, data, sizeof(data), 256), n);
    assert_int_equal(load_be16(data + 6), 0); /* nothing in it */
    ide_rig_destroy(rig);
}

static unsigned event(struct ide_rig *rig)
{
    static const uint8_t poll[12] = {0x4a, 1, [4] = 0x10, [8] = 8};
    uint8_t data[8];

    assert_int_equal(ide_packet(rig, poll, data, sizeof(data), 8), 8);
    assert_int_equal(data[2], 4);
    return data[4] << 4 | data[5];
}

static void tray(void **state UNUSED)
{
    static const uint8_t waiting[12] = {0x4a, 0, [4] = 0x10, [8] = 8}, power[12] = {0x4a, 1, [4] = 0x04, [8] = 8};
    struct ide_rig *rig = start();
    struct ide_cdrom_state state_now;
    uint8_t data[8];

    assert_int_equal(event(rig), 0x02);
    assert_int_equal(command(rig, 0x1e, 1), 0);
    assert_int_equal(command(rig, 0x1b, 2), 0x055302); /* locked */
    assert_int_equal(command(rig, 0x1e, 0), 0);
    assert_int_equal(command(rig, 0x1b, 2), 0);
    assert_int_equal(ide_cdrom_state(rig->ide, CD, &state_now), 0);
    assert_true(state_now.open && state_now.loaded && !state_now.locked);
    assert_int_equal(event(rig), 0x31);
    assert_int_equal(event(rig), 0x01);
    assert_int_equal(ready(rig), TRAY_OPEN);
    assert_int_equal(command(rig, 0x1b, 3), 0);
    assert_int_equal(event(rig), 0x22);
    assert_int_equal(ready(rig), NOT_PRESENT); /* for hosts that poll by this */
    assert_int_equal(ready(rig), CHANGED);
    assert_int_equal(ready(rig), 0);
    assert_int_equal(ide_packet(rig, waiting, data, 8, 8), -1);
    assert_int_equal(ide_sense(rig), BAD_FIELD);
    assert_int_equal(ide_packet(rig, power, data, 8, 8), 4);
    assert_int_equal(data[2], 0x80);
    ide_rig_destroy(rig);
}

static void medium_change(void **state UNUSED)
{
    static const uint8_t read[12] = {0x28, [8] = 1}, capacity[12] = {0x25};
    struct ide_rig *rig = start();
    struct disk *old = NULL;
    uint8_t data[2048];

    ide_rig_open(rig, OTHER, IDE_CDROM, 50 * 2048);
    assert_int_equal(command(rig, 0x1e, 1), 0);
    assert_int_equal(ide_cdrom_change(rig->ide, CD, NULL, false, &old), -EBUSY);
    assert_non_null(strstr(fail_text(), "locked"));
    assert_int_equal(event(rig), 0x12); /* the button */
    assert_int_equal(ready(rig), 0);
    assert_int_equal(ide_cdrom_change(rig->ide, CD, &rig->gates[OTHER].disk, true, &old), 0);
    assert_ptr_equal(old, &rig->gates[CD].disk);
    assert_int_equal(event(rig), 0x32);
    assert_int_equal(event(rig), 0x22);
    assert_int_equal(ready(rig), NOT_PRESENT);
    assert_int_equal(ready(rig), CHANGED);
    assert_int_equal(ide_packet(rig, capacity, data, 8, 8), 8);
    assert_int_equal(load_be32(data), 49);
    assert_int_equal(ide_packet(rig, read, data, 2048, 2048), 2048);
    assert_blocks(data, OTHER, 0, 1);
    assert_int_equal(ide_cdrom_change(rig->ide, CD, NULL, false, &old), 0);
    assert_ptr_equal(old, &rig->gates[OTHER].disk);
    assert_int_equal(ready(rig), TRAY_OPEN);
    assert_int_equal(ide_cdrom_change(rig->ide, CD, &rig->gates[CD].disk, false, &old), 0);
    assert_null(old);
    assert_int_equal(ide_cdrom_change(rig->ide, 0, NULL, false, &old), -EINVAL);
    assert_int_equal(ide_cdrom_change(rig->ide, 99, NULL, false, &old), -EINVAL);
    ide_rig_destroy(rig);
}

/* A medium pulled out under a read: the read fails, its request has ended, and the next medium is read. */
static void change_in_flight(void **state UNUSED)
{
    static const uint8_t read[12] = {0x28, [8] = 4};
    struct ide_rig *rig = start();
    struct disk *old;
    uint8_t data[4 * 2048];

    ide_rig_open(rig, OTHER, IDE_CDROM, 50 * 2048);
    ide_rig_hold(rig, CD);
    ide_out(rig, 4, 0);
    ide_out(rig, 5, 0x10);
    ide_command_out(rig, 0xa0);
    ide_pio_write(rig, read, 12, 12);
    ide_rig_wait_held(rig, CD);
    assert_int_equal(ide_alt_status(rig), BSY);
    ide_rig_release(rig, CD);
    assert_int_equal(ide_cdrom_change(rig->ide, CD, &rig->gates[OTHER].disk, false, &old), 0);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_sense(rig), NOT_PRESENT);
    ide_rig_close(rig, CD);
    assert_int_equal(ready(rig), NOT_PRESENT);
    assert_int_equal(ready(rig), CHANGED);
    assert_int_equal(ide_packet(rig, read, data, sizeof(data), 0x1000), sizeof(data));
    assert_blocks(data, OTHER, 0, 4);
    ide_rig_destroy(rig);
}

static void empty_drive(void **state UNUSED)
{
    static const uint8_t configuration[12] = {0x46, [8] = 8};
    struct ide_rig *rig = new_drive(0);
    uint8_t data[8];

    assert_int_equal(ready(rig), RESET);
    assert_int_equal(ready(rig), NOT_PRESENT);
    assert_int_equal(command(rig, 0x25, 0), NOT_PRESENT);
    assert_int_equal(command(rig, 0x28, 0), NOT_PRESENT);
    assert_int_equal(command(rig, 0x43, 0), NOT_PRESENT);
    assert_int_equal(event(rig), 0);
    assert_int_equal(ide_packet(rig, configuration, data, 8, 8), 8);
    assert_int_equal(command(rig, 0x1b, 2), 0);
    assert_int_equal(ready(rig), TRAY_OPEN);
    ide_rig_destroy(rig);
}

static void bad_block(void **state UNUSED)
{
    static const uint8_t read[12] = {0x28, [5] = 10, [8] = 8};
    struct ide_rig *rig = start();

    rig->gates[CD].bad_from = 13 * 2048;
    rig->gates[CD].bad_to = 14 * 2048;
    assert_int_equal(ide_packet_dma(rig, read, 8 * 2048), DRDY | DSC | ERR);
    assert_blocks(ide_memory(rig, IDE_TEST_DATA), CD, 10, 3);
    assert_int_equal(ide_sense(rig), 0x031100);
    ide_rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature),        cmocka_unit_test(capacity_and_reads),
        cmocka_unit_test(long_reads),       cmocka_unit_test(raw_reads),
        cmocka_unit_test(inquiries),        cmocka_unit_test(contents),
        cmocka_unit_test(features),         cmocka_unit_test(tray),
        cmocka_unit_test(medium_change),    cmocka_unit_test(empty_drive),
        cmocka_unit_test(change_in_flight), cmocka_unit_test(bad_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The IDE function and its disks, driven as Linux' ata_piix, SeaBIOS and older hosts do, on real image files. */
#include "tests/lib/disk_model.h"
#include "tests/lib/ide_driver.h"

#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DISK_SIZE MIB(20) /* 40 cylinders of 16 heads and 63 sectors, and some */
#define SECTORS   (DISK_SIZE / 512)

static struct ide_rig *one_disk(void)
{
    struct ide_rig *rig = ide_rig_create(
        &(struct ide_rig_options){.kinds = {IDE_DISK}, .sizes = {DISK_SIZE}, .serial = "SERIAL-0123456789-END"});

    ide_select(rig, 0);
    return rig;
}

/* size bytes are those of the unit from `at` on. */
static void assert_content(const uint8_t *data, unsigned unit, uint64_t at, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        if (data[i] != ide_rig_byte(unit, at + i))
            fail_msg("byte %zu of %zu: %02x, not %02x", i, size, data[i], ide_rig_byte(unit, at + i));
}

static void assert_file(struct ide_rig *rig, unsigned unit, uint64_t at, const uint8_t *data, size_t size)
{
    uint8_t *seen = malloc(size);
    FILE *f = fopen(rig->paths[unit], "r");

    assert_non_null(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fread(seen, 1, size, f), size);
    assert_memory_equal(seen, data, size);
    fclose(f);
    free(seen);
}

static void fill(uint8_t *data, size_t size, unsigned seed)
{
    size_t i;

    for (i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 13 + (i >> 8) + seed);
}

/* --- the function --- */

static void pci_function(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();

    assert_int_equal(fake_pci_read(&rig->m, IDE_DEVFN, PCI_VENDOR_ID, 4), 0x70108086);
    assert_int_equal(fake_pci_read(&rig->m, IDE_DEVFN, PCI_CLASS_REVISION, 4), 0x01018000);
    assert_int_equal(ide_in(rig, 6), 0xa0);
    fake_pci_write(&rig->m, IDE_DEVFN, 0x40, 0, 2); /* decode off */
    assert_int_equal(ide_in(rig, 6), 0xff);
    assert_int_equal(fake_in(&rig->m, 0x3f6, 1), 0xff);
    assert_int_equal(fake_in(&rig->m, 0x177, 1), 0x7f); /* the other channel, which is empty */
    fake_pci_write(&rig->m, IDE_DEVFN, 0x40, 0xa307, 2);
    assert_int_equal(ide_in(rig, 6), 0xa0);
    fake_pci_write(&rig->m, IDE_DEVFN, PCI_COMMAND, 0, 2);
    assert_int_equal(ide_in(rig, 6), 0xff);
    fake_machine_reset(&rig->m);
    assert_int_equal(fake_pci_read(&rig->m, IDE_DEVFN, 0x40, 4), 0);
    ide_rig_set_up(rig);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    ide_rig_destroy(rig);
}

/* As SeaBIOS and Linux look for drives. */
static void absent_drives(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();

    ide_select(rig, 1); /* beside a drive that is there */
    ide_out(rig, 2, 0x55);
    ide_out(rig, 3, 0xaa);
    assert_int_not_equal(ide_in(rig, 2), 0x55);
    assert_int_equal(ide_in(rig, 6), 0xb0);
    assert_int_equal(ide_in(rig, 7), 0);
    ide_command_out(rig, 0xec);
    assert_int_equal(ide_in(rig, 7), 0);
    assert_false(ide_irq(rig));
    ide_select(rig, 2); /* nothing on the cable */
    ide_out(rig, 2, 0x55);
    assert_int_equal(ide_in(rig, 2), 0x7f);
    assert_int_equal(ide_in(rig, 6), 0x7f);
    assert_int_equal(ide_in(rig, 7), 0x7f);
    assert_int_equal(ide_alt_status(rig), 0x7f);
    ide_select(rig, 0);
    ide_out(rig, 2, 0x55);
    ide_out(rig, 3, 0xaa);
    assert_int_equal(ide_in(rig, 2), 0x55);
    assert_int_equal(ide_in(rig, 3), 0xaa);
    ide_rig_destroy(rig);
}

static void resets(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();

    ide_select(rig, 1);
    ide_control(rig, 0x06); /* SRST, nIEN */
    assert_int_equal(ide_alt_status(rig), BSY);
    ide_control(rig, 0x02);
    assert_int_equal(ide_wait(rig), DRDY | DSC);
    assert_int_equal(ide_in(rig, 1), 1);
    assert_int_equal(ide_in(rig, 2) << 8 | ide_in(rig, 3), 0x0101);
    assert_int_equal(ide_in(rig, 4) << 8 | ide_in(rig, 5), 0);
    assert_int_equal(ide_in(rig, 6), 0xa0);
    ide_control(rig, 0);
    ide_select(rig, 1);
    ide_command_out(rig, 0x90); /* EXECUTE DEVICE DIAGNOSTIC, whichever is selected */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(ide_in(rig, 1), 1);
    assert_int_equal(ide_in(rig, 6), 0xa0);
    ide_command_out(rig, 0x08); /* DEVICE RESET is for packet devices */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), 4);
    ide_rig_destroy(rig);
}

/* --- IDENTIFY and what is set --- */

static void identify_words(struct ide_rig *rig, uint16_t *id)
{
    uint8_t sum = 0;
    unsigned i;

    ide_command_out(rig, 0xec);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | DRQ);
    ide_pio_read(rig, id, 512, 512);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    assert_false(ide_irq(rig));
    for (i = 0; i < 512; i++)
        sum += ((uint8_t *)id)[i];
    assert_int_equal(sum, 0);
}

static void identify(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint16_t id[256];
    char text[41] = "";
    unsigned i;

    identify_words(rig, id);
    assert_int_equal(id[0] & 0x8000, 0);
    assert_int_equal(id[1], SECTORS / (16 * 63));
    assert_int_equal(id[3], 16);
    assert_int_equal(id[6], 63);
    assert_int_equal(id[60] | (uint32_t)id[61] << 16, SECTORS);
    assert_int_equal(load_le64(id + 100), SECTORS);
    assert_int_equal(id[49] & 0x0300, 0x0300);
    assert_int_equal(id[63], 0x0407);          /* multiword 2 is on */
    assert_int_equal(id[83] & 0xc400, 0x4400); /* 48 bits */
    assert_int_equal(id[255] & 0xff, 0xa5);
    for (i = 0; i < 20; i++)
        text[i] = (char)(id[10 + i / 2] >> (i & 1 ? 0 : 8));
    assert_string_equal(text, "SERIAL-0123456789-EN");

    ide_out(rig, 1, 0x03);
    ide_out(rig, 2, 0x44); /* UDMA 4 */
    ide_command_out(rig, 0xef);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    ide_out(rig, 2, 0x7f); /* no such mode */
    ide_command_out(rig, 0xef);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_out(rig, 2, 8);
    ide_command_out(rig, 0xc6);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    ide_out(rig, 1, 0x82); /* write cache off: what was written is safe then */
    ide_command_out(rig, 0xef);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(rig->gates[0].flushes, 1);
    identify_words(rig, id);
    assert_int_equal(id[63] >> 8, 0);
    assert_int_equal(id[88], 0x103f);
    assert_int_equal(id[59], 0x108);
    assert_int_equal(id[85] & 0x20, 0);
    ide_rig_destroy(rig);
}

static void simple_commands(void **state UNUSED)
{
    static const struct {
        uint8_t command, features, count, error; /* error 0: success */
    } rows[] = {
        {0x00, 0, 0, 4},    {0x10, 0, 0, 0},    {0x95, 0, 0, 0},    {0xe0, 0, 0, 0}, {0xe1, 0, 0, 0},
        {0xe2, 0, 9, 0},    {0xe3, 0, 9, 0},    {0xe6, 0, 0, 0},    {0xe7, 0, 0, 0}, {0xea, 0, 0, 0},
        {0xef, 0xaa, 0, 0}, {0xef, 0x55, 0, 0}, {0xef, 0x99, 0, 4}, {0xc6, 0, 3, 4}, {0xc6, 0, 32, 4},
        {0xa0, 0, 0, 4},    {0xa1, 0, 0, 4},    {0xb0, 0xd0, 0, 4}, {0xff, 0, 0, 4}, {0x91, 0, 0, 4},
    };
    struct ide_rig *rig = one_disk();
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        ide_out(rig, 1, rows[i].features);
        ide_out(rig, 2, rows[i].count);
        ide_command_out(rig, rows[i].command);
        assert_int_equal(ide_wait_irq(rig), DRDY | DSC | (rows[i].error ? ERR : 0));
        assert_int_equal(ide_in(rig, 1), rows[i].error);
    }
    ide_command_out(rig, 0xe5);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(ide_in(rig, 2), 0xff);
    ide_out(rig, 6, 0xe0);
    ide_command_out(rig, 0xf8); /* READ NATIVE MAX */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(ide_in(rig, 3) | ide_in(rig, 4) << 8 | ide_in(rig, 5) << 16 | (ide_in(rig, 6) & 15) << 24,
                     SECTORS - 1);
    ide_rig_destroy(rig);
}

/* --- PIO --- */

static void pio_reads(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t *data = malloc(256 * 512);

    ide_address28(rig, 1000, 3);
    ide_command_out(rig, 0x20);
    ide_pio_read(rig, data, 3 * 512, 512);
    assert_content(data, 0, 1000 * 512, 3 * 512);
    ide_address28(rig, 0, 0); /* 256 */
    ide_command_out(rig, 0xc4);
    ide_pio_read(rig, data, 256 * 512, 16 * 512);
    assert_content(data, 0, 0, 256 * 512);
    ide_address_chs(rig, 3, 2, 5, 2);
    ide_command_out(rig, 0x21);
    ide_pio_read(rig, data, 1024, 512);
    assert_content(data, 0, ((3 * 16 + 2) * 63 + 4) * 512, 1024);
    ide_address48(rig, SECTORS - 20, 20);
    ide_command_out(rig, 0x29);
    ide_pio_read(rig, data, 20 * 512, 16 * 512);
    assert_content(data, 0, DISK_SIZE - 20 * 512, 20 * 512);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    free(data);
    ide_rig_destroy(rig);
}

/* Each DRQ block has its interrupt; the end of a read has none of its own. */
static void pio_interrupts(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t data[512];
    unsigned edges, i;

    ide_address28(rig, 5, 4);
    ide_command_out(rig, 0x20);
    for (i = 0; i < 4; i++) {
        assert_int_equal(ide_wait_irq(rig), DRDY | DSC | DRQ);
        assert_false(ide_irq(rig));
        ide_pio_read(rig, data, 512, 512);
    }
    assert_int_equal(rig->m.gsi_edges[14], 4);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    ide_control(rig, 0x02); /* nIEN: a host that polls */
    ide_address28(rig, 5, 1);
    ide_command_out(rig, 0x20);
    ide_pio_read(rig, data, 512, 512);
    assert_int_equal(rig->m.gsi_edges[14], 4);
    ide_control(rig, 0);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    edges = rig->m.gsi_edges[14];
    ide_address28(rig, 5, 2);
    ide_command_out(rig, 0x30); /* a write: none for the first block, one after each */
    assert_int_equal(ide_wait(rig), DRDY | DSC | DRQ);
    assert_false(ide_irq(rig));
    ide_pio_write(rig, data, 512, 512);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | DRQ);
    ide_pio_write(rig, data, 512, 512);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(rig->m.gsi_edges[14], edges + 2);
    ide_rig_destroy(rig);
}

/* 32 bits at a time, as some hosts read; and a command in the middle of data is not heard. */
static void wide_data_port(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint32_t data[128];
    unsigned i;

    ide_address28(rig, 77, 1);
    ide_command_out(rig, 0x20);
    assert_int_equal(ide_wait(rig) & DRQ, DRQ);
    for (i = 0; i < 64; i++)
        data[i] = fake_in(&rig->m, 0x1f0, 4);
    ide_command_out(rig, 0xec);
    ide_out(rig, 3, 0x12);
    for (; i < 128; i++)
        data[i] = fake_in(&rig->m, 0x1f0, 4);
    assert_content((uint8_t *)data, 0, 77 * 512, 512);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    assert_int_equal(fake_in(&rig->m, 0x1f0, 4), 0);
    ide_rig_destroy(rig);
}

static void pio_writes(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t *data = malloc(70 * 512);

    fill(data, 70 * 512, 1);
    ide_address28(rig, 300, 70);
    ide_command_out(rig, 0xc5);
    ide_pio_write(rig, data, 70 * 512, 16 * 512);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_file(rig, 0, 300 * 512, data, 70 * 512);
    fill(data, 512, 2);
    ide_address48(rig, SECTORS - 1, 1);
    ide_command_out(rig, 0x34);
    ide_pio_write(rig, data, 512, 512);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_file(rig, 0, DISK_SIZE - 512, data, 512);
    assert_int_equal(rig->gates[0].flushes, 0);
    ide_address48(rig, 9, 1);
    ide_command_out(rig, 0xce); /* FUA */
    ide_pio_write(rig, data, 512, 512);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(rig->gates[0].flushes, 1);
    free(data);
    ide_rig_destroy(rig);
}

/* --- DMA --- */

static void dma(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    const uint32_t size = 5000 * 512; /* more than the drive's buffer */
    uint8_t *memory = ide_memory(rig, IDE_TEST_DATA);

    ide_address28(rig, 64, 0);
    assert_int_equal(ide_dma(rig, 0xc8, 256 * 512, true), DRDY | DSC);
    assert_content(memory, 0, 64 * 512, 256 * 512);
    ide_address48(rig, 100, 5000);
    assert_int_equal(ide_dma(rig, 0x25, size, true), DRDY | DSC);
    assert_content(memory, 0, 100 * 512, size);
    fill(memory, size, 3);
    ide_address48(rig, 20000, 5000);
    assert_int_equal(ide_dma(rig, 0x35, size, false), DRDY | DSC);
    assert_file(rig, 0, 20000 * 512, memory, size);
    ide_address28(rig, 7, 2);
    assert_int_equal(ide_dma(rig, 0xca, 1024, false), DRDY | DSC);
    assert_file(rig, 0, 7 * 512, memory, 1024);
    ide_rig_destroy(rig);
}

/* The three states of the table in 82371SB, 3.3.2: table longer than, as long as, and shorter than the transfer. */
static void dma_status(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t *memory = ide_memory(rig, IDE_TEST_DATA);

    ide_prd(rig, 0, IDE_TEST_DATA, 0x80000000 | 4096);
    ide_address28(rig, 0, 2);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    ide_wait_irq(rig);
    assert_int_equal(ide_bm_status(rig), BM_INTERRUPT | BM_ACTIVE);
    ide_bm_stop(rig);
    assert_int_equal(ide_bm_status(rig), BM_INTERRUPT);
    ide_address28(rig, 0, 8);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    ide_wait_irq(rig);
    assert_int_equal(ide_bm_status(rig), BM_INTERRUPT);
    ide_bm_stop(rig);

    ide_address28(rig, 20, 16); /* too short: nothing more comes until the host acts */
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    fake_machine_run(&rig->m, 50);
    assert_int_equal(ide_bm_status(rig), 0);
    assert_int_equal(ide_alt_status(rig), DRDY | DSC | DRQ);
    ide_bm_stop(rig);
    ide_prd(rig, 0, IDE_TEST_DATA + 4096, 0x80000000 | 4096);
    ide_bm_start(rig, true); /* it may give room for the rest */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_content(memory, 0, 20 * 512, 8192);
    ide_rig_destroy(rig);
}

static void dma_pieces(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t *memory = ide_memory(rig, IDE_TEST_DATA), whole[4096];

    ide_prd(rig, 0, IDE_TEST_DATA + 3, 2); /* bit 0 of addresses and sizes does not count */
    ide_prd(rig, 1, IDE_TEST_DATA + 0x1ffe, 1001);
    ide_prd(rig, 2, IDE_TEST_DATA + 0x4000, 0x80000000 | (4096 - 1002));
    ide_address28(rig, 40, 8);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    memcpy(whole, memory + 2, 2);
    memcpy(whole + 2, memory + 0x1ffe, 1000);
    memcpy(whole + 1002, memory + 0x4000, 4096 - 1002);
    assert_content(whole, 0, 40 * 512, 4096);
    ide_rig_destroy(rig);
}

/* Where a table leads out of memory, has no end or goes the wrong way the command fails at once, and the next one works. */
static void hostile_tables(void **state UNUSED)
{
    static const struct {
        uint32_t table, addr, flags_size;
        bool to_memory, master;
    } rows[] = {
        {IDE_TEST_TABLE, 0xe0000000, 0x80000000, true, true},          /* registers or nothing */
        {IDE_TEST_TABLE, IDE_TEST_RAM - 1024, 0x80001000, true, true}, /* across the end of memory */
        {IDE_TEST_TABLE, 0xfffffffe, 0x80000000, true, true},
        {0xfffffffc, IDE_TEST_DATA, 0x80001000, true, true}, /* the table itself */
        {IDE_TEST_RAM - 4, IDE_TEST_DATA, 0x80001000, true, true},
        {IDE_TEST_TABLE, IDE_TEST_DATA, 0x80001000, false, true}, /* direction */
        {IDE_TEST_TABLE, IDE_TEST_DATA, 0x80001000, true, false}, /* PCI says no */
    };
    struct ide_rig *rig = one_disk();
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        fake_pci_write(&rig->m, IDE_DEVFN, PCI_COMMAND, rows[i].master ? 5 : 1, 2);
        ide_prd(rig, 0, rows[i].addr, rows[i].flags_size);
        ide_address28(rig, 0, 8);
        ide_command_out(rig, 0xc8);
        fake_out(&rig->m, rig->bmdma + 4, rows[i].table, 4);
        fake_out(&rig->m, rig->bmdma, rows[i].to_memory ? 9 : 1, 1);
        assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
        assert_int_equal(ide_in(rig, 1), 0x84);
        assert_int_equal(ide_bm_status(rig), BM_ERROR | BM_INTERRUPT);
        ide_bm_stop(rig);
        fake_out(&rig->m, rig->bmdma + 2, BM_ERROR | BM_INTERRUPT, 1);
    }
    fake_pci_write(&rig->m, IDE_DEVFN, PCI_COMMAND, 5, 2);
    ide_address28(rig, 0, 8);
    assert_int_equal(ide_dma(rig, 0xc8, 4096, true), DRDY | DSC);
    ide_rig_destroy(rig);
}

/* 8192 descriptors of two bytes, and no end; then zero sizes, which are 64 KiB, over each other. */
static void endless_tables(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    unsigned i;

    for (i = 0; i < 9000; i++)
        ide_prd(rig, i, IDE_TEST_DATA, 2);
    ide_address48(rig, 0, 1000);
    ide_command_out(rig, 0x25);
    ide_bm_start(rig, true);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_bm_status(rig) & BM_ERROR, BM_ERROR);
    ide_bm_stop(rig);
    for (i = 0; i < 100; i++)
        ide_prd(rig, i, IDE_TEST_DATA, 0);
    ide_address48(rig, 0, 1000);
    ide_command_out(rig, 0x25);
    ide_bm_start(rig, true);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    assert_int_equal(ide_bm_status(rig), BM_INTERRUPT | BM_ACTIVE);
    ide_rig_destroy(rig);
}

/* --- errors --- */

static void out_of_range(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();

    ide_address28(rig, SECTORS, 1);
    ide_command_out(rig, 0x20);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), 0x10);
    ide_address28(rig, SECTORS - 1, 2);
    ide_command_out(rig, 0xca);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_address48(rig, 0xffffffffffff, 0);
    ide_command_out(rig, 0x25);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_address48(rig, 1ull << 40, 1);
    ide_command_out(rig, 0x34);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_address_chs(rig, 0, 0, 0, 1); /* sectors count from 1 */
    ide_command_out(rig, 0x20);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_address_chs(rig, 0, 0, 64, 1);
    ide_command_out(rig, 0x70); /* SEEK */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_address_chs(rig, 41, 15, 63, 1);
    ide_command_out(rig, 0x40);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_rig_destroy(rig);
}

/* What lies before a bad sector gets through, and the registers name it. */
static void bad_sector(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t data[3 * 512];

    rig->gates[0].bad_from = 203 * 512;
    rig->gates[0].bad_to = 204 * 512;
    ide_address28(rig, 200, 8);
    ide_command_out(rig, 0x20);
    ide_pio_read(rig, data, sizeof(data), 512);
    assert_content(data, 0, 200 * 512, sizeof(data));
    ide_wait(rig);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), 0x40);
    assert_int_equal(ide_in(rig, 3) | ide_in(rig, 4) << 8, 203);
    ide_address48(rig, 190, 100);
    assert_int_equal(ide_dma(rig, 0x25, 51200, true), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), 0x40);
    assert_int_equal(ide_in(rig, 3) | ide_in(rig, 4) << 8, 203);
    ide_address28(rig, 190, 100);
    ide_command_out(rig, 0x40); /* VERIFY finds it too */
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_address28(rig, 204, 100);
    ide_command_out(rig, 0x40);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    ide_address28(rig, 203, 1);
    assert_int_equal(ide_dma(rig, 0xca, 512, false), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), 4);
    ide_rig_destroy(rig);
}

static void trim(void **state UNUSED)
{
    struct ide_rig *rig = one_disk();
    uint8_t *ranges = ide_memory(rig, IDE_TEST_DATA), data[512] = {0};

    store_le64(ranges, 1000ull | 8ull << 48);
    store_le64(ranges + 8, 0);
    store_le64(ranges + 16, 2000ull | 100ull << 48);
    ide_address48(rig, 0, 1);
    ide_out(rig, 1, 1);
    assert_int_equal(ide_dma(rig, 0x06, 512, false), DRDY | DSC);
    assert_int_equal(rig->gates[0].discards, 2);
    assert_file(rig, 0, 1003 * 512, data, 512);
    store_le64(ranges + 24, (SECTORS - 1) | 2ull << 48); /* beyond the end: none of it is done */
    ide_address48(rig, 0, 1);
    ide_out(rig, 1, 1);
    assert_int_equal(ide_dma(rig, 0x06, 512, false), DRDY | DSC | ERR);
    assert_int_equal(rig->gates[0].discards, 2);
    ide_address48(rig, 0, 9);
    ide_command_out(rig, 0x06);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    ide_rig_destroy(rig);
}

/* Two drives on a cable: each has its own command, data and interrupt. */
static void two_drives(void **state UNUSED)
{
    struct ide_rig *rig =
        ide_rig_create(&(struct ide_rig_options){.kinds = {IDE_DISK, IDE_DISK}, .sizes = {DISK_SIZE, MIB(1)}});
    uint8_t data[512];

    ide_select(rig, 1);
    ide_address28(rig, 9, 1);
    ide_command_out(rig, 0x20);
    ide_pio_read(rig, data, 512, 512);
    assert_content(data, 1, 9 * 512, 512);
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    ide_select(rig, 0);
    ide_address28(rig, 9, 1);
    ide_command_out(rig, 0x20);
    ide_wait(rig);
    assert_true(ide_irq(rig));
    ide_out(rig, 6, 0xb0); /* the other's line is not up */
    assert_false(ide_irq(rig));
    ide_out(rig, 6, 0xa0);
    ide_pio_read(rig, data, 512, 512);
    assert_content(data, 0, 9 * 512, 512);
    ide_control(rig, 4);
    ide_control(rig, 0);
    ide_select(rig, 1);
    assert_int_equal(ide_in(rig, 2) | ide_in(rig, 3) << 8, 0x0101);
    ide_rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pci_function),
        cmocka_unit_test(absent_drives),
        cmocka_unit_test(resets),
        cmocka_unit_test(identify),
        cmocka_unit_test(simple_commands),
        cmocka_unit_test(pio_reads),
        cmocka_unit_test(pio_interrupts),
        cmocka_unit_test(wide_data_port),
        cmocka_unit_test(pio_writes),
        cmocka_unit_test(dma),
        cmocka_unit_test(dma_status),
        cmocka_unit_test(dma_pieces),
        cmocka_unit_test(hostile_tables),
        cmocka_unit_test(endless_tables),
        cmocka_unit_test(out_of_range),
        cmocka_unit_test(bad_sector),
        cmocka_unit_test(trim),
        cmocka_unit_test(two_drives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

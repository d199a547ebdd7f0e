/* Resets of drive, channel and machine while a request is in flight; saved state in every phase of a command. */
#include "tests/lib/ide_driver.h"

#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DISK_SIZE MIB(4)
#define CD        2

static const struct ide_rig_options both = {.kinds = {IDE_DISK, [CD] = IDE_CDROM}, .sizes = {DISK_SIZE, [CD] = MIB(1)}};

static struct ide_rig *start(void)
{
    struct ide_rig *rig = ide_rig_create(&both);

    ide_select(rig, 0);
    return rig;
}

static void assert_content(const uint8_t *data, unsigned unit, uint64_t at, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        if (data[i] != ide_rig_byte(unit, at + i))
            fail_msg("byte %zu of %zu: %02x, not %02x", i, size, data[i], ide_rig_byte(unit, at + i));
}

/* --- resets --- */

static void machine_reset(struct ide_rig *rig)
{
    fake_machine_reset(&rig->m);
    ide_rig_set_up(rig);
    ide_select(rig, rig->channel * 2 + rig->slave);
}

/* A DMA read is held in the disks' thread; after the reset nothing of it reaches memory, and the drive is busy until then. */
static void reset_under_read(void (*reset)(struct ide_rig *rig))
{
    struct ide_rig *rig = start();
    uint8_t *memory = ide_memory(rig, IDE_TEST_DATA);
    unsigned i;

    ide_rig_hold(rig, 0);
    ide_prd_simple(rig, 8192);
    ide_address28(rig, 10, 16);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    ide_rig_wait_held(rig, 0);
    assert_int_equal(ide_alt_status(rig), BSY);
    reset(rig);
    memset(memory, 0x5a, 8192);
    assert_int_equal(ide_alt_status(rig), BSY);
    ide_address28(rig, 10, 16); /* nobody listens */
    ide_command_out(rig, 0xc8);
    fake_machine_run(&rig->m, 20);
    assert_int_equal(ide_alt_status(rig), BSY);
    ide_rig_release(rig, 0);
    assert_int_equal(ide_wait(rig), DRDY | DSC);
    assert_int_equal(ide_in(rig, 2) << 8 | ide_in(rig, 3), 0x0101);
    assert_false(ide_irq(rig));
    for (i = 0; i < 8192; i++)
        assert_int_equal(memory[i], 0x5a);
    ide_address28(rig, 10, 16);
    assert_int_equal(ide_dma(rig, 0xc8, 8192, true), DRDY | DSC);
    assert_content(memory, 0, 10 * 512, 8192);
    ide_rig_destroy(rig);
}

static void soft_reset_in_flight(void **state UNUSED)
{
    reset_under_read(ide_soft_reset);
}

static void machine_reset_in_flight(void **state UNUSED)
{
    reset_under_read(machine_reset);
}

/* DEVICE RESET gets through to a busy packet device. */
static void device_reset_in_flight(void **state UNUSED)
{
    static const uint8_t read[12] = {0x28, [8] = 4};
    struct ide_rig *rig = start();

    ide_select(rig, CD);
    ide_rig_hold(rig, CD);
    ide_control(rig, 2);
    ide_out(rig, 1, 0);
    ide_out(rig, 4, 0);
    ide_out(rig, 5, 8);
    ide_command_out(rig, 0xa0); /* told of the power-on first */
    ide_pio_write(rig, read, 12, 12);
    assert_int_equal(ide_wait(rig) & ERR, ERR);
    ide_command_out(rig, 0xa0);
    ide_pio_write(rig, read, 12, 12);
    ide_rig_wait_held(rig, CD);
    ide_command_out(rig, 0x08);
    assert_int_equal(ide_alt_status(rig), BSY);
    ide_rig_release(rig, CD);
    assert_int_equal(ide_wait(rig), 0);
    assert_int_equal(ide_in(rig, 4) | ide_in(rig, 5) << 8, 0xeb14);
    ide_rig_destroy(rig);
}

/* Destroyed with a request in flight, which is let go meanwhile. */
static void destroy_in_flight(void **state UNUSED)
{
    struct ide_rig *rig = start();

    ide_rig_hold(rig, 0);
    ide_address28(rig, 0, 1);
    ide_command_out(rig, 0x20);
    ide_rig_wait_held(rig, 0);
    ide_rig_release(rig, 0);
    ide_rig_destroy(rig);
}

/* The bus master is stopped in the middle, and the drive reset. */
static void stopped_dma(void **state UNUSED)
{
    struct ide_rig *rig = start();

    ide_rig_hold(rig, 0);
    ide_prd_simple(rig, 4096);
    ide_address28(rig, 0, 8);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    ide_rig_wait_held(rig, 0);
    ide_bm_stop(rig);
    ide_rig_release(rig, 0);
    assert_int_equal(ide_wait(rig), DRDY | DSC | DRQ);
    assert_int_equal(ide_bm_status(rig), 0);
    ide_soft_reset(rig);
    assert_int_equal(ide_wait(rig), DRDY | DSC);
    ide_address28(rig, 0, 8);
    assert_int_equal(ide_dma(rig, 0xc8, 4096, true), DRDY | DSC);
    ide_rig_destroy(rig);
}

/* --- saved state --- */

static void save(struct ide_rig *rig, struct writer *w)
{
    struct device *device = ide_rig_device(rig);

    writer_init(w, MIB(8));
    machine_lock(&rig->m.base);
    device->ops->save(device, w);
    machine_unlock(&rig->m.base);
    assert_false(w->bad);
}

static int load(struct ide_rig *rig, const void *data, size_t size)
{
    struct device *device = ide_rig_device(rig);
    struct reader r;
    int err;

    reader_init(&r, data, size);
    machine_lock(&rig->m.base);
    err = device->ops->load(device, &r, device->ops->version);
    machine_unlock(&rig->m.base);
    return err ? err : (int)reader_left(&r);
}

/* The same machine again, with the same memory. */
static struct ide_rig *move(struct ide_rig *old)
{
    unsigned unit = old->channel * 2 + old->slave;
    uint8_t *memory = malloc(IDE_TEST_RAM);
    struct ide_rig *rig;
    struct writer w;

    save(old, &w);
    memcpy(memory, old->m.ram.host, IDE_TEST_RAM);
    ide_rig_destroy(old);
    rig = ide_rig_create(&both);
    assert_int_equal(load(rig, w.data, w.size), 0);
    memcpy(rig->m.ram.host, memory, IDE_TEST_RAM);
    rig->channel = unit / 2;
    rig->slave = unit % 2;
    writer_fini(&w);
    free(memory);
    return rig;
}

static void moved_in_pio_read(void **state UNUSED)
{
    struct ide_rig *rig = start();
    uint8_t data[6 * 512];

    ide_address48(rig, 70, 6);
    ide_command_out(rig, 0x24);
    ide_pio_read(rig, data, 3 * 512, 512);
    rig = move(rig);
    assert_true(ide_irq(rig)); /* the next block's */
    ide_pio_read(rig, data + 3 * 512, 3 * 512, 512);
    assert_content(data, 0, 70 * 512, sizeof(data));
    assert_int_equal(ide_in(rig, 7), DRDY | DSC);
    ide_rig_destroy(rig);
}

static void moved_in_pio_write(void **state UNUSED)
{
    struct ide_rig *rig = start();
    uint8_t data[4 * 512], seen[4 * 512];

    memset(data, 0x77, sizeof(data));
    ide_address28(rig, 70, 4);
    ide_command_out(rig, 0x30);
    ide_pio_write(rig, data, 2 * 512, 512);
    rig = move(rig);
    ide_pio_write(rig, data, 2 * 512, 512);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    ide_address28(rig, 70, 4);
    ide_command_out(rig, 0x20);
    ide_pio_read(rig, seen, sizeof(seen), 512);
    assert_memory_equal(seen, data, sizeof(data));
    ide_rig_destroy(rig);
}

/* With the read in flight: saving waits for it. Then half of the data has gone out. */
static void moved_in_dma(void **state UNUSED)
{
    struct ide_rig *rig = start();
    uint8_t *memory;

    ide_prd(rig, 0, IDE_TEST_DATA, 0x80000000 | 4096);
    ide_address28(rig, 70, 16);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
    rig = move(rig);
    assert_int_equal(ide_alt_status(rig), DRDY | DSC | DRQ);
    ide_bm_stop(rig);
    ide_prd(rig, 0, IDE_TEST_DATA + 4096, 0x80000000 | 4096);
    ide_bm_start(rig, true);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    memory = ide_memory(rig, IDE_TEST_DATA);
    assert_content(memory, 0, 70 * 512, 8192);
    ide_rig_destroy(rig);
}

static void moved_in_packet(void **state UNUSED)
{
    static const uint8_t raw[12] = {0xbe, [5] = 16, [8] = 3, [9] = 0xf8}, ready[12] = {0};
    struct ide_rig *rig = start();
    uint8_t data[3 * 2352];

    ide_select(rig, CD);
    assert_int_equal(ide_packet(rig, ready, NULL, 0, 2), -1);
    rig = move(rig);
    assert_int_equal(ide_sense(rig), 0x062900);
    ide_out(rig, 1, 0);
    ide_out(rig, 4, 2352 & 0xff);
    ide_out(rig, 5, 2352 >> 8);
    ide_command_out(rig, 0xa0);
    ide_pio_write(rig, raw, 6, 12);
    rig = move(rig);
    ide_pio_write(rig, raw + 6, 6, 12);
    ide_pio_read(rig, data, 2352 + 500, 2352);
    rig = move(rig);
    ide_pio_read(rig, data + 2352 + 500, 2352 - 500, 2352);
    ide_pio_read(rig, data + 2 * 2352, 2352, 2352);
    assert_content(data + 2 * 2352 + 16, CD, 18 * 2048, 2048);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    ide_rig_destroy(rig);
}

/* Any cut is refused, any changed byte is refused or harmless, and the device works afterwards. */
static void bad_state(void **state UNUSED)
{
    struct ide_rig *rig = start();
    struct writer w;
    size_t i;

    ide_address28(rig, 3, 2);
    ide_command_out(rig, 0x20);
    ide_wait(rig);
    save(rig, &w);
    for (i = 0; i < w.size; i += 1 + i / 64)
        assert_true(load(rig, w.data, i) < 0);
    for (i = 256; i < w.size; i += 1 + i / 512) {
        uint8_t old = w.data[i];

        w.data[i] ^= 0xff;
        load(rig, w.data, w.size);
        fake_in(&rig->m, 0x1f0, 4);
        fake_out(&rig->m, 0x170, 0, 4);
        w.data[i] = old;
    }
    writer_fini(&w);
    machine_reset(rig);
    ide_select(rig, 0);
    ide_address28(rig, 3, 8);
    assert_int_equal(ide_dma(rig, 0xc8, 4096, true), DRDY | DSC);
    ide_rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soft_reset_in_flight),
        cmocka_unit_test(machine_reset_in_flight),
        cmocka_unit_test(device_reset_in_flight),
        cmocka_unit_test(destroy_in_flight),
        cmocka_unit_test(stopped_dma),
        cmocka_unit_test(moved_in_pio_read),
        cmocka_unit_test(moved_in_pio_write),
        cmocka_unit_test(moved_in_dma),
        cmocka_unit_test(moved_in_packet),
        cmocka_unit_test(bad_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

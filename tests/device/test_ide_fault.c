/* What an IDE drive makes of a host that cannot do what it is asked for: errors that its driver sees, and commands that
 * wait until the host can. */
#include "tests/lib/fault_watch.h"
#include "tests/lib/ide_driver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DISK_SIZE MIB(4)
#define LBA       40
#define ABRT      0x04
#define UNC       0x40

static const struct ide_rig_options one = {.kinds = {IDE_DISK}, .sizes = {DISK_SIZE}};

static struct ide_rig *start(struct fault_watch *watch)
{
    struct ide_rig *rig = ide_rig_create(&one);

    ide_select(rig, 0);
    if (watch)
        fault_watch_start(watch, &rig->gates[0].disk, &rig->disk_loop);
    return rig;
}

static void set_error(struct ide_rig *rig, int error)
{
    __atomic_store_n(&rig->gates[0].error, error, __ATOMIC_RELEASE);
}

/* --- commands; each is given, and its data with it --- */

static void give_pio_write(struct ide_rig *rig)
{
    uint8_t data[512];

    memset(data, 0x77, sizeof(data));
    ide_address28(rig, LBA, 1);
    ide_command_out(rig, 0x30);
    ide_pio_write(rig, data, sizeof(data), sizeof(data));
}

static void give_dma_write(struct ide_rig *rig)
{
    memset(ide_memory(rig, IDE_TEST_DATA), 0x77, 512);
    ide_prd_simple(rig, 512);
    ide_address48(rig, LBA, 1);
    ide_command_out(rig, 0x35);
    ide_bm_start(rig, false);
}

static void give_flush(struct ide_rig *rig)
{
    ide_command_out(rig, 0xe7);
}

static void give_trim(struct ide_rig *rig)
{
    memset(ide_memory(rig, IDE_TEST_DATA), 0, 512);
    store_le64(ide_memory(rig, IDE_TEST_DATA), LBA | 1ull << 48);
    ide_prd_simple(rig, 512);
    ide_address48(rig, 0, 1);
    ide_out(rig, 1, 1);
    ide_command_out(rig, 0x06);
    ide_bm_start(rig, false);
}

static void give_dma_read(struct ide_rig *rig)
{
    ide_prd_simple(rig, 512);
    ide_address28(rig, LBA, 1);
    ide_command_out(rig, 0xc8);
    ide_bm_start(rig, true);
}

static const struct command {
    void (*give)(struct ide_rig *rig);
    int wrote; /* what the sector holds afterwards; -1: what it held before */
    bool dma;
} commands[] = {
    {give_pio_write, 0x77, false}, {give_dma_write, 0x77, true}, {give_flush, -1, false}, {give_trim, 0, true},
};

static void check_sector(struct ide_rig *rig, int wrote)
{
    uint8_t data[512];
    unsigned i;

    ide_address28(rig, LBA, 1);
    ide_command_out(rig, 0x20);
    ide_pio_read(rig, data, sizeof(data), sizeof(data));
    for (i = 0; i < sizeof(data); i++)
        assert_int_equal(data[i], wrote < 0 ? ide_rig_byte(0, LBA * 512 + i) : wrote);
}

/* Given to a full disk: the drive stays busy, whatever time passes. */
static void give_and_wait(struct ide_rig *rig, struct fault_watch *w, const struct command *command)
{
    unsigned before = fault_watch_count(&w->kept);

    set_error(rig, -ENOSPC);
    command->give(rig);
    assert_true(fault_watch_wait(&rig->m, &w->kept, before + 1));
    fake_machine_run(&rig->m, 20);
    assert_int_equal(ide_alt_status(rig), BSY);
    assert_false(ide_irq(rig));
}

/* --- tests --- */

static void errors(void **state UNUSED)
{
    struct fault_watch w;
    struct ide_rig *rig = start(&w);
    unsigned i;

    set_error(rig, -EIO);
    for (i = 0; i < ARRAY_SIZE(commands) - 1; i++) { /* a TRIM is a hint */
        commands[i].give(rig);
        assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
        assert_int_equal(ide_in(rig, 1), ABRT);
        if (commands[i].dma)
            ide_bm_stop(rig);
    }
    give_dma_read(rig);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC | ERR);
    assert_int_equal(ide_in(rig, 1), UNC);
    ide_bm_stop(rig);
    assert_int_equal(fault_watch_count(&w.kept), 0);
    assert_true(fault_watch_count(&w.reported) >= 1);
    set_error(rig, 0);
    check_sector(rig, -1);
    ide_rig_destroy(rig);
}

static void waits_for_room(void **state UNUSED)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(commands); i++) {
        struct fault_watch w;
        struct ide_rig *rig = start(&w);

        give_and_wait(rig, &w, &commands[i]);
        fault_watch_retry(&rig->m); /* in vain */
        assert_true(fault_watch_wait(&rig->m, &w.kept, 2));
        assert_int_equal(ide_alt_status(rig), BSY);
        set_error(rig, 0);
        fault_watch_retry(&rig->m);
        assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
        if (commands[i].dma)
            ide_bm_stop(rig);
        assert_int_equal(fault_watch_count(&w.recovered), 1);
        check_sector(rig, commands[i].wrote);
        fault_watch_retry(&rig->m); /* of nothing */
        fake_machine_run(&rig->m, 5);
        assert_int_equal(fault_watch_count(&w.recovered), 1);
        ide_rig_destroy(rig);
    }
}

static void machine_reset(struct ide_rig *rig)
{
    fake_machine_reset(&rig->m);
    ide_rig_set_up(rig);
    ide_select(rig, 0);
}

/* A reset drops the command: the drive is ready again although there still is no room. */
static void reset_while_it_waits(void **state UNUSED)
{
    static void (*const resets[])(struct ide_rig *rig) = {ide_soft_reset, machine_reset};
    unsigned i, k;

    for (i = 0; i < ARRAY_SIZE(resets); i++)
        for (k = 0; k < ARRAY_SIZE(commands); k++) {
            struct fault_watch w;
            struct ide_rig *rig = start(&w);

            give_and_wait(rig, &w, &commands[k]);
            resets[i](rig);
            assert_int_equal(ide_wait(rig), DRDY | DSC);
            assert_false(ide_irq(rig));
            assert_true(fault_watch_wait(&rig->m, &w.recovered, 1));
            set_error(rig, 0);
            fault_watch_retry(&rig->m);
            check_sector(rig, -1);
            give_and_wait(rig, &w, &commands[0]);
            set_error(rig, 0);
            fault_watch_retry(&rig->m);
            assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
            check_sector(rig, 0x77);
            ide_rig_destroy(rig);
        }
}

/* Reset while the request is on its way: what then fails is not kept for a guest that has forgotten it. */
static void reset_before_it_fails(void **state UNUSED)
{
    struct fault_watch w;
    struct ide_rig *rig = start(&w);

    ide_rig_hold(rig, 0);
    set_error(rig, -ENOSPC);
    give_dma_write(rig);
    ide_rig_wait_held(rig, 0);
    ide_soft_reset(rig);
    ide_rig_release(rig, 0);
    assert_int_equal(ide_wait(rig), DRDY | DSC);
    assert_int_equal(fault_watch_count(&w.kept), 0);
    ide_rig_destroy(rig);
}

/* Saving waits for what is in flight, but not for room. */
static void save_while_it_waits(void **state UNUSED)
{
    struct fault_watch w;
    struct ide_rig *rig = start(&w);
    struct device *device = ide_rig_device(rig);
    struct writer writer;

    give_and_wait(rig, &w, &commands[0]);
    writer_init(&writer, MIB(8));
    machine_lock(&rig->m.base);
    device->ops->save(device, &writer);
    machine_unlock(&rig->m.base);
    writer_fini(&writer);
    set_error(rig, 0);
    fault_watch_retry(&rig->m);
    assert_int_equal(ide_wait_irq(rig), DRDY | DSC);
    check_sector(rig, 0x77);
    ide_rig_destroy(rig);
}

static void destroy_while_it_waits(void **state UNUSED)
{
    struct fault_watch w;
    struct ide_rig *rig = start(&w);

    give_and_wait(rig, &w, &commands[1]);
    ide_rig_destroy(rig);
    assert_int_equal(w.recovered, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors),
        cmocka_unit_test(waits_for_room),
        cmocka_unit_test(reset_while_it_waits),
        cmocka_unit_test(reset_before_it_fails),
        cmocka_unit_test(save_while_it_waits),
        cmocka_unit_test(destroy_while_it_waits),
    };

    return cmocka_run_group_tests_name("ide_fault", tests, NULL, NULL);
}

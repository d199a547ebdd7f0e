/* test_i6300esb.c - the watchdog driven as Linux' i6300esb driver does, and as one that it must not obey. */
#include "devices/platform/i6300esb.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define DEVFN PCI_DEVFN(31, 0)
#define LINK  ((31 - 1) & 3)

enum { CONFIG = 0x60, LOCK = 0x68 };
enum { PRELOAD_1 = 0, PRELOAD_2 = 4, INTERRUPT = 8, RELOAD = 12 };
enum { LOCKED = 1, ENABLE = 2, FREE_RUN = 4 };
enum { NO_INTERRUPT = 3, NO_REBOOT = 0x20 };
#define MS 1000000ull

struct fixture {
    struct fake_machine machine;
    struct pci_device *esb;
    uint64_t bar;
    unsigned expired, wanted;
};

static void expired(void *opaque)
{
    ((struct fixture *)opaque)->expired++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct i6300esb_config config = {expired, f};

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    f->esb = i6300esb_create(&f->machine.base, DEVFN, &config);
    assert_non_null(f->esb);
    fake_machine_reset(&f->machine);
    fake_pci_setup(&f->machine, DEVFN);
    f->bar = fake_pci_bar(&f->machine, DEVFN, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    free(f);
    return 0;
}

static void put(struct fixture *f, unsigned reg, uint32_t value, unsigned width)
{
    fake_mmio_write(&f->machine, f->bar + reg, value, width);
}

static void put_unlocked(struct fixture *f, unsigned reg, uint32_t value, unsigned width)
{
    put(f, RELOAD, 0x80, 2);
    put(f, RELOAD, 0x86, 2);
    put(f, reg, value, width);
}

/* Two stages of so many ticks of about a millisecond; stage 1 says nothing. */
static void start(struct fixture *f, uint32_t ticks)
{
    fake_pci_write(&f->machine, DEVFN, CONFIG, NO_INTERRUPT, 2);
    put_unlocked(f, PRELOAD_1, ticks, 4);
    put_unlocked(f, PRELOAD_2, ticks, 4);
    put_unlocked(f, RELOAD, 0x100, 2);
    fake_pci_write(&f->machine, DEVFN, LOCK, ENABLE, 1);
}

static bool has_expired(void *arg)
{
    struct fixture *f = arg;

    return f->expired >= f->wanted;
}

static bool wait_expired(struct fixture *f, unsigned ms)
{
    f->wanted = f->expired + 1;
    return fake_machine_wait(&f->machine, has_expired, f, ms);
}

static bool interrupts(void *arg)
{
    return ((struct fixture *)arg)->machine.link_level[LINK];
}

static void is_found(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, DEVFN, 0, 4), 0x25ab8086);
    assert_int_equal(fake_pci_read(&f->machine, DEVFN, LOCK, 1), 0);
    fake_machine_run(&f->machine, 5);
    assert_int_equal(f->expired, 0);
}

static void a_hung_guest_is_noticed_after_both_stages(void **state)
{
    struct fixture *f = *state;
    uint64_t before = uv_hrtime();

    start(f, 20);
    assert_true(wait_expired(f, 5000));
    assert_in_range(uv_hrtime() - before, 38 * MS, 5000 * MS);
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + RELOAD, 2), 0x200);
    fake_machine_reset(&f->machine);
    fake_pci_setup(&f->machine, DEVFN);
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + RELOAD, 2), 0x200); /* the next system may know */
    put_unlocked(f, RELOAD, 0x200, 2);
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + RELOAD, 2), 0);
    assert_false(wait_expired(f, 20));
}

static void a_fed_one_is_quiet(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    start(f, 1000);
    for (i = 0; i < 10; i++) {
        f->machine.base.clock_offset -= 900 * MS; /* the machine's time runs ahead */
        fake_machine_run(&f->machine, 2);
        put_unlocked(f, RELOAD, 0x100, 2);
    }
    assert_int_equal(f->expired, 0);
    fake_pci_write(&f->machine, DEVFN, LOCK, 0, 1); /* closed with its magic: off */
    f->machine.base.clock_offset -= 9000 * MS;
    assert_false(wait_expired(f, 20));
}

static void only_the_magic_bytes_unlock(void **state)
{
    struct fixture *f = *state;

    start(f, 20);
    for (unsigned i = 0; i < 10; i++) {
        put(f, RELOAD, 0x100, 2);
        put(f, RELOAD, 0x86, 2);
        put(f, RELOAD, 0x80, 2);
        put(f, RELOAD, 0x100, 2);
        fake_machine_run(&f->machine, 4);
    }
    f->wanted = 1;
    assert_true(fake_machine_wait(&f->machine, has_expired, f, 5000));
}

/* Linux unlocks once to read the flag, then again to clear it. */
static void unlocking_twice_is_fine(void **state)
{
    struct fixture *f = *state;

    start(f, 5);
    assert_true(wait_expired(f, 5000));
    put(f, RELOAD, 0x80, 2);
    put(f, RELOAD, 0x86, 2);
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + RELOAD, 2), 0x200);
    put_unlocked(f, RELOAD, 0x300, 2);
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + RELOAD, 2), 0);
}

static void it_cannot_be_stopped_once_locked(void **state)
{
    struct fixture *f = *state;

    start(f, 20);
    fake_pci_write(&f->machine, DEVFN, LOCK, LOCKED | ENABLE, 1);
    fake_pci_write(&f->machine, DEVFN, LOCK, 0, 1);
    assert_int_equal(fake_pci_read(&f->machine, DEVFN, LOCK, 1), LOCKED | ENABLE);
    assert_true(wait_expired(f, 5000));
    fake_machine_reset(&f->machine);
    fake_pci_write(&f->machine, DEVFN, LOCK, FREE_RUN, 1);
    assert_int_equal(fake_pci_read(&f->machine, DEVFN, LOCK, 1), FREE_RUN);
}

static void the_first_stage_interrupts(void **state)
{
    struct fixture *f = *state;

    start(f, 10);
    fake_pci_write(&f->machine, DEVFN, CONFIG, NO_REBOOT, 2);
    assert_true(fake_machine_wait(&f->machine, interrupts, f, 5000));
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + INTERRUPT, 4), 1);
    put(f, INTERRUPT, 1, 4);
    assert_false(f->machine.link_level[LINK]);
    assert_false(wait_expired(f, 40)); /* the second stage ends without a word */
    assert_int_equal(fake_mmio_read(&f->machine, f->bar + RELOAD, 2), 0x200);
}

static void runs_freely(void **state)
{
    struct fixture *f = *state;

    start(f, 5);
    fake_pci_write(&f->machine, DEVFN, LOCK, ENABLE | FREE_RUN, 1);
    assert_true(wait_expired(f, 5000));
    assert_true(wait_expired(f, 5000));
}

static void is_saved_whole(void **state)
{
    struct fixture *f = *state;
    const struct device_ops *ops = f->esb->base.ops;
    struct writer w;
    struct reader r;

    start(f, 40);
    writer_init(&w, KIB(4));
    ops->save(&f->esb->base, &w);
    fake_machine_reset(&f->machine);
    assert_false(wait_expired(f, 100));
    reader_init(&r, w.data, w.size);
    assert_int_equal(ops->load(&f->esb->base, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_true(wait_expired(f, 5000));
    reader_init(&r, w.data, w.size - 1);
    assert_int_not_equal(ops->load(&f->esb->base, &r, 1), 0);
    writer_fini(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(is_found),
        TEST(a_hung_guest_is_noticed_after_both_stages),
        TEST(a_fed_one_is_quiet),
        TEST(only_the_magic_bytes_unlock),
        TEST(unlocking_twice_is_fine),
        TEST(it_cannot_be_stopped_once_locked),
        TEST(the_first_stage_interrupts),
        TEST(runs_freely),
        TEST(is_saved_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

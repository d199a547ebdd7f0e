/* test_piix4_pm.c - power management driven as SeaBIOS and ACPI drivers do. */
#include "devices/platform/piix4_pm.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define PM     PCI_DEVFN(1, 3)
#define SCI    9
#define PM_HZ     3579545ULL
#define SECOND 1000000000ULL

enum { STATUS = 0x600, ENABLE = 0x602, CONTROL = 0x604, TIMER = 0x608 };
enum { TMR = 1, GBL = 0x20, PWRBTN = 0x100 };

struct fixture {
    struct fake_machine machine;
    struct pci_device *pm;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    f->pm = piix4_pm_create(&f->machine.base);
    assert_non_null(f->pm);
    fake_machine_reset(&f->machine);
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

static uint32_t in(struct fixture *f, uint16_t port, unsigned width)
{
    return fake_in(&f->machine, port, width);
}

static void out(struct fixture *f, uint16_t port, uint32_t value, unsigned width)
{
    fake_out(&f->machine, port, value, width);
}

static bool sci_is_up(void *arg)
{
    return ((struct fixture *)arg)->machine.gsi_level[SCI];
}

static void has_its_place(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, PM, 0, 4), 0x71138086);
    assert_int_equal(fake_pci_read(&f->machine, PM, 0x5b, 1), 0x02);
    assert_int_equal(fake_pci_read(&f->machine, PM, 0x3c, 2), 0x0109);
    assert_int_equal(piix4_pm_base(f->pm), 0x600);
    fake_pci_write(&f->machine, PM, 0x40, 0xb001, 4);
    assert_int_equal(fake_pci_read(&f->machine, PM, 0x40, 4), 0xb001);
    assert_int_equal(piix4_pm_base(f->pm), 0xb000);
    assert_int_equal(in(f, CONTROL, 2), 0xffff);
    out(f, 0xb002, PWRBTN, 2);
    assert_int_equal(in(f, 0xb002, 2), PWRBTN);
    fake_pci_write(&f->machine, PM, 0x80, 0, 1);
    assert_int_equal(in(f, 0xb002, 2), 0xffff);
    assert_int_equal(piix4_pm_base(f->pm), 0);
    fake_pci_write(&f->machine, PM, 0x80, 1, 1);
    assert_int_equal(in(f, 0xb002, 2), PWRBTN);
    fake_machine_reset(&f->machine);
    assert_int_equal(piix4_pm_base(f->pm), 0x600);
    assert_int_equal(in(f, ENABLE, 2), 0);
}

static void acpi_is_switched(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(in(f, CONTROL, 2) & 1, 0);
    out(f, 0xb2, PIIX4_PM_ACPI_ENABLE, 1);
    assert_int_equal(in(f, CONTROL, 2) & 1, 1);
    out(f, 0xb2, PIIX4_PM_ACPI_DISABLE, 1);
    assert_int_equal(in(f, CONTROL, 2) & 1, 0);
    out(f, 0xb3, 0x5a, 1);
    assert_int_equal(in(f, 0xb3, 1), 0x5a);
}

static void power_button(void **state)
{
    struct fixture *f = *state;

    out(f, ENABLE, PWRBTN | GBL, 2);
    piix4_pm_power_button(f->pm);
    assert_false(f->machine.gsi_level[SCI]); /* not in ACPI mode */
    out(f, 0xb2, PIIX4_PM_ACPI_ENABLE, 1);
    assert_true(f->machine.gsi_level[SCI]);
    assert_int_equal(in(f, STATUS, 2), PWRBTN);
    out(f, STATUS, 0xfeff, 2); /* the others: no effect */
    assert_true(f->machine.gsi_level[SCI]);
    out(f, STATUS, PWRBTN, 2);
    assert_false(f->machine.gsi_level[SCI]);
    assert_int_equal(in(f, STATUS, 2), 0);
    piix4_pm_power_button(f->pm);
    assert_int_equal(in(f, STATUS + 1, 1), PWRBTN >> 8);
    out(f, STATUS + 1, PWRBTN >> 8, 1);
    assert_int_equal(in(f, STATUS, 4), (PWRBTN | GBL) << 16);
    assert_int_equal(f->machine.gsi_edges[SCI], 2);
}

static void soft_off(void **state)
{
    struct fixture *f = *state;
    unsigned *offs = &f->machine.requests[MACHINE_POWEROFF];

    out(f, CONTROL, 5 << 10, 2);
    assert_int_equal(*offs, 0);
    out(f, CONTROL, 5 << 10 | 1 << 13, 2); /* a sleep there is not */
    assert_int_equal(*offs, 0);
    assert_int_equal(in(f, CONTROL, 2), 5 << 10); /* SLP_EN reads as 0 */
    out(f, CONTROL, 1 << 13, 2);
    assert_int_equal(*offs, 1);
    out(f, CONTROL + 1, 1 << 5, 1);
    assert_int_equal(*offs, 2);
}

static void timer_counts(void **state)
{
    struct fixture *f = *state;
    uint32_t start = in(f, TIMER, 4), end;

    f->machine.base.clock_offset -= SECOND;
    end = in(f, TIMER, 4);
    assert_int_equal(start >> 24, 0);
    assert_in_range((end - start) & 0xffffff, PM_HZ, PM_HZ + PM_HZ / 10);
    out(f, TIMER, 0, 4); /* read only */
    assert_in_range((in(f, TIMER, 4) - end) & 0xffffff, 0, PM_HZ / 10);
}

static void timer_interrupts(void **state)
{
    struct fixture *f = *state;
    uint64_t half = (1ULL << 23) * SECOND / PM_HZ, now = machine_clock(&f->machine.base);

    out(f, 0xb2, PIIX4_PM_ACPI_ENABLE, 1);
    f->machine.base.clock_offset -=
        half - now % half - SECOND / 20; /* to just before the top bit turns */
    out(f, STATUS, TMR, 2);
    out(f, ENABLE, TMR, 2);
    assert_false(f->machine.gsi_level[SCI]);
    assert_true(fake_machine_wait(&f->machine, sci_is_up, f, 500));
    assert_int_equal(in(f, STATUS, 2), TMR);
    out(f, STATUS, TMR, 2);
    assert_false(f->machine.gsi_level[SCI]);
    f->machine.base.clock_offset -= half; /* polled */
    assert_int_equal(in(f, STATUS, 2), TMR);
}

static void general_events(void **state)
{
    struct fixture *f = *state;

    out(f, PIIX4_PM_GPE0 + 2, 0x1234, 2);
    assert_int_equal(in(f, PIIX4_PM_GPE0, 4), 0x12340000);
    out(f, PIIX4_PM_GPE0, 0xffff, 2);
    out(f, PIIX4_PM_GPE0 + 3, 0, 1);
    assert_int_equal(in(f, PIIX4_PM_GPE0, 4), 0x00340000);
}

/* As Linux' i2c-piix4 looks for a device: status clear, start, done with an error. */
static void smbus_is_empty(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, PM, 0x90, 4), 0x701);
    assert_int_equal(fake_pci_read(&f->machine, PM, 0xd2, 1) & 1, 1);
    assert_int_equal(in(f, 0x700, 1), 0);
    out(f, 0x704, 0xa1, 1);
    out(f, 0x702, 0x48, 1);
    assert_int_equal(in(f, 0x700, 1), 0x04);
    assert_int_equal(in(f, 0x702, 1), 0x08);
    out(f, 0x700, 0x04, 1);
    assert_int_equal(in(f, 0x700, 1), 0);
    fake_pci_write(&f->machine, PM, 0xd2, 0, 1);
    assert_int_equal(in(f, 0x700, 1), 0xff);
}

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct device *device = &f->pm->base;
    struct writer w;
    struct reader r;
    size_t i;

    writer_init(&w, KIB(4));
    fake_pci_write(&f->machine, PM, 0x40, 0x4000, 4);
    out(f, 0xb2, PIIX4_PM_ACPI_ENABLE, 1);
    out(f, 0x4002, PWRBTN, 2);
    piix4_pm_power_button(f->pm);
    device->ops->save(device, &w);
    fake_machine_reset(&f->machine);
    assert_false(f->machine.gsi_level[SCI]);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_true(f->machine.gsi_level[SCI]);
    assert_int_equal(in(f, 0x4000, 4), PWRBTN << 16 | PWRBTN);
    for (i = 0; i < w.size; i++) {
        reader_init(&r, w.data, i);
        assert_int_not_equal(device->ops->load(device, &r, 1), 0);
    }
    writer_fini(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(has_its_place),  TEST(acpi_is_switched), TEST(power_button),
        TEST(soft_off),       TEST(timer_counts),     TEST(timer_interrupts),
        TEST(general_events), TEST(smbus_is_empty),   TEST(survives_save_and_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

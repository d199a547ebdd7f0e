/* test_i440fx.c - the host bridge's shadow RAM and the ISA bridge's interrupt routing and ports, driven as SeaBIOS does. */
#include "devices/platform/i440fx.h"
#include "devices/platform/piix3.h"
#include "tests/lib/fake_machine.h"

#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define HOST PCI_DEVFN(0, 0)
#define ISA  PCI_DEVFN(1, 0)

struct fixture {
    struct fake_machine machine;
    struct ram shadow, bios;
    struct pci_device *host, *isa;
    struct pci_device plain; /* with an interrupt */
};

static void plain_destroy(struct device *device)
{
    pci_fini(container_of(device, struct pci_device, base));
}

static const struct device_ops plain_ops = {.name = "plain", .destroy = plain_destroy};

static void create(struct fixture *f, bool firmware)
{
    static const struct pci_ids ids = {.vendor = 1, .device = 2, .interrupt_pin = 1};
    struct machine *machine = &f->machine.base;

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    assert_int_equal(ram_init(&f->shadow, "shadow", I440FX_SHADOW_SIZE, 0), 0);
    assert_int_equal(ram_init(&f->bios, "bios", I440FX_BIOS_SIZE, 0), 0);
    memset(f->bios.host, 'B', f->bios.size);
    f->host = i440fx_create(
        machine, &(struct i440fx_config){f->shadow.host, firmware ? f->bios.host : NULL});
    f->isa = piix3_create(machine);
    assert_non_null(f->host);
    assert_non_null(f->isa);
    assert_int_equal(pci_init(&f->plain, &plain_ops, machine, PCI_DEVFN(3, 0), &ids), 0);
    fake_machine_reset(&f->machine);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    create(f, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    ram_fini(&f->shadow);
    ram_fini(&f->bios);
    free(f);
    return 0;
}

/* What a byte of guest memory shows: its value, or -1 for nothing. */
static int peek(struct fixture *f, gpa_t addr)
{
    uint8_t byte;

    return memory_read(f->machine.base.memory, addr, &byte, 1) ? -1 : byte;
}

static bool poke(struct fixture *f, gpa_t addr, uint8_t byte)
{
    return memory_write(f->machine.base.memory, addr, &byte, 1) == 0;
}

static void has_its_ids(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, HOST, 0, 4), 0x12378086);
    assert_int_equal(fake_pci_read(&f->machine, HOST, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
    assert_int_equal(fake_pci_read(&f->machine, ISA, 0, 4), 0x70008086);
    assert_int_equal(fake_pci_read(&f->machine, ISA, PCI_HEADER_TYPE, 1), 0x80);
}

static void starts_with_rom(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(peek(f, 0xfffff), 'B');
    assert_int_equal(peek(f, 0xe0000), 'B');
    assert_int_equal(peek(f, 0xdffff), -1);
    assert_int_equal(peek(f, 0xc0000), -1);
    assert_false(poke(f, 0xf0000, 'x'));
}

/* SeaBIOS: everything writable, copy the ROM down, then lock all but what it keeps writing. */
static void shadows_the_firmware(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    for (i = 0x5a; i <= 0x5f; i++)
        fake_pci_write(&f->machine, HOST, i, 0x33, 1);
    fake_pci_write(&f->machine, HOST, 0x59, 0x30, 1);
    assert_int_equal(peek(f, 0xf0000), 0);
    assert_true(poke(f, 0xc0000, 'a'));
    assert_true(poke(f, 0xe4000, 'b'));
    assert_true(poke(f, 0xfffff, 'c'));
    assert_int_equal(f->bios.host[I440FX_BIOS_SIZE - 1], 'B');
    fake_pci_write(&f->machine, HOST, 0x59, 0x10, 1);
    fake_pci_write(&f->machine, HOST, 0x5a, 0x31, 1);
    assert_int_equal(peek(f, 0xfffff), 'c');
    assert_false(poke(f, 0xfffff, 'x'));
    assert_int_equal(peek(f, 0xc0000), 'a');
    assert_false(poke(f, 0xc3fff, 'x'));
    assert_true(poke(f, 0xc4000, 'x'));
    assert_true(poke(f, 0xec000, 'x'));
    /* A reboot sees the ROM again, and the RAM keeps its content behind it. */
    fake_machine_reset(&f->machine);
    assert_int_equal(peek(f, 0xfffff), 'B');
    assert_int_equal(f->shadow.host[I440FX_SHADOW_SIZE - 1], 'c');
}

/* Each segment alone, in each state. */
static void segments_are_independent(void **state)
{
    struct fixture *f = *state;
    unsigned segment, bits;

    for (segment = 0; segment < 13; segment++) {
        gpa_t addr = 0xc0000 + segment * 0x4000;
        unsigned reg = segment == 12 ? 0x59 : 0x5a + segment / 2;
        unsigned shift = segment == 12 ? 4 : segment % 2 * 4;
        int closed = segment < 8 ? -1 : 'B';

        for (bits = 0; bits < 4; bits++) {
            fake_pci_write(&f->machine, HOST, reg, bits << shift, 1);
            assert_int_equal(peek(f, addr), bits & 1 ? 0 : closed);
            assert_int_equal(poke(f, addr, 0), bits == 3);
            assert_int_equal(peek(f, addr - 1), segment == 0 ? -1 : segment <= 8 ? -1 : 'B');
        }
        fake_pci_write(&f->machine, HOST, reg, 0, 1);
    }
}

static void smram_locks(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_pci_read(&f->machine, HOST, 0x72, 1), 0x02);
    fake_pci_write(&f->machine, HOST, 0x72, 0x4a, 1);
    assert_int_equal(fake_pci_read(&f->machine, HOST, 0x72, 1), 0x4a);
    fake_pci_write(&f->machine, HOST, 0x72, 0x5a, 1);
    assert_int_equal(fake_pci_read(&f->machine, HOST, 0x72, 1), 0x1a);
    fake_pci_write(&f->machine, HOST, 0x72, 0x4a, 1);
    assert_int_equal(fake_pci_read(&f->machine, HOST, 0x72, 1), 0x1a);
    fake_machine_reset(&f->machine);
    assert_int_equal(fake_pci_read(&f->machine, HOST, 0x72, 1), 0x02);
}

static void without_firmware_all_is_ram(void **state UNUSED)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *as_state = f;

    create(f, false);
    assert_true(poke(f, 0xc0000, 1));
    assert_true(poke(f, 0xfffff, 2));
    assert_int_equal(peek(f, 0xfffff), 2);
    teardown(&as_state);
}

static void shadow_survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct device *devices[] = {&f->host->base, &f->isa->base};
    struct writer w;
    struct reader r;
    unsigned i;

    writer_init(&w, KIB(4));
    fake_pci_write(&f->machine, HOST, 0x5f, 0x13, 1);
    fake_pci_write(&f->machine, ISA, 0x62, 0x0b, 1);
    for (i = 0; i < 2; i++)
        devices[i]->ops->save(devices[i], &w);
    fake_machine_reset(&f->machine);
    reader_init(&r, w.data, w.size);
    for (i = 0; i < 2; i++)
        assert_int_equal(devices[i]->ops->load(devices[i], &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_true(poke(f, 0xe8000, 1));
    assert_int_equal(peek(f, 0xec000), 0);
    assert_false(poke(f, 0xec000, 1));
    pci_set_intx(&f->plain, true);
    assert_true(f->machine.gsi_level[11]);
    writer_fini(&w);
}

/* Slot 3's INTA is link (1 - 1 + 3 - 1) & 3 = 2. */
static void routes_interrupts(void **state)
{
    struct fixture *f = *state;

    pci_set_intx(&f->plain, true);
    fake_pci_write(&f->machine, ISA, 0x62, 10, 1);
    assert_true(f->machine.gsi_level[10]);
    fake_pci_write(&f->machine, ISA, 0x62, 11, 1); /* moved while it is up */
    assert_false(f->machine.gsi_level[10]);
    assert_true(f->machine.gsi_level[11]);
    pci_set_intx(&f->plain, false);
    assert_false(f->machine.gsi_level[11]);
    pci_set_intx(&f->plain, true);
    fake_pci_write(&f->machine, ISA, 0x62, 0x8b, 1); /* disabled */
    assert_false(f->machine.gsi_level[11]);
    fake_pci_write(&f->machine, ISA, 0x62, 8, 1); /* the clock's own: not for PCI */
    assert_false(f->machine.gsi_level[8]);
    fake_pci_write(&f->machine, ISA, 0x62, 11, 1);
    fake_machine_reset(&f->machine);
    assert_false(f->machine.gsi_level[11]);
}

static void resets_by_port(void **state)
{
    struct fixture *f = *state;
    unsigned *resets = &f->machine.requests[MACHINE_RESET];

    fake_out(&f->machine, 0xcf9, 0x02, 1);
    assert_int_equal(*resets, 0);
    fake_out(&f->machine, 0xcf9, 0x06, 1);
    assert_int_equal(*resets, 1);
    fake_out(&f->machine, 0xcf9, 0x06, 1);
    assert_int_equal(*resets, 1);
    fake_out(&f->machine, 0x92, 0x02, 1);
    assert_int_equal(fake_in(&f->machine, 0x92, 1), 0x02);
    assert_int_equal(*resets, 1);
    fake_out(&f->machine, 0x92, 0x03, 1);
    assert_int_equal(*resets, 2);
    /* The configuration address is still PCI's. */
    assert_int_equal(fake_pci_read(&f->machine, HOST, 0, 4), 0x12378086);
    assert_int_equal(*resets, 2);
}

static void keeps_post_codes(void **state)
{
    struct fixture *f = *state;

    fake_out(&f->machine, 0x80, 0xa5, 1);
    fake_out(&f->machine, 0x8f, 0x5a, 1);
    assert_int_equal(fake_in(&f->machine, 0x80, 1), 0xa5);
    assert_int_equal(fake_in(&f->machine, 0x8f, 1), 0x5a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(has_its_ids),
        TEST(starts_with_rom),
        TEST(shadows_the_firmware),
        TEST(segments_are_independent),
        TEST(smram_locks),
        cmocka_unit_test(without_firmware_all_is_ram),
        TEST(shadow_survives_save_and_load),
        TEST(routes_interrupts),
        TEST(resets_by_port),
        TEST(keeps_post_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_vmm.c - guest memory, buses, PCI, ACPI tables, serial expectations, the command line. */
#include "base/error.h"
#include "base/options.h"
#include "devices/platform/piix4_pm.h"
#include "tests/lib/fake_machine.h"
#include "vmm/acpi.h"
#include "vmm/config.h"
#include "vmm/expect.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- memory --- */

static void test_memory_copies_across_blocks(void **state UNUSED)
{
    struct memory *memory = memory_create(NULL, NULL);
    struct ram a, b, rom;
    uint32_t value = 0;

    ram_init(&a, "a", 4096, 0);
    ram_init(&b, "b", 4096, 0);
    ram_init(&rom, "rom", 4096, RAM_READ_ONLY);
    assert_int_equal(memory_map_ram(memory, &b, 4096), 0);
    assert_int_equal(memory_map_ram(memory, &a, 0), 0);
    assert_int_equal(memory_map_ram(memory, &rom, 0x10000), 0);

    assert_int_equal(memory_write(memory, 4094, "\1\2\3\4", 4), 0);
    assert_int_equal(memory_read(memory, 4094, &value, 4), 0);
    assert_int_equal(value, 0x04030201);
    assert_null(memory_pointer(memory, 4094, 4)); /* not one block */
    assert_ptr_equal(memory_pointer(memory, 4096, 4096), b.host);
    assert_null(memory_pointer(memory, 4096, 4097));

    assert_int_equal(memory_write(memory, 8190, &value, 4), -EFAULT); /* runs out of RAM */
    assert_int_equal(b.host[4094], 0);                                /* and wrote nothing */
    assert_int_equal(memory_write(memory, 0x10000, &value, 4), -EFAULT);
    assert_int_equal(memory_read(memory, 0x10000, &value, 4), 0);
    assert_null(memory_pointer(memory, 0x10000, 1));
    assert_non_null(memory_const_pointer(memory, 0x10000, 1));
    assert_int_equal(memory_read(memory, UINT64_MAX - 1, &value, 4), -EFAULT);

    memory_unmap_ram(memory, &a);
    assert_int_equal(memory_read(memory, 0, &value, 4), -EFAULT);
    memory_unmap_ram(memory, &b);
    memory_unmap_ram(memory, &rom);
    ram_fini(&a);
    ram_fini(&b);
    ram_fini(&rom);
    memory_destroy(memory);
}

static void test_memory_refuses_overlap(void **state UNUSED)
{
    struct memory *memory = memory_create(NULL, NULL);
    struct ram a, b;

    ram_init(&a, "a", 8192, 0);
    ram_init(&b, "b", 8192, 0);
    assert_int_equal(memory_map_ram(memory, &a, 8192), 0);
    assert_int_equal(memory_map_ram(memory, &b, 4096), -EEXIST);
    assert_int_equal(memory_map_ram(memory, &b, 12288), -EEXIST);
    assert_int_equal(memory_map_ram(memory, &b, UINT64_MAX - 4095), -EEXIST); /* wraps */
    assert_int_equal(memory_map_ram(memory, &b, 16384), 0);
    memory_unmap_ram(memory, &a);
    memory_unmap_ram(memory, &b);
    ram_fini(&a);
    ram_fini(&b);
    memory_destroy(memory);
}

/* Where a huge page of the host starts, one of the guest does. */
static void test_memory_in_huge_pages(void **state UNUSED)
{
    static const gpa_t bases[] = {0, MIB(1), GIB(4)};
    struct ram ram;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(bases); i++) {
        assert_int_equal(ram_init_huge(&ram, "main", MIB(7), bases[i]), 0);
        assert_int_equal((uintptr_t)ram.host % MIB(2), bases[i] % MIB(2));
        ram.host[0] = ram.host[MIB(7) - 1] = 1;
        ram_fini(&ram);
    }
}

/* --- bus --- */

struct access {
    uint64_t offset, value;
    unsigned width;
};

struct recorder {
    struct access seen[8];
    unsigned count;
};

static uint64_t recorder_read(void *opaque, uint64_t offset, unsigned width)
{
    struct recorder *r = opaque;

    r->seen[r->count++] = (struct access){offset, 0, width};
    return 0x8877665544332211 >> 8 * (offset & 7);
}

static void recorder_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct recorder *r = opaque;

    r->seen[r->count++] = (struct access){offset, value, width};
}

static void test_bus_splits_and_widens(void **state UNUSED)
{
    static const struct region_ops narrow = {recorder_read, recorder_write, 1, 2};
    static const struct region_ops wide = {recorder_read, recorder_write, 4, 4};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct bus *bus = bus_create("test", 0x10000, &lock, NULL, NULL);
    struct recorder r = {0};
    struct region a = {"a", &narrow, &r, .size = 8}, b = {"b", &wide, &r, .size = 8};
    uint64_t value = 0x0807060504030201;

    bus_map(bus, &a, 0x100);
    bus_map(bus, &b, 0x200);
    bus_write(bus, 0x101, &value, 4); /* odd address: a byte, a word, a byte */
    assert_int_equal(r.count, 3);
    assert_int_equal(r.seen[0].value, 0x01);
    assert_int_equal(r.seen[1].value, 0x0302);
    assert_int_equal(r.seen[1].offset, 2);
    assert_int_equal(r.seen[2].value, 0x04);

    r.count = 0;
    value = 0;
    bus_read(bus, 0x202, &value, 2); /* out of the dword at 0 */
    assert_int_equal(value, 0x4433);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.seen[0].offset, 0);
    assert_int_equal(r.seen[0].width, 4);
    bus_write(bus, 0x202, &value, 2); /* too narrow: dropped */
    assert_int_equal(r.count, 1);

    value = 0;
    bus_read(bus, 0x107, &value, 4); /* the end of a region, then nothing */
    assert_int_equal(value, 0xffffff88);
    bus_read(bus, 0x300, &value, 8);
    assert_true(value == UINT64_MAX);
    bus_destroy(bus);
}

static void test_bus_newest_region_wins_where_an_access_starts(void **state UNUSED)
{
    static const struct region_ops ops = {recorder_read, recorder_write, 1, 4};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct bus *bus = bus_create("test", 0x10000, &lock, NULL, NULL);
    struct recorder under = {0}, over = {0};
    struct region a = {"a", &ops, &under, .size = 4}, b = {"b", &ops, &over, .size = 1};
    uint32_t value = 0x80000000;

    bus_map(bus, &a, 0xcf8);
    bus_map(bus, &b, 0xcf9);
    bus_write(bus, 0xcf8, &value, 4);
    bus_write(bus, 0xcf9, &value, 1);
    assert_int_equal(under.count, 1);
    assert_int_equal(under.seen[0].value, 0x80000000);
    assert_int_equal(over.count, 1);
    bus_unmap(bus, &b);
    bus_write(bus, 0xcf9, &value, 1);
    assert_int_equal(under.count, 2);
    bus_destroy(bus);
}

/* A queue at one address, as a disk's data port is. */
static uint64_t next_read(void *opaque, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return ++*(uint16_t *)opaque;
}

static void test_bus_strings(void **state UNUSED)
{
    static const struct region_ops port = {next_read, NULL, 1, 2}, sink = {NULL, recorder_write, 1, 2};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct bus *bus = bus_create("test", 0x10000, &lock, NULL, NULL);
    struct recorder r = {0};
    uint16_t next = 0, data[4] = {7, 8, 9, 10};
    struct region a = {"a", &port, &next, .size = 2}, b = {"b", &sink, &r, .size = 2};
    struct notifier n;

    bus_map(bus, &a, 0x1f0);
    bus_map(bus, &b, 0x2f0);
    bus_write_string(bus, 0x2f0, data, 2, 4);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.seen[3].value, 10);
    bus_read_string(bus, 0x1f0, data, 2, 4);
    assert_int_equal(data[0], 1);
    assert_int_equal(data[3], 4);
    bus_read_string(bus, 0x1f1, data, 2, 2); /* the second byte of each is nothing's */
    assert_int_equal(data[0], 0xff05);
    assert_int_equal(data[1], 0xff06);
    bus_read_string(bus, 0x3f0, data, 1, 8);
    assert_int_equal(data[3], 0xffff);

    assert_int_equal(notifier_init(&n), 0);
    bus_add_notifier(bus, 0x2f0, 2, true, 8, &n);
    data[0] = data[2] = 8;
    bus_write_string(bus, 0x2f0, data, 2, 3); /* the notifier takes two of them */
    assert_int_equal(r.count, 5);
    bus_remove_notifier(bus, 0x2f0, 2, true, 8, &n);
    notifier_fini(&n);
    bus_destroy(bus);
}

/* What KVM does with late writes, for one region. */
struct collector {
    uint64_t base, size;
    struct late_write writes[4];
    unsigned first, last;
};

static void collect(void *opaque, struct bus *bus UNUSED, uint64_t base, uint64_t size, bool on)
{
    struct collector *c = opaque;

    c->base = on ? base : 0;
    c->size = on ? size : 0;
}

static bool next_collected(void *opaque, struct late_write *write)
{
    struct collector *c = opaque;

    if (write && c->first != c->last)
        *write = c->writes[c->first];
    return c->first != c->last;
}

static void drop_collected(void *opaque)
{
    ((struct collector *)opaque)->first++;
}

static void test_bus_late_writes(void **state UNUSED)
{
    static const struct bus_backend backend = {
        .late = collect, .next_late = next_collected, .drop_late = drop_collected};
    static const struct region_ops ops = {recorder_read, recorder_write, 1, 2};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct collector c = {.writes = {{0x101, 1, {7}}, {0x102, 2, {1, 2}}}, .last = 2};
    struct bus *bus = bus_create("test", 0x10000, &lock, &backend, &c);
    struct recorder r = {0};
    struct region a = {"a", &ops, &r, .size = 8, .flags = REGION_UNLOCKED | REGION_LATE};
    struct region b = {"b", &ops, &r, .size = 8};

    bus_map(bus, &a, 0x100);
    bus_map(bus, &b, 0x200);
    assert_int_equal(c.base, 0x100);
    assert_int_equal(c.size, 8);
    pthread_mutex_lock(&lock);
    bus_try_settle(bus); /* whoever has the lock may be waiting for us */
    pthread_mutex_unlock(&lock);
    assert_int_equal(r.count, 0);
    bus_settle(bus);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.seen[0].offset, 1);
    assert_int_equal(r.seen[1].value, 0x0201);
    c.writes[2] = (struct late_write){0x300, 1, {1}}; /* nothing is there any more */
    c.writes[3] = (struct late_write){0x100, 1, {9}};
    c.last = 4;
    bus_try_settle(bus);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.seen[2].value, 9);
    bus_unmap(bus, &a);
    assert_int_equal(c.size, 0);
    bus_destroy(bus);
}

static void test_bus_notifiers(void **state UNUSED)
{
    static const struct region_ops ops = {recorder_read, recorder_write, 1, 4};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct bus *bus = bus_create("test", 0x10000, &lock, NULL, NULL);
    struct recorder r = {0};
    struct region a = {"a", &ops, &r, .size = 4};
    struct notifier n;
    uint16_t one = 1, two = 2;

    notifier_init(&n);
    bus_map(bus, &a, 0x10);
    bus_add_notifier(bus, 0x10, 2, true, 2, &n);
    bus_write(bus, 0x10, &one, 2);
    assert_int_equal(r.count, 1);
    assert_false(notifier_clear(&n));
    bus_write(bus, 0x10, &two, 2);
    assert_int_equal(r.count, 1); /* nobody else saw it */
    assert_true(notifier_clear(&n));
    bus_remove_notifier(bus, 0x10, 2, true, 2, &n);
    bus_write(bus, 0x10, &two, 2);
    assert_int_equal(r.count, 2);
    notifier_fini(&n);
    bus_destroy(bus);
}

/* --- PCI --- */

static void test_device_reset(struct device *device UNUSED)
{
}

struct test_device {
    struct pci_device pci;
    struct recorder recorder;
    struct region io;
    struct ram ram;
};

static const struct device_ops test_ops = {.name = "test", .reset = test_device_reset};
static const struct region_ops test_io_ops = {recorder_read, recorder_write, 1, 4};

static uint32_t config(struct fake_machine *m, unsigned devfn, unsigned offset)
{
    fake_out(m, 0xcf8, 0x80000000u | devfn << 8 | offset, 4);
    return fake_in(m, 0xcfc, 4);
}

static void set_config(struct fake_machine *m, unsigned devfn, unsigned offset, uint32_t value)
{
    fake_out(m, 0xcf8, 0x80000000u | devfn << 8 | offset, 4);
    fake_out(m, 0xcfc, value, 4);
}

static void add_test_device(struct fake_machine *m, struct test_device *d)
{
    static const struct pci_ids ids = {0x1234, 0x5678, 0x1af4, 0x1100, 0x00ff00, 1, 1};

    memset(d, 0, sizeof(*d));
    assert_int_equal(pci_init(&d->pci, &test_ops, &m->base, PCI_DEVFN(5, 0), &ids), 0);
    d->io = (struct region){"test io", &test_io_ops, &d->recorder, .size = 32};
    pci_add_bar(&d->pci, 0, PCI_BAR_IO, &d->io);
    ram_init(&d->ram, "test ram", 65536, 0);
    pci_add_ram_bar(&d->pci, 1, PCI_BAR_MEM64_PREFETCH, &d->ram);
    assert_int_equal(pci_add_msix(&d->pci, 4, 2), 0);
}

static void remove_test_device(struct fake_machine *m, struct test_device *d)
{
    TAILQ_REMOVE(&m->base.devices, &d->pci.base, link);
    pci_fini(&d->pci);
    ram_fini(&d->ram);
}

static void test_pci_bars_size_and_move(void **state UNUSED)
{
    const unsigned fn = PCI_DEVFN(5, 0);
    struct fake_machine m;
    struct test_device d;

    fake_machine_init(&m, MIB(1), false);
    add_test_device(&m, &d);
    assert_int_equal(config(&m, fn, 0), 0x56781234);
    assert_int_equal(config(&m, PCI_DEVFN(6, 0), 0), 0xffffffff);
    set_config(&m, fn, PCI_BASE_ADDRESS_0, 0xffffffff);
    assert_int_equal(config(&m, fn, PCI_BASE_ADDRESS_0), 0xffffffe1);
    set_config(&m, fn, PCI_BASE_ADDRESS_1, 0xffffffff);
    assert_int_equal(config(&m, fn, PCI_BASE_ADDRESS_1), 0xffff000c);

    set_config(&m, fn, PCI_BASE_ADDRESS_0, 0xc000);
    set_config(&m, fn, PCI_BASE_ADDRESS_1, 0x80000000);
    set_config(&m, fn, PCI_BASE_ADDRESS_2, 0);
    assert_null(memory_pointer(m.base.memory, 0x80000000, 1)); /* decoding is off */
    set_config(&m, fn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    assert_ptr_equal(memory_pointer(m.base.memory, 0x80000000, 65536), d.ram.host);
    fake_out(&m, 0xc004, 7, 1);
    assert_int_equal(d.recorder.count, 1);
    assert_int_equal(d.recorder.seen[0].offset, 4);

    set_config(&m, fn, PCI_BASE_ADDRESS_1, 0x90000000);
    assert_null(memory_pointer(m.base.memory, 0x80000000, 1));
    assert_ptr_equal(memory_pointer(m.base.memory, 0x90000000, 1), d.ram.host);
    set_config(&m, fn, PCI_BASE_ADDRESS_1, 0); /* onto RAM: refused, and nothing else is harmed */
    set_config(&m, fn, PCI_BASE_ADDRESS_2, 0);
    assert_ptr_equal(memory_pointer(m.base.memory, 0, 1), m.ram.host);
    remove_test_device(&m, &d);
    fake_machine_fini(&m);
}

/* A ROM that was made for a relative of the device: firmware finds this one's ids in it, and a right sum. */
static void test_pci_rom(void **state UNUSED)
{
    static const uint8_t start[] = {0x55, 0xaa, 1, [0x18] = 0x40, [0x40] = 'P', 'C', 'I', 'R', 0xf4, 0x1a, 0x41, 0x10};
    char path[] = "/tmp/minivm-rom-XXXXXX";
    uint8_t rom[512] = {0}, sum = 0;
    struct fake_machine m;
    struct test_device d;
    int fd = mkstemp(path), i;

    memcpy(rom, start, sizeof(start));
    for (i = 0; i < 511; i++)
        rom[511] -= rom[i];
    assert_int_equal(write(fd, rom, sizeof(rom)), sizeof(rom));
    close(fd);
    assert_int_equal(fake_machine_init(&m, MIB(1), false), 0);
    add_test_device(&m, &d);
    assert_int_equal(pci_add_rom(&d.pci, path), 0);
    unlink(path);
    assert_int_equal(load_le32(d.pci.rom->host + 0x44), 0x56781234);
    for (i = 0; i < 512; i++)
        sum += d.pci.rom->host[i];
    assert_int_equal(sum, 0);
    remove_test_device(&m, &d);
    fake_machine_fini(&m);
}

static void test_pci_intx_is_counted(void **state UNUSED)
{
    const unsigned fn = PCI_DEVFN(5, 0), link = (5 - 1) & 3;
    struct fake_machine m;
    struct test_device d;

    fake_machine_init(&m, MIB(1), false);
    add_test_device(&m, &d);
    pci_set_intx(&d.pci, true);
    pci_set_intx(&d.pci, true);
    assert_true(m.link_level[link]);
    assert_true(config(&m, fn, PCI_COMMAND) & (uint32_t)PCI_STATUS_INTERRUPT << 16);
    set_config(&m, fn, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
    assert_false(m.link_level[link]);
    set_config(&m, fn, PCI_COMMAND, 0);
    assert_true(m.link_level[link]);
    pci_set_intx(&d.pci, false);
    assert_false(m.link_level[link]);
    remove_test_device(&m, &d);
    fake_machine_fini(&m);
}

static void check_msix(bool irqfd)
{
    const unsigned fn = PCI_DEVFN(5, 0);
    struct fake_machine m;
    struct test_device d;
    struct fake_msi msi;
    uint64_t table = 0xa0000000;

    fake_machine_init(&m, MIB(1), irqfd);
    add_test_device(&m, &d);
    set_config(&m, fn, PCI_BASE_ADDRESS_4, (uint32_t)table);
    set_config(&m, fn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_msix_notify(&d.pci, 1); /* off: lost */
    set_config(&m, fn, d.pci.msix_cap, config(&m, fn, d.pci.msix_cap) | (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
    fake_mmio_write(&m, table + 16, 0xfee00000, 4);
    fake_mmio_write(&m, table + 24, 0x41, 4);
    pci_msix_notify(&d.pci, 1); /* masked: pending */
    assert_false(fake_machine_take_msi(&m, &msi));
    assert_int_equal(fake_mmio_read(&m, table + 4096, 4), 2);
    fake_mmio_write(&m, table + 28, 0, 4); /* unmasked */
    fake_machine_run(&m, 0);
    assert_true(fake_machine_take_msi(&m, &msi));
    assert_int_equal(msi.addr, 0xfee00000);
    assert_int_equal(msi.data, 0x41);
    assert_int_equal(fake_mmio_read(&m, table + 4096, 4), 0);
    remove_test_device(&m, &d);
    fake_machine_fini(&m);
}

static void test_pci_msix(void **state UNUSED)
{
    check_msix(false);
    check_msix(true);
}

/* --- ACPI --- */

static uint8_t sum(const uint8_t *data, size_t size)
{
    uint8_t total = 0;

    while (size--)
        total = (uint8_t)(total + *data++);
    return total;
}

static void test_acpi_tables_add_up(void **state UNUSED)
{
    static const struct acpi_config machine = {.cpus = 3, .pci_start = 0x80000000, .pm_base = 0x600};
    struct fake_machine m;
    struct acpi_tables acpi;
    const uint8_t *rsdp, *xsdt, *table;
    unsigned i, count, seen = 0;

    fake_machine_init(&m, MIB(2), false);
    assert_int_equal(acpi_build(&acpi, &machine), 0);
    assert_int_equal(acpi_install(&acpi, m.base.memory, 0xf0000, MIB(1)), 0);
    acpi_free(&acpi);
    rsdp = m.ram.host + 0xf0000;
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    xsdt = m.ram.host + load_le64(rsdp + 24);
    assert_memory_equal(xsdt, "XSDT", 4);
    count = (load_le32(xsdt + 4) - 36) / 8;
    for (i = 0; i < count; i++) {
        table = m.ram.host + load_le64(xsdt + 36 + 8 * i);
        assert_int_equal(sum(table, load_le32(table + 4)), 0);
        if (memcmp(table, "FACP", 4) == 0) {
            const uint8_t *dsdt = m.ram.host + load_le32(table + 40);

            assert_int_equal(load_le32(table + 56), 0x600);
            assert_memory_equal(m.ram.host + load_le32(table + 36), "FACS", 4);
            assert_memory_equal(dsdt, "DSDT", 4);
            assert_int_equal(sum(dsdt, load_le32(dsdt + 4)), 0);
            assert_non_null(memmem(dsdt, load_le32(dsdt + 4), "PCIS\x0c\0\0\0\x80", 9));
            seen |= 1;
        }
        if (memcmp(table, "APIC", 4) == 0) {
            assert_int_equal(table[44 + 2 * 8], 0); /* the third CPU */
            assert_int_equal(table[44 + 3 * 8], 1); /* then the IOAPIC */
            seen |= 2;
        }
    }
    assert_int_equal(seen, 3);
    fake_machine_fini(&m);
}

/* --- expectations --- */

static bool feed(struct expect *e, const char *text)
{
    return expect_feed(e, (const uint8_t *)text, strlen(text));
}

static void test_expect(void **state UNUSED)
{
    struct expect *e = malloc(sizeof(*e));
    unsigned i;

    assert_int_equal(expect_init(e, "^login: $|^X is up"), 0);
    assert_false(feed(e, "booting\r\nlog"));
    assert_true(feed(e, "in: ")); /* a prompt has no line end */
    assert_true(feed(e, "\r\n")); /* it is still the line that matched */
    assert_false(feed(e, "not X is up\n"));
    assert_true(feed(e, "\x1b[1;32mX is\x1b[0m up\r\n"));
    assert_string_equal(e->last, "X is up");
    for (i = 0; i < 3 * EXPECT_LINE; i++)
        assert_false(feed(e, "y"));
    assert_true(feed(e, "\nX is up"));
    expect_fini(e);
    assert_int_equal(expect_init(e, "("), -EINVAL);
    free(e);
}

/* --- the command line --- */

static int run_line(struct vm_config *c, char *line)
{
    char *argv[16] = {"run"};
    int argc = 1;

    for (line = strtok(line, " "); line; line = strtok(NULL, " "))
        argv[argc++] = line;
    config_init(c);
    return config_parse(c, argc, argv);
}

static void test_config(void **state UNUSED)
{
    static struct vm_config c;
    char line[] = "a/b.qcow2 --disk c.img,format=raw,readonly --memory 512M --cpus 4 --spice 5902 --qxl ram=128M --qxl vram64=256M,revision=4";

    assert_int_equal(run_line(&c, line), 0);
    assert_string_equal(c.name, "b.qcow2");
    assert_int_equal(c.disk_count, 2);
    assert_true(c.disks[1].read_only);
    assert_int_equal(c.memory, MIB(512));
    assert_int_equal(c.qxl_count, 2);
    assert_int_equal(c.qxl[0].ram, MIB(128));
    assert_int_equal(c.qxl[1].vram64, MIB(256));
    assert_int_equal(c.qxl[1].revision, 4);
    assert_int_equal(c.on_reboot, ACTION_RESTART);
    config_fini(&c);
}

static void test_config_drives(void **state UNUSED)
{
    static struct vm_config c;
    char line[] = "--disk a,bus=ide,serial=X-1 b --cdrom dir/c.iso --cdrom none --boot network,cdrom --relayed";
    char plain[] = "--cdrom dir/c.iso";

    assert_int_equal(run_line(&c, line), 0);
    assert_int_equal(c.drives[0].bus, BUS_IDE);
    assert_string_equal(c.drives[0].serial, "X-1");
    assert_int_equal(c.drives[1].bus, BUS_VIRTIO);
    assert_null(c.drives[1].serial);
    assert_int_equal(c.cdrom_count, 2);
    assert_string_equal(c.cdroms[0].path, "dir/c.iso");
    assert_true(c.cdroms[0].read_only && c.cdroms[0].no_lock);
    assert_null(c.cdroms[1].path);
    assert_int_equal(c.boot_count, 2);
    assert_int_equal(c.boot[0], BOOT_NETWORK);
    assert_int_equal(c.boot[1], BOOT_CDROM);
    assert_false(config_boots_from(&c, BOOT_DISK));
    config_fini(&c);
    assert_int_equal(run_line(&c, plain), 0);
    assert_string_equal(c.name, "c.iso");
    assert_int_equal(c.boot[0], BOOT_DISK);
    assert_int_equal(c.boot[1], BOOT_CDROM);
    config_fini(&c);
}

static void test_config_disk_errors(void **state UNUSED)
{
    static struct vm_config c;
    char line[] = "a --disk b,werror=stop,rerror=stop --disk c,werror=report,rerror=report --disk d,werror=enospc,cache=unsafe";

    assert_int_equal(run_line(&c, line), 0);
    assert_int_equal(c.disks[0].on_write_error, DISK_ON_ERROR_ENOSPC);
    assert_int_equal(c.disks[1].on_write_error, DISK_ON_ERROR_STOP);
    assert_int_equal(c.disks[1].on_read_error, DISK_ON_ERROR_STOP);
    assert_int_equal(c.disks[2].on_write_error, DISK_ON_ERROR_REPORT);
    assert_int_equal(c.disks[2].on_read_error, DISK_ON_ERROR_REPORT);
    assert_int_equal(c.disks[3].on_write_error, DISK_ON_ERROR_ENOSPC);
    assert_int_equal(c.disks[3].cache, DISK_CACHE_UNSAFE);
    config_fini(&c);
}

/* Where strangers can come there is a password, unless that was waived, or they are known by another way. */
static void test_config_password(void **state UNUSED)
{
    static const struct {
        const char *line;
        bool made;
    } cases[] = {
        {"a --spice 1", false},
        {"a --spice 1 --spice-listen 127.0.0.2", false},
        {"a --spice 1 --spice-listen ::1", false},
        {"a --spice 1 --spice-listen 0.0.0.0", true},
        {"a --spice 1 --spice-listen ::", true},
        {"a --web 1 --spice-listen 192.0.2.1", true},
        {"a --spice 1 --spice-listen 0.0.0.0 --spice-password-file p", false},
        {"a --spice 1 --spice-listen 0.0.0.0 --spice-option disable-ticketing=on", false},
        {"a --relayed --spice 1 --spice-listen 0.0.0.0 --spice-option made-password=x", true},
    };
    static struct vm_config c;
    char line[128];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        strcpy(line, cases[i].line);
        assert_int_equal(run_line(&c, line), 0);
        assert_int_equal(*c.made_password != 0, cases[i].made);
        config_fini(&c);
    }
}

static void test_config_refusals(void **state UNUSED)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"", "nothing to boot"},
        {"a --memory 63M", "out of range"},
        {"a --cpus 17", "from 1 to 16"},
        {"a --spice 65536", "from 0 to 65535"},
        {"a --vidio qxl", "did you mean --video"},
        {"a --video cirrus", "qxl, vga, none"},
        {"a --initrd b", "needs --kernel"},
        {"a --screenshot x.png --video none", "needs a display"},
        {"a --expect ( ", "regular expression"},
        {"a --spice 1 --spice-password-file p --spice-option disable-ticketing=on", "drop it"},
        {"a --spice 1 --spice-option x509-dir=d", "need --spice-tls"},
        {"a --spice 1 --spice-option plaintext-channel=moon", "no SPICE channel 'moon'"},
        {"a --spice 1 --spice-option sasl=on", "needs --spice-tls"},
        {"a --spice 1 --spice-option view-password-file=f", "--spice-password-file"},
        {"a --spice 1 --spice-option made-password=x", "unknown option"},
        {"a --spice-listen ::1", "SPICE is not on"},
        {"a --port x=spice", "SPICE is not on"},
        {"a --spice 1 --port x=tcp:1", "NAME=spice"},
        {"a --spice 1 --agent maybe", "on, off"},
        {"a --spice 1 --spice-option disable-copy-paste=maybe", "neither on nor off"},
        {"a --disk b,colour=red", "unknown part 'colour'"},
        {"a --disk b,werror=ignore", "enospc, report, stop"},
        {"a --disk b,rerror=enospc", "report, stop"},
        {"a --qxl ram=3M", "power of two"},
        {"a --qxl vgamem=512M", "8M to 256M"},
        {"a --qxl ram=32M,vgamem=32M", "twice vgamem=32M"},
        {"a --qxl vram64=32M", "must not be smaller"},
        {"a --qxl revision=1", "from 2 to 5"},
        {"a --qxl ram=64M --qxl ram=64M --qxl ram=64M --qxl ram=64M --qxl ram=64M", "more than 4"},
        {"a --qxl ram=64M --video vga", "drop --video"},
        {"a --heads 5", "from 1 to 4"},
        {"a --heads 2 --video none", "drop --video"},
        {"a --heads 2 --qxl ram=64M --qxl ram=64M", "has one monitor"},
        {"a --forward tcp::1-:2 --net none", "needs --net user"},
        {"a --uuid 1234", "not a UUID"},
        {"a --rtc gmt", "utc, localtime"},
        {"a --watchdog bark", "reset, poweroff, destroy, pause, none"},
        {"a --watchdog destroy --on-crash restart", "--on-crash"},
        {"a --uefi-vars b", "needs --firmware"},
        {"--kernel a --firmware uefi", "without firmware"},
        {"a --boot cdrom", "--cdrom"},
        {"a --boot floppy", "disk, cdrom, network"},
        {"a --boot disk,disk", "twice"},
        {"a --boot disk=1", "takes no value"},
        {"--boot network --net none", "--net none"},
        {"--kernel k --boot network", "without it"},
        {"--disk a,bus=scsi", "virtio, ide"},
        {"--disk a,serial=123456789012345678901", "1 to 20"},
        {"--disk a,serial=", "1 to 20"},
        {"--disk a,bus=ide,readonly", "cannot be read-only"},
        {"--cdrom a --cdrom b --cdrom c", "2 CD-ROM drives"},
        {"--disk a,bus=ide --disk b,bus=ide --disk c,bus=ide --cdrom d --cdrom e", "4 IDE"},
    };
    static struct vm_config c;
    char line[128];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        strcpy(line, bad[i].line);
        assert_int_equal(run_line(&c, line), -EINVAL);
        if (!strstr(fail_text(), bad[i].says))
            fail_msg("'%s' says: %s", bad[i].line, fail_text());
        config_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_copies_across_blocks),
        cmocka_unit_test(test_memory_refuses_overlap),
        cmocka_unit_test(test_memory_in_huge_pages),
        cmocka_unit_test(test_bus_splits_and_widens),
        cmocka_unit_test(test_bus_newest_region_wins_where_an_access_starts),
        cmocka_unit_test(test_bus_strings),
        cmocka_unit_test(test_bus_late_writes),
        cmocka_unit_test(test_bus_notifiers),
        cmocka_unit_test(test_pci_bars_size_and_move),
        cmocka_unit_test(test_pci_rom),
        cmocka_unit_test(test_pci_intx_is_counted),
        cmocka_unit_test(test_pci_msix),
        cmocka_unit_test(test_acpi_tables_add_up),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_config_drives),
        cmocka_unit_test(test_config_disk_errors),
        cmocka_unit_test(test_config_password),
        cmocka_unit_test(test_config_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

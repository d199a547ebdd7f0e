/* test_smbios.c - SMBIOS structures as a kernel walks them, and UUIDs. */
#include "base/error.h"
#include "tests/lib/fake_machine.h"
#include "vmm/smbios.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ANCHOR 0xf0100
#define TABLES 0xf0200

static uint8_t sum(const uint8_t *data, size_t size)
{
    uint8_t total = 0;

    while (size--)
        total = (uint8_t)(total + *data++);
    return total;
}

/* Past the strings, two zeros. */
static const uint8_t *next_structure(const uint8_t *p)
{
    p += p[1];
    while (p[0] || p[1])
        p++;
    return p + 2;
}

/* The nth structure of the type; *count: of all in the table, up to and with the end's. */
static const uint8_t *find(const uint8_t *tables, size_t size, unsigned type, unsigned n, unsigned *count)
{
    const uint8_t *p = tables, *found = NULL;

    for (*count = 0; p < tables + size; p = next_structure(p)) {
        (*count)++;
        if (p[0] == type && n-- == 0)
            found = p;
        assert_true(p[0] != 127 || next_structure(p) == tables + size);
    }
    assert_ptr_equal(p, tables + size);
    return found;
}

static const char *string(const uint8_t *structure, unsigned n)
{
    const char *s = (const char *)structure + structure[1];

    while (--n)
        s += strlen(s) + 1;
    return s;
}

static struct smbios_config machine(uint64_t low, uint64_t high)
{
    struct smbios_config c = {.cpus = 6, .memory_low = low, .memory_high = high, .bios = true};

    assert_int_equal(uuid_parse(c.uuid, "00112233-4455-6677-8899-AABBCCDDEEFF"), 0);
    return c;
}

static void test_direct_boot_finds_it(void **state UNUSED)
{
    static const uint8_t stored[] = {0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
                                     0xee, 0xff};
    struct smbios_config config = machine(GIB(3), GIB(5));
    const uint8_t *anchor, *tables, *t;
    struct fake_machine m;
    struct smbios s;
    unsigned count;
    size_t size;

    fake_machine_init(&m, MIB(1), false);
    assert_int_equal(smbios_build(&s, &config), 0);
    assert_int_equal(smbios_install(&s, m.base.memory, ANCHOR, TABLES), 0);
    smbios_free(&s);
    anchor = m.ram.host + ANCHOR;
    assert_memory_equal(anchor, "_SM_", 4);
    assert_memory_equal(anchor + 16, "_DMI_", 5);
    assert_int_equal(sum(anchor, anchor[5]), 0);
    assert_int_equal(sum(anchor + 16, 15), 0);
    assert_int_equal(load_le32(anchor + 24), TABLES);
    tables = m.ram.host + TABLES;
    size = load_le16(anchor + 22);

    t = find(tables, size, 1, 0, &count);
    assert_int_equal(count, load_le16(anchor + 28));
    assert_memory_equal(t + 8, stored, 16);
    assert_string_equal(string(t, t[4]), "minivm");
    t = find(tables, size, 4, 0, &count);
    assert_int_equal(t[0x23], 6); /* cores */
    assert_null(find(tables, size, 4, 1, &count));
    assert_int_equal(load_le32(find(tables, size, 16, 0, &count) + 7), 8 << 20);
    assert_int_equal(load_le16(find(tables, size, 17, 0, &count) + 12), 8 << 10);
    t = find(tables, size, 19, 1, &count);
    assert_int_equal(load_le32(t + 4), 4 << 20);
    assert_int_equal(load_le32(t + 8), (9 << 20) - 1);
    assert_non_null(find(tables, size, 0, 0, &count));
    fake_machine_fini(&m);
}

static void test_much_memory_and_firmware_of_its_own(void **state UNUSED)
{
    struct smbios_config config = machine(GIB(3), GIB(1021));
    const uint8_t *t;
    struct smbios s;
    unsigned count;

    config.bios = false;
    assert_int_equal(smbios_build(&s, &config), 0);
    assert_null(find(s.tables.data, s.tables.size, 0, 0, &count));
    t = find(s.tables.data, s.tables.size, 17, 0, &count);
    assert_int_equal(load_le16(t + 12), 0x7fff);
    assert_int_equal(load_le32(t + 0x1c), 1 << 20); /* MiB */
    t = find(s.tables.data, s.tables.size, 19, 0, &count);
    assert_int_equal(load_le32(t + 8), (3 << 20) - 1);
    assert_int_equal(load_le32(s.anchor + 24), 0); /* firmware's to fill in */
    assert_int_equal(sum(s.anchor, sizeof(s.anchor)), 0);
    smbios_free(&s);
}

static void test_uuid(void **state UNUSED)
{
    static const char *const bad[] = {"", "00112233-4455-6677-8899-AABBCCDDEEF", "0011223344556677-8899-AABBCCDDEEFF00",
                                      "00112233-4455-6677-8899-AABBCCDDEEFG", "00000000-0000-0000-0000-000000000000"};
    uint8_t a[UUID_SIZE], b[UUID_SIZE];
    char text[UUID_TEXT_SIZE];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(uuid_parse(a, bad[i]), -EINVAL);
    assert_int_equal(uuid_parse(a, "00112233-4455-6677-8899-AABBCCDDEEFF"), 0);
    uuid_format(a, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_int_equal(uuid_from_name(a, "one"), 0);
    assert_int_equal(uuid_from_name(b, "one"), 0);
    assert_memory_equal(a, b, UUID_SIZE);
    assert_int_equal(uuid_from_name(b, "two"), 0);
    assert_memory_not_equal(a, b, UUID_SIZE);
    assert_int_equal(a[6] >> 4, 5);
    assert_int_equal(a[8] >> 6, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct_boot_finds_it),
        cmocka_unit_test(test_much_memory_and_firmware_of_its_own),
        cmocka_unit_test(test_uuid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

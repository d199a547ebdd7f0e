/* test_fw_cfg.c - fw_cfg read by port and by DMA as SeaBIOS and Linux do, and asked for what it must refuse. */
#include "devices/platform/fw_cfg.h"
#include "tests/lib/fake_machine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define RAM     KIB(640)
#define COMMAND 0x1000 /* where the driver keeps its DMA command */
#define BUFFER  0x2000

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct fixture {
    struct fake_machine machine;
    struct fw_cfg *fw;
    unsigned builds;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_int_equal(fake_machine_init(&f->machine, RAM, false), 0);
    f->fw = fw_cfg_create(&f->machine.base);
    assert_non_null(f->fw);
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

/* --- a driver --- */

static void port_read(struct fixture *f, uint16_t key, void *data, size_t size)
{
    uint8_t *p = data;

    fake_out(&f->machine, 0x510, key, 2);
    while (size--)
        *p++ = (uint8_t)fake_in(&f->machine, 0x511, 1);
}

/* Runs a command; returns the control word that the device left. */
static uint32_t dma(struct fixture *f, uint32_t control, uint64_t address, uint32_t length)
{
    uint8_t *command = f->machine.ram.host + COMMAND;

    store_be32(command, control);
    store_be32(command + 4, length);
    store_be64(command + 8, address);
    fake_out(&f->machine, 0x514, 0, 4);
    fake_out(&f->machine, 0x518, __builtin_bswap32(COMMAND), 4);
    return load_be32(command);
}

/* A file's key, or 0, by the directory as the guest reads it. */
static uint16_t find_file(struct fixture *f, const char *name, uint32_t *size)
{
    uint8_t entry[64];
    uint32_t count;

    port_read(f, FW_CFG_FILE_DIR, &count, 4);
    for (count = load_be32(&count); count; count--) {
        unsigned i;

        for (i = 0; i < sizeof(entry); i++)
            entry[i] = (uint8_t)fake_in(&f->machine, 0x511, 1);
        *size = load_be32(entry);
        if (strcmp((char *)entry + 8, name) == 0)
            return load_be16(entry + 4);
    }
    return 0;
}

/* --- tests --- */

static void shows_its_signature(void **state)
{
    struct fixture *f = *state;
    uint8_t data[6];

    port_read(f, FW_CFG_SIGNATURE, data, 6);
    assert_memory_equal(data, "QEMU\0\0", 6);
    port_read(f, FW_CFG_ID, data, 4);
    assert_int_equal(load_le32(data), 3);
    assert_int_equal(fake_in(&f->machine, 0x514, 4), __builtin_bswap32(0x51454d55));
    assert_int_equal(fake_in(&f->machine, 0x518, 4), __builtin_bswap32(0x20434647));
    assert_int_equal(fake_in(&f->machine, 0x514, 1), 'Q');
}

static void reads_items_by_key(void **state)
{
    struct fixture *f = *state;
    uint8_t data[2];

    assert_int_equal(fw_cfg_add_u16(f->fw, FW_CFG_NB_CPUS, 0x1234), 0);
    port_read(f, FW_CFG_NB_CPUS, data, 2);
    assert_int_equal(load_le16(data), 0x1234);
    port_read(f, FW_CFG_UUID, data, 2); /* absent: zeros */
    assert_int_equal(load_le16(data), 0);
    port_read(f, 0xfff0, data, 2);
    assert_int_equal(load_le16(data), 0);
}

static void lists_files(void **state)
{
    struct fixture *f = *state;
    uint8_t data[8];
    uint32_t size;
    uint16_t key;

    assert_int_equal(fw_cfg_add_file(f->fw, "etc/one", "12345", 5), 0);
    assert_int_equal(fw_cfg_add_file(f->fw, "bootorder", "abc", 3), 0);
    assert_int_equal(fw_cfg_add_file(f->fw, "etc/one", "654321", 6), 0); /* replaced */
    key = find_file(f, "etc/one", &size);
    assert_in_range(key, FW_CFG_FILE_FIRST, 0x3fff);
    assert_int_equal(size, 6);
    port_read(f, key, data, 8);
    assert_memory_equal(data, "654321\0\0", 8);
    assert_int_equal(find_file(f, "etc/none", &size), 0);
}

static void reads_by_dma(void **state)
{
    struct fixture *f = *state;
    uint8_t *buffer = f->machine.ram.host + BUFFER;

    memset(buffer, 0xee, 16);
    assert_int_equal(fw_cfg_add(f->fw, FW_CFG_UUID, "0123456789", 10), 0);
    assert_int_equal(dma(f, FW_CFG_UUID << 16 | DMA_SELECT | DMA_SKIP, 0, 3), 0);
    assert_int_equal(dma(f, DMA_READ, BUFFER, 4), 0);
    assert_memory_equal(buffer, "3456\xee", 5);
    /* Past the end come zeros, and the offset stays at the end. */
    assert_int_equal(dma(f, DMA_READ, BUFFER, 6), 0);
    assert_memory_equal(buffer, "789\0\0\0\xee", 7);
    assert_int_equal(dma(f, DMA_SKIP, 0, UINT32_MAX), 0);
    assert_int_equal(dma(f, DMA_READ, BUFFER, 1), 0);
    assert_int_equal(buffer[0], 0);
}

static void refuses_hostile_dma(void **state)
{
    struct fixture *f = *state;
    const uint32_t read = FW_CFG_UUID << 16 | DMA_SELECT | DMA_READ;

    assert_int_equal(fw_cfg_add(f->fw, FW_CFG_UUID, "0123456789", 10), 0);
    assert_int_equal(dma(f, read, RAM - 5, 10), DMA_ERROR);
    assert_int_equal(dma(f, read, UINT64_MAX - 4, 10), DMA_ERROR);
    assert_int_equal(dma(f, read, 0xfee00000, 10), DMA_ERROR);
    assert_int_equal(dma(f, read, BUFFER, UINT32_MAX), DMA_ERROR);
    assert_int_equal(dma(f, FW_CFG_UUID << 16 | DMA_SELECT | DMA_WRITE, BUFFER, 4), DMA_ERROR);
    assert_int_equal(dma(f, 0xffff0000u | DMA_SELECT | DMA_WRITE, BUFFER, 0), DMA_ERROR);
    /* A command outside RAM is dropped. */
    fake_out(&f->machine, 0x514, 0xffffffff, 4);
    fake_out(&f->machine, 0x518, 0xffffffff, 4);
    fake_out(&f->machine, 0x518, 0x01, 1);
    assert_int_equal(dma(f, read, BUFFER, 10), 0);
}

static void guest_writes_only_where_allowed(void **state)
{
    struct fixture *f = *state;
    uint8_t *buffer = f->machine.ram.host + BUFFER;
    const uint8_t *data;
    size_t size;
    uint32_t file_size;
    uint32_t write;

    assert_int_equal(fw_cfg_add_writable_file(f->fw, "etc/vmgenid_addr", 8), 0);
    write = (uint32_t)find_file(f, "etc/vmgenid_addr", &file_size) << 16 | DMA_SELECT | DMA_WRITE;
    memcpy(buffer, "abcdefghi", 9);
    assert_int_equal(dma(f, write, BUFFER, 9), DMA_ERROR);
    assert_int_equal(dma(f, write, BUFFER, 8), 0);
    data = fw_cfg_file_data(f->fw, "etc/vmgenid_addr", &size);
    assert_int_equal(size, 8);
    assert_memory_equal(data, "abcdefgh", 8);
    assert_int_equal(dma(f, DMA_WRITE, BUFFER, 1), DMA_ERROR); /* at the end */
}

static void build(void *opaque, uint8_t *data, size_t size)
{
    struct fixture *f = opaque;

    assert_int_equal(size, 4);
    assert_int_equal(load_le32(data), 0);
    store_le32(data, ++f->builds);
}

static void builds_once_for_each_reset(void **state)
{
    struct fixture *f = *state;
    uint32_t size;
    uint8_t data[4];
    uint16_t key;

    assert_int_equal(fw_cfg_add_built_file(f->fw, "etc/acpi/tables", 4, build, f), 0);
    key = find_file(f, "etc/acpi/tables", &size);
    assert_int_equal(size, 4);
    assert_int_equal(f->builds, 0);
    port_read(f, key, data, 4);
    port_read(f, key, data, 4);
    assert_int_equal(load_le32(data), 1);
    fake_machine_reset(&f->machine);
    assert_int_equal(f->builds, 1);
    port_read(f, key, data, 4);
    assert_int_equal(load_le32(data), 2);
}

static void limits_what_can_be_added(void **state)
{
    struct fixture *f = *state;
    char name[FW_CFG_NAME_SIZE + 1];
    unsigned i;

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0), -EINVAL);
    name[sizeof(name) - 2] = 0;
    assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0), 0);
    assert_int_equal(fw_cfg_add(f->fw, 0x4000, "", 0), -EINVAL);
    for (i = 1; i < FW_CFG_MAX_FILES; i++) {
        snprintf(name, sizeof(name), "file %u", i);
        assert_int_equal(fw_cfg_add_file(f->fw, name, &i, sizeof(i)), 0);
    }
    assert_int_equal(fw_cfg_add_file(f->fw, "one more", "", 0), -ENOSPC);
}

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct device *device = TAILQ_FIRST(&f->machine.base.devices);
    struct writer w;
    struct reader r;
    uint32_t size;
    uint8_t data[4];
    size_t i;

    writer_init(&w, KIB(64));
    assert_int_equal(fw_cfg_add_built_file(f->fw, "etc/x", 4, build, f), 0);
    port_read(f, find_file(f, "etc/x", &size), data, 2);
    device->ops->save(device, &w);
    fake_machine_reset(&f->machine);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    /* The rest of what was being read, not built again. */
    assert_int_equal(fake_in(&f->machine, 0x511, 1), 0);
    assert_int_equal(f->builds, 1);
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
        TEST(shows_its_signature),
        TEST(reads_items_by_key),
        TEST(lists_files),
        TEST(reads_by_dma),
        TEST(refuses_hostile_dma),
        TEST(guest_writes_only_where_allowed),
        TEST(builds_once_for_each_reset),
        TEST(limits_what_can_be_added),
        TEST(survives_save_and_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_pflash.c - the flash chip driven as OVMF's QemuFlashFvbServicesRuntimeDxe does. */
#include "devices/platform/pflash.h"
#include "tests/lib/fake_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define BASE 0xffc00000u
#define SIZE 0x84000 /* OVMF_VARS_4M.fd */

struct fixture {
    struct fake_machine machine;
    struct ram ram;
    struct device *flash;
    int fd;
};

static void make(struct fixture *f)
{
    struct pflash_config config = {.ram = &f->ram, .base = BASE, .fd = f->fd, .path = "test.vars"};

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    assert_int_equal(ram_init(&f->ram, "variables", SIZE, RAM_READ_ONLY), 0);
    assert_int_equal(pread(f->fd, f->ram.host, SIZE, 0), SIZE);
    f->flash = pflash_create(&f->machine.base, &config);
    assert_non_null(f->flash);
    fake_machine_reset(&f->machine);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint8_t *content = malloc(SIZE);

    memset(content, 0xff, SIZE);
    memcpy(content, "header", 6);
    f->fd = memfd_create("vars", 0);
    assert_int_equal(write(f->fd, content, SIZE), SIZE);
    free(content);
    make(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->machine);
    ram_fini(&f->ram);
    close(f->fd);
    free(f);
    return 0;
}

static void put(struct fixture *f, unsigned offset, uint8_t value)
{
    fake_mmio_write(&f->machine, BASE + offset, value, 1);
}

static uint8_t get(struct fixture *f, unsigned offset)
{
    return (uint8_t)fake_mmio_read(&f->machine, BASE + offset, 1);
}

/* As memory; 256 where it is none. */
static unsigned array(struct fixture *f, unsigned offset)
{
    uint8_t byte;

    return memory_read(f->machine.base.memory, BASE + offset, &byte, 1) ? 256u : byte;
}

static uint8_t in_file(struct fixture *f, unsigned offset)
{
    uint8_t byte = 0;

    assert_int_equal(pread(f->fd, &byte, 1, offset), 1);
    return byte;
}

static void write_bytes(struct fixture *f, unsigned offset, const char *bytes)
{
    for (; *bytes; bytes++, offset++) {
        put(f, offset, 0x10);
        put(f, offset, (uint8_t)*bytes);
    }
}

/* QemuFlashDetected() */
static void is_detected_as_flash(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(array(f, 0), 'h');
    put(f, 0, 0x50);
    assert_int_equal(array(f, 0), 'h'); /* no RAM */
    put(f, 0, 0x70);
    assert_int_equal(array(f, 0), 256);
    assert_int_equal(get(f, 0), 0); /* no ROM, but a flash chip with its status cleared */
    put(f, 0, 0xff);
    assert_int_equal(array(f, 0), 'h');
}

static void what_is_acknowledged_is_in_the_file(void **state)
{
    struct fixture *f = *state;

    write_bytes(f, 0x1000, "variable");
    assert_int_equal(array(f, 0x1000), 256);
    put(f, 0x1007, 0xff);
    assert_int_equal(array(f, 0x1007), 'e');
    assert_int_equal(in_file(f, 0x1000), 'v');
    assert_int_equal(in_file(f, 0x1007), 'e');
    assert_int_equal(in_file(f, 0x1008), 0xff);
    write_bytes(f, 0x2000, "a");
    assert_int_equal(in_file(f, 0x2000), 0xff);
    assert_int_equal(get(f, 0x2000), 0x80); /* ready: so it is there */
    assert_int_equal(in_file(f, 0x2000), 'a');
}

static void programming_only_clears_bits(void **state)
{
    struct fixture *f = *state;

    write_bytes(f, 0x1000, "\x7f");
    write_bytes(f, 0x1000, "\xf3");
    put(f, 0x1000, 0xff);
    assert_int_equal(array(f, 0x1000), 0x73);
}

static void erases_one_block(void **state)
{
    struct fixture *f = *state;

    write_bytes(f, 0x0ffe, "abcd");
    write_bytes(f, 0x1fff, "ef");
    put(f, 0x1234, 0x20);
    put(f, 0x1234, 0xd0);
    put(f, 0x1234, 0xff);
    assert_int_equal(in_file(f, 0x0fff), 'b');
    assert_int_equal(in_file(f, 0x1000), 0xff);
    assert_int_equal(in_file(f, 0x1fff), 0xff);
    assert_int_equal(in_file(f, 0x2000), 'f');
    put(f, 0x2000, 0x20); /* not confirmed */
    put(f, 0x2000, 0xff);
    assert_int_equal(get(f, 0), 0xb0);
    put(f, 0, 0x50);
    assert_int_equal(array(f, 0x2000), 'f');
}

static void tells_its_geometry(void **state)
{
    struct fixture *f = *state;

    put(f, 0x55, 0x98);
    assert_int_equal(get(f, 0x10), 'Q');
    assert_int_equal(get(f, 0x13), 1);
    assert_int_equal(get(f, 0x27), 20); /* 2^20 holds it */
    assert_int_equal(get(f, 0x2c), 1);
    assert_int_equal(get(f, 0x2d) | get(f, 0x2e) << 8, SIZE / 4096 - 1);
    assert_int_equal((get(f, 0x2f) | get(f, 0x30) << 8) * 256, 4096);
    put(f, 0, 0x90);
    assert_int_equal(get(f, 0), 0x89);
    put(f, 0, 0xff);
    assert_int_equal(array(f, 0), 'h');
}

static void nothing_in_flight_is_lost_at_a_reset(void **state)
{
    struct fixture *f = *state;

    write_bytes(f, 0x3000, "xyz");
    fake_machine_reset(&f->machine);
    assert_int_equal(array(f, 0x3002), 'z');
    assert_int_equal(in_file(f, 0x3002), 'z');
    write_bytes(f, 0x4000, "q");
    fake_machine_fini(&f->machine);
    assert_int_equal(in_file(f, 0x4000), 'q');
    ram_fini(&f->ram);
    make(f);
    assert_int_equal(array(f, 0x4000), 'q'); /* another run */
}

static void a_full_disk_is_told(void **state)
{
    struct fixture *f = *state;
    int full = open("/dev/full", O_RDWR);

    write_bytes(f, 0x1000, "a");
    assert_int_equal(dup2(full, f->fd), f->fd);
    close(full);
    assert_int_equal(get(f, 0x1000), 0x90); /* ready, and it failed */
    put(f, 0, 0xff);
    assert_int_equal(array(f, 0x1000), 'a');
}

static void is_saved_whole(void **state)
{
    struct fixture *f = *state;
    struct writer w;
    struct reader r;

    write_bytes(f, 0x1000, "one");
    put(f, 0x1003, 0x10); /* in the middle */
    writer_init(&w, MIB(1));
    f->flash->ops->save(f->flash, &w);
    put(f, 0x1003, 'X');
    fake_machine_reset(&f->machine);
    reader_init(&r, w.data, w.size);
    assert_int_equal(f->flash->ops->load(f->flash, &r, 1), 0);
    put(f, 0x1003, 's');
    put(f, 0x1003, 0xff);
    assert_int_equal(array(f, 0x1003), 's');
    assert_int_equal(in_file(f, 0x1003), 's');
    reader_init(&r, w.data, w.size - 1);
    assert_int_equal(f->flash->ops->load(f->flash, &r, 1), -EINVAL);
    writer_fini(&w);
}

/* Any bytes at any offset and width leave it alive, and the array comes back. */
static void survives_nonsense(void **state)
{
    struct fixture *f = *state;
    unsigned i, seed = 1;

    for (i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        if (seed >> 30)
            fake_mmio_write(&f->machine, BASE + (seed >> 8) % (SIZE + 8), seed >> 16, 1u << (seed >> 28 & 3));
        else
            fake_mmio_read(&f->machine, BASE + (seed >> 8) % (SIZE + 8), 1u << (seed >> 28 & 3));
    }
    put(f, 0, 0xff);
    put(f, 0, 0xff);
    assert_int_not_equal(array(f, SIZE - 1), 256);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(is_detected_as_flash),
        TEST(what_is_acknowledged_is_in_the_file),
        TEST(programming_only_clears_bits),
        TEST(erases_one_block),
        TEST(tells_its_geometry),
        TEST(nothing_in_flight_is_lost_at_a_reset),
        TEST(a_full_disk_is_told),
        TEST(is_saved_whole),
        TEST(survives_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_savefile.c - the file of a saved machine: what was put in comes out, and nothing else is taken for one. */
#include "base/error.h"
#include "vmm/savefile.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is meant */

#define MEMORY (64 * SAVEFILE_PAGE)

static char folder[] = "/tmp/minivm-test-XXXXXX", path[64];

static uint8_t *new_memory(void)
{
    return mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Two sections, and memory of which two pages are filled; where it lies. */
static uint64_t write_file(void)
{
    struct savefile_writer file;
    uint8_t *memory = new_memory();
    struct writer w;
    uint64_t start;
    size_t token;

    unlink(path);
    memory[3 * SAVEFILE_PAGE] = 3;
    memory[MEMORY - 1] = 9;
    writer_init(&w, KIB(64));
    token = savefile_section_begin(&w, "first", 0, 2);
    writer_u32(&w, 0x11223344);
    savefile_section_end(&w, token);
    token = savefile_section_begin(&w, "first", 1, 1);
    savefile_section_end(&w, token);
    start = savefile_memory_start(w.size);
    assert_int_equal(savefile_create(&file, path), 0);
    assert_int_equal(savefile_put_memory(&file, start, memory, MEMORY), 0);
    assert_int_not_equal(access(path, F_OK), 0); /* not before it is whole */
    assert_int_equal(savefile_commit(&file, &w), 0);
    savefile_close(&file);
    writer_fini(&w);
    munmap(memory, MEMORY);
    return start;
}

static void test_round_trip(void **state UNUSED)
{
    uint64_t start = write_file();
    uint8_t *memory = new_memory();
    struct savefile file;
    struct reader r;
    uint32_t version;
    struct stat st;

    assert_int_equal(savefile_open(&file, path), 0);
    assert_int_equal(savefile_find(&file, "first", 0, 2, &r, &version), 0);
    assert_int_equal(version, 2);
    assert_int_equal(reader_u32(&r), 0x11223344);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(savefile_unused(&file)->instance, 1);
    assert_int_equal(savefile_find(&file, "first", 0, 1, &r, &version), -ENOTSUP);
    assert_int_equal(savefile_find(&file, "second", 0, 1, &r, &version), -ENOENT);
    assert_int_equal(savefile_find(&file, "first", 1, 1, &r, &version), 0);
    assert_null(savefile_unused(&file));

    memory[0] = 1;
    assert_int_equal(savefile_get_memory(&file, start, memory, MEMORY), 0);
    assert_int_equal(memory[0], 0);
    assert_int_equal(memory[3 * SAVEFILE_PAGE], 3);
    assert_int_equal(memory[MEMORY - 1], 9);
    memory[0] = 7; /* is its own from now on */
    assert_true(savefile_get_memory(&file, start + SAVEFILE_PAGE, memory, MEMORY) < 0);
    assert_true(savefile_get_memory(&file, UINT64_MAX & ~4095ull, memory, MEMORY) < 0);
    savefile_fini(&file);
    munmap(memory, MEMORY);

    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < MEMORY / 2); /* zeroes take no room */
}

/* One change to a good file, and what savefile_open() says. */
static void open_changed(uint64_t offset, const void *bytes, size_t size, off_t length, const char *word)
{
    struct savefile file;
    int fd;

    write_file();
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
    if (length)
        assert_int_equal(ftruncate(fd, length), 0);
    close(fd);
    assert_true(savefile_open(&file, path) < 0);
    assert_non_null(strstr(fail_text(), path));
    assert_non_null(strstr(fail_text(), word));
    savefile_fini(&file);
}

static void test_refusals(void **state UNUSED)
{
    const uint64_t huge = UINT64_MAX, zero = 0;
    struct savefile file;

    open_changed(0, "MINIVM", 6, 0, "something else");
    open_changed(8, "\2", 1, 0, "format");
    open_changed(16, &huge, 8, 0, "cut short");
    open_changed(16, &zero, 8, 0, "cut short");
    open_changed(24, &huge, 8, 0, "cut short");
    open_changed(40, "x", 1, 0, "changed");
    open_changed(4096, "x", 1, 0, "changed");
    open_changed(0, "m", 1, 8192, "cut short");
    open_changed(0, "m", 1, 10, "too short");
    unlink(path);
    assert_int_equal(savefile_open(&file, path), -ENOENT);
    savefile_fini(&file);
}

/* Nothing is left behind, and an older file stays. */
static void test_abandoned(void **state UNUSED)
{
    struct savefile_writer file;
    struct savefile old;
    char name[128];

    write_file();
    assert_int_equal(savefile_create(&file, path), 0);
    snprintf(name, sizeof(name), "%s", file.temporary);
    assert_int_equal(access(name, F_OK), 0);
    savefile_close(&file);
    assert_int_not_equal(access(name, F_OK), 0);
    assert_int_equal(savefile_open(&old, path), 0);
    savefile_fini(&old);
    assert_int_equal(savefile_create(&file, "/nonexistent/file"), -ENOENT);
    savefile_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_abandoned),
    };
    int failed;

    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/saved", folder);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}

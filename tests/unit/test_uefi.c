/* test_uefi.c - which files UEFI takes, and that a store is made whole or not at all. */
#include "base/error.h"
#include "vmm/uefi.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[32];
    struct uefi_files files;
};

static const char *in(struct fixture *f, const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", f->folder, name);
    return path;
}

static void put(struct fixture *f, const char *name, const char *content)
{
    int fd = open(in(f, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static bool holds(const char *path, const char *content)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    close(fd);
    return strcmp(text, content) == 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->folder, "/tmp/uefi.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    setenv("XDG_DATA_HOME", f->folder, 1);
    put(f, "X_CODE_4M.fd", "code");
    put(f, "X_VARS_4M.fd", "blank");
    put(f, "bios.bin", "bios");
    put(f, "X_CODE.secboot.fd", "code");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void the_blank_lies_beside_the_code(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(uefi_find(&f->files, in(f, "X_CODE_4M.fd"), NULL, "a/b"), 0);
    assert_true(f->files.present);
    assert_string_equal(f->files.blank, in(f, "X_VARS_4M.fd"));
    assert_string_equal(f->files.variables, in(f, "minivm/a_b.vars.fd")); /* a name is no path */
    assert_int_equal(uefi_make_store(&f->files), 0);
    assert_true(holds(f->files.variables, "blank"));
    put(f, "minivm/a_b.vars.fd", "in use");
    assert_int_equal(uefi_make_store(&f->files), 0);
    assert_true(holds(f->files.variables, "in use"));
}

static void a_bios_has_no_store(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(uefi_find(&f->files, in(f, "bios.bin"), NULL, "m"), 0);
    assert_false(f->files.present);
    assert_string_equal(f->files.code, in(f, "bios.bin"));
}

static void a_store_may_be_elsewhere(void **state)
{
    struct fixture *f = *state;
    char nowhere[64];

    assert_int_equal(uefi_find(&f->files, in(f, "X_CODE_4M.fd"), in(f, "mine"), "m"), 0);
    assert_int_equal(uefi_make_store(&f->files), 0);
    assert_true(holds(in(f, "mine"), "blank"));
    f->files = (struct uefi_files){0};
    assert_int_equal(uefi_find(&f->files, in(f, "bios.bin"), in(f, "other"), "m"), 0);
    assert_true(f->files.present);
    assert_int_equal(uefi_make_store(&f->files), -ENOENT); /* nothing to begin with */
    strcpy(nowhere, in(f, "no/where"));
    f->files = (struct uefi_files){0};
    assert_int_equal(uefi_find(&f->files, in(f, "X_CODE_4M.fd"), nowhere, "m"), 0);
    assert_int_equal(uefi_make_store(&f->files), -ENOENT); /* folders that the user named are the user's */
    assert_non_null(strstr(fail_text(), nowhere));
}

static void nothing_is_left_behind(void **state)
{
    struct fixture *f = *state;
    glob_t found;

    assert_int_equal(uefi_find(&f->files, in(f, "X_CODE_4M.fd"), in(f, "mine"), "m"), 0);
    assert_int_equal(uefi_make_store(&f->files), 0);
    assert_int_equal(glob(in(f, "mine.*"), 0, NULL, &found), GLOB_NOMATCH);
}

static void builds_that_need_smm_are_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(uefi_find(&f->files, in(f, "X_CODE.secboot.fd"), NULL, "m"), -ENOTSUP);
    assert_non_null(strstr(fail_text(), "SMM"));
    assert_int_equal(symlink("X_CODE.secboot.fd", in(f, "X_CODE.ms.fd")), 0);
    assert_int_equal(uefi_find(&f->files, in(f, "X_CODE.ms.fd"), NULL, "m"), -ENOTSUP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_blank_lies_beside_the_code), TEST(a_bios_has_no_store),
        TEST(a_store_may_be_elsewhere),       TEST(nothing_is_left_behind),
        TEST(builds_that_need_smm_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

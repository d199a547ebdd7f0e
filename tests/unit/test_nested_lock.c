/* test_nested_lock.c - the outside of a software host locks images for the inside, and only those that are shared. */
#include "base/bytes.h"
#include "vmm/nested_private.h"
#include "vmm/relay_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

struct fixture {
    char folder[PATH_MAX];
    struct nested_shares shares;
    struct nested_locks locks;
    uint8_t answer[RELAY_LOCK_SIZE];
};

static char *name(const struct fixture *f, const char *file)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", f->folder, file);
    return path;
}

static void make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0 && ftruncate(fd, 4096) == 0);
    close(fd);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char folder[] = "/tmp/minivm-lock-XXXXXX";

    assert_non_null(mkdtemp(folder));
    assert_non_null(realpath(folder, f->folder));
    mkdir(name(f, "rw"), 0700);
    mkdir(name(f, "ro"), 0700);
    make_file(name(f, "outside"));
    make_file(name(f, "rw/a"));
    make_file(name(f, "rw/b"));
    make_file(name(f, "ro/c"));
    assert_int_equal(symlink("../outside", name(f, "rw/link")), 0);
    strcpy(f->shares.share[0].path, name(f, "ro"));
    strcpy(f->shares.share[1].path, name(f, "rw"));
    f->shares.share[1].writable = true;
    f->shares.count = 2;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"rw/a", "rw/b", "rw/link", "ro/c", "outside"};
    struct fixture *f = *state;
    unsigned i;

    nested_locks_fini(&f->locks);
    for (i = 0; i < ARRAY_SIZE(files); i++)
        unlink(name(f, files[i]));
    rmdir(name(f, "rw"));
    rmdir(name(f, "ro"));
    rmdir(f->folder);
    free(f);
    return 0;
}

/* The answer's number. */
static int serve(struct fixture *f, const void *data, size_t size)
{
    size_t n = nested_locks_serve(&f->locks, &f->shares, data, size, f->answer);

    assert_in_range(n, 5, sizeof(f->answer));
    assert_int_equal(f->answer[n - 1], 0);
    return (int)load_le32(f->answer);
}

static int ask(struct fixture *f, uint8_t flags, const char *path)
{
    char request[RELAY_LOCK_SIZE];
    int n = snprintf(request, sizeof(request), "%craw%c%s", flags, 0, path);

    return serve(f, request, (size_t)n + 1);
}

static const char *words(const struct fixture *f)
{
    return (const char *)f->answer + 4;
}

static void an_image_is_held_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, 0, name(f, "rw/a")), 0);
    assert_int_equal(ask(f, 0, name(f, "rw/b")), 0);
    assert_int_equal(ask(f, 0, name(f, "rw/a")), -EBUSY);
    assert_non_null(strstr(words(f), "in use"));
    assert_int_equal(ask(f, RELAY_READ_ONLY, name(f, "rw/a")), -EBUSY);
    assert_int_equal(ask(f, RELAY_UNLOCK, name(f, "rw/a")), 0);
    assert_int_equal(ask(f, RELAY_UNLOCK, name(f, "rw/a")), 0); /* nothing to do */
    assert_int_equal(ask(f, RELAY_READ_ONLY, name(f, "rw/a")), 0);
    assert_int_equal(ask(f, RELAY_SNAPSHOT, name(f, "rw/a")), 0); /* two readers */
    assert_int_equal(ask(f, 0, name(f, "rw/a")), -EBUSY);
}

static void only_what_is_shared(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, 0, name(f, "outside")), -EACCES);
    assert_non_null(strstr(words(f), name(f, "outside")));
    assert_int_equal(ask(f, 0, name(f, "rw/../outside")), -EACCES);
    assert_int_equal(ask(f, 0, name(f, "rw/link")), -EACCES);
    assert_int_equal(ask(f, 0, "/dev/null"), -EACCES);
    assert_int_equal(ask(f, 0, name(f, "ro/c")), -EACCES);
    assert_non_null(strstr(words(f), "for writing"));
    assert_int_equal(ask(f, RELAY_READ_ONLY, name(f, "ro/c")), 0);
    assert_int_equal(ask(f, 0, name(f, "rw/missing")), -ENOENT);
    assert_int_equal(ask(f, 0, ""), -ENOENT);
}

static void there_is_a_limit(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    for (i = 0; i < NESTED_MAX_LOCKS; i++)
        assert_int_equal(ask(f, RELAY_READ_ONLY, name(f, "rw/a")), 0);
    assert_int_equal(ask(f, RELAY_READ_ONLY, name(f, "rw/a")), -ENOSPC);
    assert_int_equal(ask(f, RELAY_UNLOCK, name(f, "rw/a")), 0);
    assert_int_equal(ask(f, RELAY_READ_ONLY, name(f, "rw/a")), 0);
}

static void nonsense_is_refused(void **state)
{
    static const char good[] = "\0raw\0/nowhere";
    struct fixture *f = *state;
    char *huge = calloc(1, RELAY_LOCK_SIZE + 1);
    size_t i;

    assert_int_equal(serve(f, good, sizeof(good)), -ENOENT);
    for (i = 0; i < sizeof(good); i++) {
        char *cut = malloc(MAX(i, 1)); /* so that the sanitizer sees what is read behind it */

        memcpy(cut, good, i);
        assert_int_equal(serve(f, cut, i), -EINVAL);
        free(cut);
    }
    assert_int_equal(serve(f, "\0raw\0a\0b", 9), -EINVAL);
    memset(huge, 'x', RELAY_LOCK_SIZE);
    assert_int_equal(serve(f, huge, RELAY_LOCK_SIZE + 1), -EINVAL);
    free(huge);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_image_is_held_once),
        TEST(only_what_is_shared),
        TEST(there_is_a_limit),
        TEST(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

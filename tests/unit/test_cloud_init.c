/* test_cloud_init.c - cloud-init's seed, as Debian's mtools and blkid read it. */
#include "base/error.h"
#include "vmm/cloud_init.h"
#include "vmm/fat.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t uuid[UUID_SIZE] = {1, 2, 3};

struct fixture {
    char folder[32];
    char output[65536];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->folder, "/tmp/cloud-init.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    *state = f;
    return 0;
}

/* A command's output; it must succeed. */
static const char *run(struct fixture *f, const char *format, ...)
{
    char command[512];
    va_list args;
    size_t n;
    FILE *p;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    p = popen(command, "r");
    assert_non_null(p);
    n = fread(f->output, 1, sizeof(f->output) - 1, p);
    f->output[n] = 0;
    if (pclose(p))
        fail_msg("%s: %s", command, f->output);
    return f->output;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    run(f, "rm -r %s", f->folder);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *name, const char *text)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* The seed of the folder, or of a file in it, as the file "image" of the folder. */
static void make(struct fixture *f, const char *source, const char *name)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->folder, source);
    fd = cloud_init_create(path, name, uuid);
    assert_true(fd >= 0);
    run(f, "cat /proc/%d/fd/%d > %s/image", (int)getpid(), fd, f->folder);
    close(fd);
}

static void a_file_is_user_data(void **state)
{
    struct fixture *f = *state;

    put(f, "x.yaml", "#cloud-config\nhostname: a\n");
    make(f, "x.yaml", "web server.qcow2");
    assert_string_equal(run(f, "mtype -i %s/image ::user-data", f->folder), "#cloud-config\nhostname: a\n");
    assert_non_null(strstr(run(f, "mtype -i %s/image ::meta-data", f->folder), "local-hostname: web-server\n"));
    assert_memory_equal(f->output, "instance-id: iid-", 17);
    assert_non_null(strstr(run(f, "/sbin/blkid -p -o export %s/image", f->folder), "LABEL=cidata\n"));
    assert_non_null(strstr(f->output, "TYPE=vfat\n"));
    run(f, "/sbin/fsck.vfat -n %s/image", f->folder);
}

static void a_folder_has_them_all(void **state)
{
    struct fixture *f = *state;
    char big[20000];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    put(f, "user-data", big);
    put(f, "meta-data", "instance-id: mine\n");
    put(f, "network-config", "version: 2\n");
    make(f, "", "m");
    assert_string_equal(run(f, "mtype -i %s/image ::user-data", f->folder), big);
    assert_string_equal(run(f, "mtype -i %s/image ::meta-data", f->folder), "instance-id: mine\n");
    assert_string_equal(run(f, "mtype -i %s/image ::network-config", f->folder), "version: 2\n");
    assert_null(strstr(run(f, "mdir -b -i %s/image ::", f->folder), "vendor"));
    run(f, "/sbin/fsck.vfat -n %s/image", f->folder);
}

static void the_instance_is_new_when_its_data_are(void **state)
{
    struct fixture *f = *state;
    char first[256];

    put(f, "user-data", "one");
    put(f, "meta-data", ""); /* as cloud-init's documentation makes it */
    make(f, "", "m");
    strcpy(first, run(f, "mtype -i %s/image ::meta-data", f->folder));
    make(f, "", "m");
    assert_string_equal(run(f, "mtype -i %s/image ::meta-data", f->folder), first);
    put(f, "user-data", "two");
    make(f, "", "m");
    assert_string_not_equal(run(f, "mtype -i %s/image ::meta-data", f->folder), first);
}

static void refuses_what_is_no_seed(void **state)
{
    struct fixture *f = *state;
    char path[64];

    assert_int_equal(cloud_init_create(f->folder, "m", uuid), -ENOENT);
    assert_non_null(strstr(fail_text(), "user-data"));
    snprintf(path, sizeof(path), "%s/user-data", f->folder);
    put(f, "user-data", "x");
    assert_int_equal(truncate(path, CLOUD_INIT_FILE_MAX + 1), 0);
    assert_int_equal(cloud_init_create(path, "m", uuid), -EFBIG);
    assert_int_equal(truncate(path, CLOUD_INIT_FILE_MAX), 0);
    make(f, "user-data", "m");
    run(f, "/sbin/fsck.vfat -n %s/image", f->folder);
}

static void a_full_volume_is_sound(void **state)
{
    struct fixture *f = *state;
    struct fat_file file = {"a-name-of-twenty-six-bytes", malloc(FAT_MAX_CONTENT), FAT_MAX_CONTENT};
    struct writer w;
    char path[64];
    int fd;

    memset((void *)file.data, 0xa5, file.size);
    writer_init(&w, FAT_MAX_IMAGE);
    assert_int_equal(fat_write(&w, "FULL", &file, 1), 0);
    snprintf(path, sizeof(path), "%s/image", f->folder);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, w.data, w.size), w.size);
    close(fd);
    run(f, "/sbin/fsck.vfat -n %s", path);
    assert_non_null(strstr(run(f, "mdir -b -i %s ::", path), file.name));
    writer_reset(&w);
    file.size++;
    assert_int_equal(fat_write(&w, "FULL", &file, 1), -E2BIG);
    writer_fini(&w);
    free((void *)file.data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_user_data),     TEST(a_folder_has_them_all),  TEST(the_instance_is_new_when_its_data_are),
        TEST(refuses_what_is_no_seed), TEST(a_full_volume_is_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

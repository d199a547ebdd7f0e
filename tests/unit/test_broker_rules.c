/* test_broker_rules.c - whose files a broker opens. */
#include "base/host_file.h"
#include "vmm/broker_rules.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail

struct fixture {
    char folder[64];
    struct vm_config config;
    struct broker_rules rules;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->folder, "/tmp/test_broker_XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    config_init(&f->config);
    broker_rules_init(&f->rules, &f->config);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    broker_rules_fini(&f->rules);
    snprintf(command, sizeof(command), "rm -rf %s", f->folder);
    free(f);
    return system(command);
}

/* Whole, and byte by byte. */
static void say(struct fixture *f, const char *text)
{
    struct broker_strings strings = {0};

    for (const char *c = text; *c; c++)
        broker_rules_listen(&f->rules, &strings, c, 1);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    char here[PATH_MAX], absolute[PATH_MAX + 16];

    assert_false(broker_may_open(&f->rules, NULL, "/etc/passwd", O_RDONLY));
    say(f, "{\"execute\": \"screendump\", \"arguments\": {\"filename\": \"shot.p\\u006eg\", \"odd\": \"a\\\"b\\\\\"}}");
    assert_true(broker_may_open(&f->rules, NULL, "shot.png", O_WRONLY | O_CREAT | O_TRUNC));
    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(absolute, sizeof(absolute), "%s/shot.png", here);
    assert_true(broker_may_open(&f->rules, NULL, absolute, O_RDONLY));
    assert_true(broker_may_open(&f->rules, NULL, "a\"b\\", O_RDONLY));
    assert_false(broker_may_open(&f->rules, NULL, "shot.png2", O_RDONLY));
    assert_false(broker_may_open(&f->rules, NULL, "./shot.png", O_RDONLY));
    assert_false(broker_may_open(&f->rules, NULL, "shot.png", O_RDONLY | O_DIRECT));
    assert_false(broker_may_open(&f->rules, here, "shot.png", O_RDONLY));
}

/* One that was begun anew is none; neither is one that is too long, nor what is outside quotes. */
static void test_no_names(void **state)
{
    struct fixture *f = *state;
    char longer[PATH_MAX + 64] = "\"";

    say(f, "\"/one\xff\" /two \"/three\"");
    assert_false(broker_may_open(&f->rules, NULL, "/one", O_RDONLY));
    assert_false(broker_may_open(&f->rules, NULL, "/two", O_RDONLY));
    memset(longer + 1, '/', PATH_MAX);
    strcpy(longer + 1 + PATH_MAX, "\"");
    say(f, longer);
    for (unsigned i = 0; i < BROKER_MAX_NAMES; i++)
        say(f, "\"/again\"");
    assert_true(broker_may_open(&f->rules, NULL, "/again", O_RDONLY));
    say(f, "\"\\u0000\" \"\\ud800\" \"\"");
}

/* The oldest goes. */
static void test_many_names(void **state)
{
    struct fixture *f = *state;
    char text[32];

    for (unsigned i = 0; i <= BROKER_MAX_NAMES; i++) {
        snprintf(text, sizeof(text), "\"/name%u\"", i);
        say(f, text);
    }
    assert_false(broker_may_open(&f->rules, NULL, "/name0", O_RDONLY));
    assert_true(broker_may_open(&f->rules, NULL, "/name1", O_RDONLY));
}

static void test_saved(void **state)
{
    struct fixture *f = *state;

    say(f, "{\"filename\": \"/x/saved\"}");
    assert_true(broker_may_open(&f->rules, NULL, "/x/saved.0123abcd", O_RDWR | O_CREAT | O_EXCL));
    assert_false(broker_may_open(&f->rules, NULL, "/x/saved.0123abcd", O_RDWR));
    assert_false(broker_may_open(&f->rules, NULL, "/x/saved.0123abcg", O_RDWR | O_CREAT | O_EXCL));
    assert_false(broker_may_open(&f->rules, NULL, "/x/other.0123abcd", O_RDWR | O_CREAT | O_EXCL));
    assert_true(broker_may_rename(&f->rules, "/x/saved.0123abcd", "/x/saved"));
    assert_false(broker_may_rename(&f->rules, "/x/saved", "/etc/passwd"));
    assert_false(broker_may_rename(&f->rules, "/etc/passwd", "/x/saved"));
    assert_true(broker_may_unlink(&f->rules, "/x/saved.0123abcd"));
    assert_false(broker_may_unlink(&f->rules, "/x/saved"));
}

static void test_known(void **state)
{
    struct fixture *f = *state;

    broker_rules_know(&f->rules, "/disk");
    assert_true(broker_may_open(&f->rules, NULL, "/disk", O_PATH));
    assert_false(broker_may_open(&f->rules, NULL, "/disk", O_RDONLY));
    f->config.snapshot = true;
    assert_true(broker_may_open(&f->rules, NULL, "/var/tmp", O_TMPFILE | O_RDWR));
    assert_false(broker_may_open(&f->rules, NULL, "/var/tmp", O_PATH));
}

static void run_image(const char *folder, const char *arguments)
{
    char command[512];

    snprintf(command, sizeof(command), "cd %s && qemu-img create -q -f qcow2 %s", folder, arguments);
    assert_int_equal(system(command), 0);
}

/* An image's backing file, to read, and that one's; nothing else of its folder. */
static void test_backing(void **state)
{
    struct fixture *f = *state;
    char path[128], text[256];
    int fd;

    run_image(f->folder, "base 1M");
    run_image(f->folder, "-b base -F qcow2 middle");
    run_image(f->folder, "-b middle -F qcow2 top");
    snprintf(path, sizeof(path), "%s/top", f->folder);
    snprintf(text, sizeof(text), "\"%s\"", path);
    say(f, text);
    assert_true(broker_may_find_folder(&f->rules, path));
    assert_false(broker_may_open(&f->rules, f->folder, "middle", O_RDONLY));
    fd = host_open(NULL, path, O_RDWR, 0);
    broker_opened(&f->rules, NULL, path, O_RDWR, fd);
    close(fd);
    assert_true(broker_may_open(&f->rules, f->folder, "middle", O_RDONLY));
    assert_false(broker_may_open(&f->rules, f->folder, "middle", O_RDWR));
    assert_false(broker_may_open(&f->rules, f->folder, "base", O_RDONLY));
    assert_false(broker_may_open(&f->rules, NULL, "middle", O_RDONLY));
    fd = host_open(f->folder, "middle", O_RDONLY, 0);
    broker_opened(&f->rules, f->folder, "middle", O_RDONLY, fd);
    close(fd);
    assert_true(broker_may_open(&f->rules, f->folder, "base", O_RDONLY));
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {RULE(test_names), RULE(test_no_names), RULE(test_many_names),
                                       RULE(test_saved), RULE(test_known),    RULE(test_backing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

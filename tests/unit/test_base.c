/* test_base.c - errors, bytes, options, loops. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/options.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is meant */

static void test_fail_keeps_the_words(void **state UNUSED)
{
    char longer[600];

    assert_int_equal(fail(-EBUSY, "disk '%s' is busy", "a.img"), -EBUSY);
    assert_string_equal(fail_text(), "disk 'a.img' is busy");
    assert_int_equal(fail_prefix(-EBUSY, "--disk"), -EBUSY);
    assert_string_equal(fail_text(), "--disk: disk 'a.img' is busy");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    fail(-EINVAL, "%s", longer);
    assert_int_equal(strlen(fail_text()), 511);
}

static void test_reader_stops_at_the_end(void **state UNUSED)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5};
    struct reader r;

    reader_init(&r, data, sizeof(data));
    assert_int_equal(reader_u32(&r), 0x04030201);
    assert_false(r.bad);
    assert_int_equal(reader_u16(&r), 0);
    assert_true(r.bad);
    assert_int_equal(reader_u8(&r), 0); /* once bad, nothing more is read */
    assert_null(reader_bytes(&r, 1));
}

static void test_writer_grows_to_its_limit(void **state UNUSED)
{
    struct writer w;
    unsigned i;

    writer_init(&w, 1000);
    for (i = 0; i < 250; i++)
        writer_u32(&w, i);
    assert_false(w.bad);
    assert_int_equal(load_le32(w.data + 996), 249);
    writer_u8(&w, 0);
    assert_true(w.bad);
    assert_int_equal(w.size, 1000);
    writer_reset(&w);
    writer_u64(&w, 0x1122334455667788);
    assert_int_equal(load_be64(w.data), 0x8877665544332211);
    writer_trim(&w, 1000);
    assert_int_equal(w.size, 0);
    assert_int_equal(w.capacity, 1000);
    writer_trim(&w, 999);
    assert_int_equal(w.capacity, 0);
    assert_int_equal(w.max, 1000);
    writer_u8(&w, 7);
    assert_int_equal(w.data[0], 7);
    writer_fini(&w);
}

struct parsed {
    const char *name, *word;
    bool flag;
};

static int set_name(void *config, const char *value)
{
    ((struct parsed *)config)->name = value;
    return strcmp(value, "bad") == 0 ? fail(-EINVAL, "'%s' will not do", value) : 0;
}

static int set_flag(void *config, const char *value)
{
    assert_null(value);
    ((struct parsed *)config)->flag = true;
    return 0;
}

static int set_word(void *config, const char *word)
{
    ((struct parsed *)config)->word = word;
    return 0;
}

static const struct option_def defs[] = {{"name", "NAME", "a name", set_name}, {"headless", NULL, "a switch", set_flag}};
static const struct option_table table = {"test", defs, ARRAY_SIZE(defs), set_word};

static int parse(struct parsed *parsed, char *a, char *b, char *c)
{
    char *argv[] = {"test", a, b, c, NULL};
    int argc = 1 + !!a + !!b + !!c;

    *parsed = (struct parsed){0};
    return options_parse(&table, argc, argv, parsed);
}

static void test_options(void **state UNUSED)
{
    struct parsed p;

    assert_int_equal(parse(&p, "--name", "x", "--headless"), 0);
    assert_string_equal(p.name, "x");
    assert_true(p.flag);
    assert_int_equal(parse(&p, "--name=y=z", "word", NULL), 0);
    assert_string_equal(p.name, "y=z");
    assert_string_equal(p.word, "word");
    assert_int_equal(parse(&p, "--", "--name", NULL), 0);
    assert_string_equal(p.word, "--name");
}

static void test_option_errors_lead_on(void **state UNUSED)
{
    struct parsed p;

    assert_int_equal(parse(&p, "--headles", NULL, NULL), -EINVAL);
    assert_string_equal(fail_text(), "unknown option --headles; did you mean --headless?");
    assert_int_equal(parse(&p, "--name", NULL, NULL), -EINVAL);
    assert_string_equal(fail_text(), "--name needs a value: NAME");
    assert_int_equal(parse(&p, "--name", "bad", NULL), -EINVAL);
    assert_string_equal(fail_text(), "--name: 'bad' will not do");
    assert_int_equal(parse(&p, "--headless=1", NULL, NULL), -EINVAL);
    assert_int_equal(parse(&p, "-x", NULL, NULL), -EINVAL);
}

static void test_values(void **state UNUSED)
{
    uint64_t n;

    assert_int_equal(parse_size("2G", 1, &n), 0);
    assert_int_equal(n, GIB(2));
    assert_int_equal(parse_size("512", MIB(1), &n), 0);
    assert_int_equal(n, MIB(512));
    assert_int_equal(parse_size("16MiB", 1, &n), 0);
    assert_int_equal(n, MIB(16));
    assert_int_equal(parse_size("-1", 1, &n), -EINVAL);
    assert_int_equal(parse_size("1GG", 1, &n), -EINVAL);
    assert_int_equal(parse_size("99999999999999999999", 1, &n), -EINVAL);
    assert_int_equal(parse_size("17592186044416M", 1, &n), -EINVAL); /* 2^64 */
    assert_int_equal(parse_unsigned("16", 1, 16, &n), 0);
    assert_int_equal(parse_unsigned("17", 1, 16, &n), -EINVAL);
    assert_int_equal(parse_unsigned("-1", 0, ~0ull, &n), -EINVAL);
}

static int note(void *opaque, const char *key, const char *value)
{
    strcat(opaque, key);
    strcat(opaque, value ? "=" : "!");
    strcat(opaque, value ? value : "");
    strcat(opaque, ";");
    return 0;
}

static void test_suboptions(void **state UNUSED)
{
    char seen[128] = "";

    assert_int_equal(parse_suboptions("a,,b.img,format=raw,ro", note, seen), 0);
    assert_string_equal(seen, "=a,b.img;format=raw;ro!;");
}

static void count_call(void *arg)
{
    (*(unsigned *)arg)++;
}

static void test_loop_runs_calls_of_others(void **state UNUSED)
{
    struct loop loop;
    unsigned calls = 0, i;

    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(loop_start(&loop, "test"), 0);
    for (i = 0; i < 1000; i++)
        loop_call(&loop, count_call, &calls);
    loop_call_wait(&loop, count_call, &calls);
    assert_int_equal(calls, 1001); /* in order: the one waited for came last */
    loop_stop(&loop);
    loop_join(&loop);
    loop_fini(&loop);
}

static void on_notified(void *opaque)
{
    count_call(opaque);
}

static void test_notifier(void **state UNUSED)
{
    struct loop loop;
    struct notifier n;
    unsigned calls = 0;

    loop_init(&loop);
    assert_int_equal(notifier_init(&n), 0);
    assert_int_equal(notifier_attach(&n, &loop, on_notified, &calls), 0);
    notifier_signal(&n);
    notifier_signal(&n);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(calls, 1); /* two signals, one call */
    notifier_detach(&n);
    notifier_signal(&n);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(calls, 1);
    assert_true(notifier_clear(&n));
    assert_false(notifier_clear(&n));
    notifier_fini(&n);
    loop_fini(&loop);
}

static void on_ending(uv_signal_t *handle, int number)
{
    *(int *)handle->data = number;
}

static int caught(struct loop *loop, int *number, int sent)
{
    *number = 0;
    raise(sent);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    return *number;
}

static void test_signals(void **state UNUSED)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct loop loop;
    int number = 0;
    size_t i;

    signal(SIGHUP, SIG_DFL); /* whoever runs the tests may not want to hear of it */
    for (i = 0; i < ARRAY_SIZE(numbers); i++) {
        loop_init(&loop);
        assert_int_equal(loop_catch_signals(&loop, on_ending, &number), 0);
        assert_int_equal(caught(&loop, &number, numbers[i]), numbers[i]);
        loop_fini(&loop);
    }
    signal(SIGHUP, SIG_IGN); /* as nohup(1) does */
    loop_init(&loop);
    assert_int_equal(loop_catch_signals(&loop, on_ending, &number), 0);
    assert_int_equal(caught(&loop, &number, SIGHUP), 0);
    assert_int_equal(caught(&loop, &number, SIGTERM), SIGTERM);
    loop_fini(&loop);
    signal(SIGHUP, SIG_DFL);
}

static void test_files(void **state UNUSED)
{
    char path[] = "/tmp/minivm-test-XXXXXX", data[8];
    int fd = mkstemp(path);
    struct file file;

    assert_true(fd >= 0);
    assert_int_equal(file_open(&file, "thing", path), -EINVAL); /* empty */
    assert_int_equal(write(fd, "12345", 5), 5);
    close(fd);
    assert_int_equal(file_open(&file, "thing", path), 0);
    assert_int_equal(file.size, 5);
    assert_int_equal(file_read(&file, data, 3, 2), 0);
    assert_memory_equal(data, "345", 3);
    assert_int_equal(file_read(&file, data, 4, 2), -EIO);
    assert_non_null(strstr(fail_text(), path));
    file_close(&file);
    file_close(&file);
    unlink(path);
    assert_int_equal(file_open(&file, "thing", path), -ENOENT);
    assert_non_null(strstr(fail_text(), "thing"));
    file_close(&file);
    assert_int_equal(file_open(&file, "thing", "/tmp"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_keeps_the_words), cmocka_unit_test(test_reader_stops_at_the_end),
        cmocka_unit_test(test_writer_grows_to_its_limit), cmocka_unit_test(test_options),
        cmocka_unit_test(test_option_errors_lead_on), cmocka_unit_test(test_values),
        cmocka_unit_test(test_suboptions), cmocka_unit_test(test_loop_runs_calls_of_others),
        cmocka_unit_test(test_notifier),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What the agent of a session does, without a display: files, clipboard, monitors, and the daemon's pointer
 * (guest/agent).
 */
#include "guest/agent/clipboard.h"
#include "guest/agent/latin1.h"
#include "guest/agent/monitors.h"
#include "guest/agent/pointer.h"
#include "guest/agent/transfer.h"
#include "guest/agent/transfer_request.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* --- what is said to the client --- */

static struct {
    unsigned count;
    uint32_t type, size;
    uint8_t body[256];
} said;

static void say(void *opaque UNUSED, uint32_t type, const void *body, uint32_t size)
{
    said.count++;
    said.type = type;
    said.size = size;
    memcpy(said.body, body, MIN(size, sizeof(said.body)));
}

static uint32_t word(unsigned i)
{
    return load_le32(said.body + 4 * i);
}

/* --- files --- */

static int read_request(const char *text, struct transfer_request *r)
{
    return transfer_request_read((const uint8_t *)text, strlen(text), r);
}

static void test_requests(void **state UNUSED)
{
    static const char *const bad[] = {"",
                                      "name=a\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=a\n",
                                      "[vdagent-file-xfer]\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=../a\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=..\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=.\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=/etc/passwd\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=a\\nb\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=a\\\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=a\\x\nsize=1\n",
                                      "[vdagent-file-xfer]\nname=a\nsize=-1\n",
                                      "[vdagent-file-xfer]\nname=a\nsize=99999999999999999999\n",
                                      "[other]\nname=a\nsize=1\n"};
    struct transfer_request r;
    char text[600];

    assert_int_equal(read_request("[vdagent-file-xfer]\nname=a b\\sc.txt\nsize=12\nfile-xfer-nr=1\n", &r), 0);
    assert_string_equal(r.name, "a b c.txt");
    assert_int_equal(r.size, 12);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_not_equal(read_request(bad[i], &r), 0);
    assert_int_equal(transfer_request_read((const uint8_t *)"[vdagent-file-xfer]\nname=a\0b\nsize=1\n", 36, &r),
                     -EINVAL);
    snprintf(text, sizeof(text), "[vdagent-file-xfer]\nname=%0255d\nsize=1", 0);
    assert_int_equal(read_request(text, &r), 0);
    snprintf(text, sizeof(text), "[vdagent-file-xfer]\nname=%0256d\nsize=1", 0);
    assert_int_equal(read_request(text, &r), -EINVAL);
}

static void test_names(void **state UNUSED)
{
    static const struct {
        const char *name;
        unsigned n;
        const char *as;
    } cases[] = {{"a.txt", 0, "a.txt"}, {"a.txt", 2, "a (2).txt"}, {"a", 1, "a (1)"}, {".profile", 1, ".profile (1)"},
                 {"a.tar.gz", 3, "a.tar (3).gz"}};
    char name[NAME_MAX + 1], to[NAME_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(transfer_name(cases[i].name, cases[i].n, to));
        assert_string_equal(to, cases[i].as);
    }
    snprintf(name, sizeof(name), "%0255d", 0);
    assert_true(transfer_name(name, 0, to));
    assert_false(transfer_name(name, 1, to));
}

static char folder[] = "/tmp/agent-XXXXXX";

static void start(struct transfers *t, uint32_t id, const char *name, unsigned long long size)
{
    uint8_t body[300];
    int n = snprintf((char *)body + 4, sizeof(body) - 4, "[vdagent-file-xfer]\nname=%s\nsize=%llu\n", name, size);

    store_le32(body, id);
    transfers_message(t, VD_AGENT_FILE_XFER_START, body, 4 + (uint32_t)n);
}

static void data(struct transfers *t, uint32_t id, uint64_t claimed, const char *text)
{
    uint8_t body[300];

    store_le32(body, id);
    store_le64(body + 4, claimed);
    memcpy(body + 12, text, strlen(text));
    transfers_message(t, VD_AGENT_FILE_XFER_DATA, body, 12 + (uint32_t)strlen(text));
}

static void cancel(struct transfers *t, uint32_t id)
{
    uint8_t body[8];

    store_le32(body, id);
    store_le32(body + 4, VD_AGENT_FILE_XFER_STATUS_CANCELLED);
    transfers_message(t, VD_AGENT_FILE_XFER_STATUS, body, sizeof(body));
}

static bool status_is(uint32_t id, uint32_t result)
{
    return said.type == VD_AGENT_FILE_XFER_STATUS && word(0) == id && word(1) == result;
}

/* -1: there is no such file */
static long size_of(const char *name)
{
    char path[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return lstat(path, &st) ? -1 : (long)st.st_size;
}

static void test_transfer(void **state UNUSED)
{
    struct transfers t;
    char path[300];
    struct stat st;

    transfers_init(&t, folder, say, NULL);
    start(&t, 1, "a", 6);
    assert_true(status_is(1, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA));
    data(&t, 1, 3, "abc");
    start(&t, 2, "a", 1); /* beside it, and of the same name */
    data(&t, 2, 1, "x");
    assert_true(status_is(2, VD_AGENT_FILE_XFER_STATUS_SUCCESS));
    data(&t, 1, 3, "def");
    assert_true(status_is(1, VD_AGENT_FILE_XFER_STATUS_SUCCESS));
    assert_true(size_of("a") == 6 && size_of("a (1)") == 1 && t.count == 0);
    snprintf(path, sizeof(path), "%s/a", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0111, 0);
    start(&t, 3, "empty", 0);
    data(&t, 3, 0, "");
    assert_true(status_is(3, VD_AGENT_FILE_XFER_STATUS_SUCCESS));
    assert_int_equal(size_of("empty"), 0);
}

/* What does not come to its end is removed. */
static void test_transfer_ends(void **state UNUSED)
{
    struct transfers t;

    transfers_init(&t, folder, say, NULL);
    start(&t, 1, "cancelled", 6);
    cancel(&t, 1);
    assert_int_equal(size_of("cancelled"), -1);
    start(&t, 2, "too-long", 2);
    data(&t, 2, 3, "abc");
    assert_true(status_is(2, VD_AGENT_FILE_XFER_STATUS_ERROR));
    start(&t, 3, "liar", 10);
    data(&t, 3, UINT64_MAX, "abc");
    assert_true(status_is(3, VD_AGENT_FILE_XFER_STATUS_ERROR));
    assert_true(size_of("too-long") == -1 && size_of("liar") == -1);
    said.count = 0;
    data(&t, 3, 1, "a"); /* the rest of it: answered once */
    data(&t, 3, 1, "a");
    assert_true(said.count == 1 && status_is(3, VD_AGENT_FILE_XFER_STATUS_CANCELLED));
    start(&t, 4, "dropped", 10);
    transfers_drop(&t);
    assert_true(size_of("dropped") == -1 && t.count == 0);
}

static void test_transfer_refused(void **state UNUSED)
{
    struct transfers t;
    char link[300];

    transfers_init(&t, folder, say, NULL);
    t.detailed = true;
    start(&t, 1, "huge", INT64_MAX);
    assert_true(status_is(1, VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE));
    assert_true(said.size == 16 && size_of("huge") == -1);
    start(&t, 2, "../up", 1);
    assert_true(status_is(2, VD_AGENT_FILE_XFER_STATUS_ERROR));
    snprintf(link, sizeof(link), "%s/link", folder);
    assert_int_equal(symlink("target", link), 0);
    start(&t, 3, "link", 1); /* not through it */
    data(&t, 3, 1, "x");
    assert_true(size_of("target") == -1 && size_of("link (1)") == 1);
    for (uint32_t i = 0; i < TRANSFERS_MAX; i++)
        start(&t, 100 + i, "many", 1);
    assert_true(status_is(100 + TRANSFERS_MAX - 1, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA));
    start(&t, 99, "many", 1);
    assert_true(status_is(99, VD_AGENT_FILE_XFER_STATUS_ERROR));
    transfers_drop(&t);
    assert_int_equal(size_of("many"), -1);
    t.folder = NULL;
    start(&t, 5, "off", 1);
    assert_true(status_is(5, VD_AGENT_FILE_XFER_STATUS_DISABLED));
    t.folder = "/nonexistent";
    start(&t, 6, "nowhere", 1);
    assert_true(status_is(6, VD_AGENT_FILE_XFER_STATUS_ERROR));
}

static int make_folder(void **state UNUSED)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state UNUSED)
{
    char command[300];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* --- the clipboard --- */

static struct {
    unsigned owns, disowns, fetches, supplies;
    uint32_t types, type, size;
} shown;

static void own(void *opaque UNUSED, unsigned selection UNUSED, uint32_t types)
{
    shown.owns++;
    shown.types = types;
}

static void disown(void *opaque UNUSED, unsigned selection UNUSED)
{
    shown.disowns++;
}

static void fetch(void *opaque UNUSED, unsigned selection UNUSED, uint32_t type)
{
    shown.fetches++;
    shown.type = type;
}

static void supply(void *opaque UNUSED, unsigned selection UNUSED, uint32_t type, const uint8_t *content UNUSED,
                   uint32_t size)
{
    shown.supplies++;
    shown.type = type;
    shown.size = size;
}

static const struct clipboard_display display = {own, disown, fetch, supply};

static void hear(struct clipboard *c, uint32_t type, const uint32_t *list, uint32_t size)
{
    clipboard_message(c, type, (const uint8_t *)list, size);
}

static void test_clipboard(void **state UNUSED)
{
    struct clipboard c;

    clipboard_init(&c, say, NULL);
    clipboard_set_display(&c, &display, NULL);
    said.count = 0;
    clipboard_grabbed(&c, 0, 1u << 1 | 1u << 2); /* nobody there to hear it */
    assert_int_equal(said.count, 0);
    clipboard_set_client(&c, true);
    assert_true(said.type == VD_AGENT_CLIPBOARD_GRAB && said.size == 12 && word(1) == 1 && word(2) == 2);
    hear(&c, VD_AGENT_CLIPBOARD_REQUEST, (uint32_t[]){0, 1}, 8);
    assert_true(shown.fetches == 1 && shown.type == 1);
    hear(&c, VD_AGENT_CLIPBOARD_REQUEST, (uint32_t[]){0, 3}, 8); /* it is not offered */
    assert_true(shown.fetches == 1 && said.type == VD_AGENT_CLIPBOARD && word(1) == VD_AGENT_CLIPBOARD_NONE);
    hear(&c, VD_AGENT_MAX_CLIPBOARD, (uint32_t[]){2}, 4);
    clipboard_fetched(&c, 0, 1, (const uint8_t *)"abc", 3);
    assert_int_equal(word(1), VD_AGENT_CLIPBOARD_NONE);
    clipboard_fetched(&c, 0, 1, (const uint8_t *)"ab", 2);
    assert_true(word(1) == 1 && said.size == 10);
    hear(&c, VD_AGENT_CLIPBOARD_GRAB, (uint32_t[]){0, 1, 6, 77, UINT32_MAX}, 20);
    assert_true(shown.owns == 1 && shown.types == 1u << 1);
    said.count = 0;
    clipboard_released(&c, 0); /* it was not the guest's any more */
    assert_int_equal(said.count, 0);
    hear(&c, VD_AGENT_CLIPBOARD_GRAB, (uint32_t[]){1, 1}, 8);
    hear(&c, VD_AGENT_CLIPBOARD, (uint32_t[]){1, 1, 0}, 12);
    assert_true(shown.supplies == 1 && shown.size == 4);
    hear(&c, VD_AGENT_CLIPBOARD_GRAB, (uint32_t[]){2, 1}, 8); /* a selection that is not shared */
    hear(&c, VD_AGENT_CLIPBOARD_REQUEST, (uint32_t[]){0}, 4);
    assert_int_equal(shown.owns, 2);
    clipboard_set_client(&c, false);
    assert_int_equal(shown.disowns, 1);
}

static void test_latin1(void **state UNUSED)
{
    size_t size;
    uint8_t *text = latin1_to_utf8((const uint8_t *)"a\xe4\xff", 3, &size);

    assert_int_equal(size, 5);
    assert_memory_equal(text, "a\xc3\xa4\xc3\xbf", 5);
    free(text);
    text = latin1_from_utf8((const uint8_t *)"a\xc3\xa4\xe2\x82\xac\xc3", 7, &size);
    assert_int_equal(size, 4);
    assert_memory_equal(text, "a\xe4??", 4);
    free(text);
}

/* --- monitors --- */

static uint32_t config(uint8_t *to, uint32_t flags, uint32_t count, const VDAgentMonConfig *monitors)
{
    store_le32(to, count);
    store_le32(to + 4, flags);
    memcpy(to + 8, monitors, count * sizeof(*monitors));
    return 8 + count * (uint32_t)sizeof(*monitors);
}

static void test_monitors(void **state UNUSED)
{
    const VDAgentMonConfig monitors[] = {{600, 800, 32, -100, 50}, {0}, {768, 1024, 32, 700, 40}};
    uint8_t body[512];
    uint32_t size = config(body, VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS, 3, monitors);
    struct link_screen s;

    assert_int_equal(monitors_read(body, size, &s), 0);
    assert_true(s.monitors[0].x == 0 && s.monitors[0].y == 10 && s.monitors[2].x == 800 && s.monitors[2].y == 0);
    assert_true(s.width == 1824 && s.height == 768 && s.monitors[1].width == 0);
    config(body, 0, 3, monitors);
    assert_int_equal(monitors_read(body, size, &s), 0);
    assert_true(s.monitors[2].x == 800 && s.monitors[2].y == 0 && s.monitors[0].y == 0);
    assert_int_equal(monitors_read(body, size - 1, &s), -EINVAL);
    store_le32(body, UINT32_MAX);
    assert_int_equal(monitors_read(body, size, &s), -EINVAL);
    size = config(body, 0, 1, &(VDAgentMonConfig){600, 20000});
    assert_int_equal(monitors_read(body, size, &s), -EINVAL);
    size = config(body, 0, 1, &(VDAgentMonConfig){0}); /* none is on */
    assert_int_equal(monitors_read(body, size, &s), -EINVAL);
}

/* --- the pointer --- */

/* As an X server or a compositor maps an axis to a desktop. */
static uint32_t pixel_of(int32_t value, uint32_t pixels)
{
    return (uint32_t)((uint64_t)value * pixels / POINTER_RANGE);
}

static void test_pointer_place(void **state UNUSED)
{
    static const uint32_t sizes[] = {640, 1366, 1920, 5761, 8192, 16384};
    struct input_event e[POINTER_MAX_EVENTS];

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (uint32_t x = 0; x < sizes[i]; x++) {
            struct link_screen s = {sizes[i], 480, 1, {{0, 0, sizes[i], 480}}};
            VDAgentMouseState m = {.x = x, .y = 479};

            assert_int_equal(pointer_events(&m, 0, &s, e), 3);
            assert_int_equal(pixel_of(e[0].value, sizes[i]), x);
            assert_int_equal(pixel_of(e[1].value, 480), 479);
        }
}

static void test_pointer_monitors(void **state UNUSED)
{
    const struct link_screen s = {2000, 1000, 3, {{0, 0, 800, 600}, {0}, {800, 100, 1200, 900}}};
    struct input_event e[POINTER_MAX_EVENTS];

    assert_int_equal(pointer_events(&(VDAgentMouseState){.x = 10, .y = 20, .display_id = 2}, 0, &s, e), 3);
    assert_true(pixel_of(e[0].value, 2000) == 810 && pixel_of(e[1].value, 1000) == 120);
    assert_int_equal(pointer_events(&(VDAgentMouseState){.x = UINT32_MAX, .y = UINT32_MAX}, 0, &s, e), 3);
    assert_true(pixel_of(e[0].value, 2000) == 799 && pixel_of(e[1].value, 1000) == 599);
    assert_int_equal(pointer_events(&(VDAgentMouseState){.display_id = 1}, 0, &s, e), 0); /* it is off */
    assert_int_equal(pointer_events(&(VDAgentMouseState){.display_id = 3}, 0, &s, e), 0);
    assert_int_equal(pointer_events(&(VDAgentMouseState){.display_id = 255}, 0, &s, e), 0);
}

static void test_pointer_buttons(void **state UNUSED)
{
    const struct link_screen s = {800, 600, 1, {{0, 0, 800, 600}}};
    struct input_event e[POINTER_MAX_EVENTS];
    VDAgentMouseState m = {.buttons = VD_AGENT_LBUTTON_MASK | VD_AGENT_UBUTTON_MASK | VD_AGENT_EBUTTON_MASK};

    assert_int_equal(pointer_events(&m, 0, &s, e), 6);
    assert_true(e[2].type == EV_KEY && e[2].code == BTN_LEFT && e[2].value == 1);
    assert_true(e[3].code == BTN_EXTRA && e[3].value == 1);
    assert_true(e[4].type == EV_REL && e[4].code == REL_WHEEL && e[4].value == 1);
    assert_true(e[5].type == EV_SYN);
    m.buttons = VD_AGENT_LBUTTON_MASK | VD_AGENT_DBUTTON_MASK;
    assert_int_equal(pointer_events(&m, VD_AGENT_LBUTTON_MASK | VD_AGENT_UBUTTON_MASK | VD_AGENT_EBUTTON_MASK, &s, e),
                     5);
    assert_true(e[2].code == BTN_EXTRA && e[2].value == 0 && e[3].value == -1);
    m.buttons = UINT32_MAX;
    assert_in_range(pointer_events(&m, 0, &s, e), 1, POINTER_MAX_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_names), cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_transfer_ends), cmocka_unit_test(test_transfer_refused), cmocka_unit_test(test_clipboard),
        cmocka_unit_test(test_latin1), cmocka_unit_test(test_monitors), cmocka_unit_test(test_pointer_place),
        cmocka_unit_test(test_pointer_monitors), cmocka_unit_test(test_pointer_buttons)};

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

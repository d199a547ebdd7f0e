/* Files on their way to the guest's agent: what is said to it, in which order, and what it may answer. */
#include "client/agent_message.h"
#include "client/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spice/vd_agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_client_outboxXXXXXX";

struct rig {
    struct outbox t;
    struct writer w;
};

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void make_file(const char *name, size_t size)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    for (size_t i = 0; i < size; i++)
        fputc((int)(i * 7 & 255), f);
    fclose(f);
}

static int add(struct rig *r, const char *name)
{
    return outbox_add(&r->t, path_of(name));
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));

    outbox_init(&r->t);
    writer_init(&r->w, MIB(1));
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    outbox_fini(&r->t);
    writer_fini(&r->w);
    free(r);
    return 0;
}

/* The next message: its type, 0 for none; its body is behind the header. */
static uint32_t next(struct rig *r)
{
    VDAgentMessage head;

    writer_reset(&r->w);
    if (!outbox_write(&r->t, &r->w))
        return 0;
    memcpy(&head, r->w.data, sizeof(head));
    assert_int_equal(head.protocol, VD_AGENT_PROTOCOL);
    assert_int_equal(head.size, r->w.size - sizeof(head));
    return head.type;
}

static const uint8_t *body(const struct rig *r)
{
    return r->w.data + sizeof(VDAgentMessage);
}

/* START of the next one: its id. */
static uint32_t started(struct rig *r, const char *text)
{
    assert_int_equal(next(r), VD_AGENT_FILE_XFER_START);
    assert_string_equal(body(r) + 4, text); /* with its NUL */
    assert_int_equal(r->w.size, sizeof(VDAgentMessage) + 4 + strlen(text) + 1);
    return load_le32(body(r));
}

static void answer(struct rig *r, uint32_t id, uint32_t result)
{
    uint8_t status[8];

    store_le32(status, id);
    store_le32(status + 4, result);
    outbox_status(&r->t, status, sizeof(status));
}

/* DATA of the file of this id; returns how many bytes, which are checked to be those from `from` on. */
static uint64_t data(struct rig *r, uint32_t id, size_t from)
{
    uint64_t n;

    assert_int_equal(next(r), VD_AGENT_FILE_XFER_DATA);
    assert_int_equal(load_le32(body(r)), id);
    n = load_le64(body(r) + 4);
    assert_int_equal(r->w.size, sizeof(VDAgentMessage) + 12 + n);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(body(r)[12 + i], (from + i) * 7 & 255);
    return n;
}

static void one_after_the_other(void **state)
{
    struct rig *r = *state;
    const struct outbox_progress *p = &r->t.progress;
    uint32_t first, second;

    make_file("a", 100000);
    make_file("b", 0);
    assert_int_equal(add(r, "a"), 0);
    assert_int_equal(add(r, "b"), 0);
    assert_int_equal(p->files, 2);
    assert_int_equal(p->bytes, 100000);
    first = started(r, "[vdagent-file-xfer]\nname=a\nsize=100000\n");
    second = started(r, "[vdagent-file-xfer]\nname=b\nsize=0\n");
    assert_int_equal(next(r), 0); /* nobody has said yet that he wants them */
    answer(r, first, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
    answer(r, second, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
    assert_int_equal(data(r, first, 0), 65536);
    assert_int_equal(data(r, first, 65536), 100000 - 65536);
    assert_int_equal(data(r, second, 0), 0);
    assert_int_equal(next(r), 0);
    assert_int_equal(p->done, 0); /* until the guest has them */
    answer(r, second, VD_AGENT_FILE_XFER_STATUS_SUCCESS);
    answer(r, first, VD_AGENT_FILE_XFER_STATUS_SUCCESS);
    assert_true(outbox_idle(&r->t));
    assert_int_equal(p->done, 2);
    assert_int_equal(p->failed, 0);
    assert_int_equal(p->sent, 100000);
    assert_int_equal(add(r, "b"), 0); /* counted anew */
    assert_int_equal(p->files, 1);
}

static void names(void **state)
{
    struct rig *r = *state;

    make_file(" a\\b\tc", 1);
    make_file("\xc3\xa4\xff.txt", 1);
    assert_int_equal(add(r, " a\\b\tc"), 0);
    assert_int_equal(add(r, "\xc3\xa4\xff.txt"), 0);
    started(r, "[vdagent-file-xfer]\nname=\\sa\\\\b\\tc\nsize=1\n");
    started(r, "[vdagent-file-xfer]\nname=\xc3\xa4_.txt\nsize=1\n");
}

static void refusals(void **state)
{
    struct rig *r = *state;
    const struct outbox_progress *p = &r->t.progress;
    uint8_t status[16] = {0};
    uint32_t id;

    make_file("a", 10);
    mkfifo(path_of("fifo"), 0600);
    assert_int_equal(add(r, "nowhere"), -ENOENT);
    assert_int_equal(add(r, "."), -EISDIR);
    assert_int_equal(add(r, "fifo"), -EINVAL); /* and does not wait */
    assert_true(outbox_idle(&r->t) && p->done == p->files);
    assert_int_equal(add(r, "a"), 0);
    id = started(r, "[vdagent-file-xfer]\nname=a\nsize=10\n");
    store_le32(status, id);
    store_le32(status + 4, VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE);
    store_le64(status + 8, 5 << 20);
    outbox_status(&r->t, status, 7); /* too short to say anything */
    assert_false(outbox_idle(&r->t));
    outbox_status(&r->t, status, sizeof(status));
    assert_true(outbox_idle(&r->t));
    assert_int_equal(p->failed, 1);
    assert_non_null(strstr(p->reason, "5 MiB"));
    outbox_status(&r->t, status, sizeof(status)); /* of nothing that is known */
    assert_int_equal(p->done, 1);
    assert_int_equal(add(r, "a"), 0);
    id = started(r, "[vdagent-file-xfer]\nname=a\nsize=10\n");
    answer(r, id, VD_AGENT_FILE_XFER_STATUS_SUCCESS); /* without a byte of it */
    assert_int_equal(p->failed, 1);
}

static void cancelled(void **state)
{
    struct rig *r = *state;
    uint32_t id;

    make_file("a", 100000);
    assert_int_equal(add(r, "a"), 0);
    assert_int_equal(add(r, "a"), 0);
    id = started(r, "[vdagent-file-xfer]\nname=a\nsize=100000\n");
    answer(r, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
    outbox_cancel(&r->t);
    assert_int_equal(next(r), VD_AGENT_FILE_XFER_STATUS); /* of the one that the guest knows of */
    assert_int_equal(load_le32(body(r)), id);
    assert_int_equal(load_le32(body(r) + 4), VD_AGENT_FILE_XFER_STATUS_CANCELLED);
    assert_int_equal(next(r), 0);
    assert_true(outbox_idle(&r->t));
    assert_int_equal(r->t.progress.failed, 2);
}

static void shrinks(void **state)
{
    struct rig *r = *state;
    uint32_t id;

    make_file("a", 100000);
    assert_int_equal(add(r, "a"), 0);
    id = started(r, "[vdagent-file-xfer]\nname=a\nsize=100000\n");
    answer(r, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
    assert_int_equal(data(r, id, 0), 65536);
    assert_int_equal(truncate(path_of("a"), 70000), 0);
    assert_int_equal(next(r), VD_AGENT_FILE_XFER_STATUS);
    assert_true(outbox_idle(&r->t));
    assert_non_null(strstr(r->t.progress.reason, "shorter"));
}

static void begins_anew(void **state)
{
    struct rig *r = *state;
    uint32_t id, again;

    make_file("a", 100000);
    assert_int_equal(add(r, "a"), 0);
    id = started(r, "[vdagent-file-xfer]\nname=a\nsize=100000\n");
    answer(r, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
    data(r, id, 0);
    outbox_restart(&r->t);
    assert_int_equal(r->t.progress.sent, 0);
    again = started(r, "[vdagent-file-xfer]\nname=a\nsize=100000\n");
    assert_int_not_equal(again, id);
    answer(r, id, VD_AGENT_FILE_XFER_STATUS_ERROR); /* late news of the first */
    answer(r, again, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA);
    assert_int_equal(data(r, again, 0), 65536);
}

/* --- messages of chunks --- */

struct heard {
    unsigned count;
    uint32_t type, size;
    uint8_t last;
};

static int hear(void *opaque, uint32_t type, const uint8_t *bytes, uint32_t size)
{
    struct heard *h = opaque;

    *h = (struct heard){h->count + 1, type, size, size ? bytes[size - 1] : 0};
    return type == 99 ? -EPERM : 0;
}

#define ROOM (2 * (size_t)AGENT_MAX_MESSAGE)

static void put(struct writer *w, uint32_t type, size_t size, uint8_t last)
{
    struct writer one;
    uint8_t *to;

    writer_init(&one, ROOM);
    agent_message_begin(&one, type);
    to = writer_extend(&one, size);
    if (size) {
        memset(to, 0, size);
        to[size - 1] = last;
    }
    agent_message_end(&one);
    writer_bytes(w, one.data, one.size);
    writer_fini(&one);
}

static void read_in_pieces(const struct writer *w, size_t piece, unsigned messages)
{
    struct agent_reader r;
    struct heard h = {0};

    agent_reader_init(&r);
    for (size_t at = 0; at < w->size; at += piece)
        assert_int_equal(agent_read(&r, w->data + at, MIN(piece, w->size - at), hear, &h), 0);
    assert_int_equal(h.count, messages);
    assert_true(h.type == 4 && h.size == 1 && h.last == 8);
    agent_reader_fini(&r);
}

static void any_chunks(void **state UNUSED)
{
    struct agent_reader r;
    struct writer w;

    writer_init(&w, ROOM);
    put(&w, 1, 0, 0);
    put(&w, 2, 5000, 7);
    put(&w, 4, 1, 8);
    for (size_t piece = 1; piece < 10000; piece = piece * 3 + 1)
        read_in_pieces(&w, piece, 3);
    put(&w, 3, AGENT_MAX_MESSAGE + 1, 9); /* passed over */
    put(&w, 4, 1, 8);
    read_in_pieces(&w, AGENT_MAX_CHUNK, 4);
    writer_reset(&w);
    put(&w, 99, 1, 1);
    agent_reader_init(&r);
    assert_int_equal(agent_read(&r, w.data, w.size, hear, &(struct heard){0}), -EPERM);
    agent_reader_fini(&r);
    agent_reader_init(&r);
    store_le32(w.data, VD_AGENT_PROTOCOL + 1);
    assert_int_equal(agent_read(&r, w.data, w.size, hear, &(struct heard){0}), -EBADMSG);
    agent_reader_fini(&r);
    writer_fini(&w);
}

#define OUTBOX(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {OUTBOX(one_after_the_other), OUTBOX(names), OUTBOX(refusals),
                                       OUTBOX(cancelled), OUTBOX(shrinks), OUTBOX(begins_anew),
                                       cmocka_unit_test(any_chunks)};
    char command[PATH_MAX];
    int failed;

    if (!mkdtemp(folder))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command) || failed;
}

#include "client/outbox.h"

#include "base/error.h"
#include "base/log.h"
#include "client/agent_message.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spice/vd_agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE       KIB(64) /* of a file in a message */
#define MAX_STARTED 16      /* that wait for an answer, or their turn */

enum state {
    NEW,
    STARTED,   /* announced: the guest is to say whether it wants it */
    SENDING,   /* it does */
    SENT,      /* the guest is to say that it has it */
    CANCELLED, /* it is to be told */
};

struct transfer {
    TAILQ_ENTRY(transfer) entry;
    enum state state;
    uint32_t id; /* from START on */
    int fd;
    uint64_t size, sent;
    char name[256]; /* UTF-8, no folders */
};

/* --- names --- */

/* Bytes of the character, or 0: this is no UTF-8. */
static size_t utf8_length(const uint8_t *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static void copy_name(char name[256], const char *path)
{
    const char *slash = strrchr(path, '/');

    snprintf(name, 256, "%s", slash ? slash + 1 : path);
    for (uint8_t *p = (uint8_t *)name; *p;) {
        size_t n = utf8_length(p);

        if (!n)
            *p = '_';
        p += MAX(n, 1u);
    }
}

/* As GKeyFile has strings: what would end the line, or be trimmed, is written with a backslash. */
static void write_escaped(struct writer *w, const char *text)
{
    static const char from[] = "\n\r\t\\ ", to[] = "nrt\\s";

    for (const char *p = text; *p; p++) {
        const char *at = strchr(from, *p);

        if (at && (*p != ' ' || p == text)) {
            writer_u8(w, '\\');
            writer_u8(w, (uint8_t)to[at - from]);
        } else {
            writer_u8(w, (uint8_t)*p);
        }
    }
}

/* --- one transfer --- */

static void forget(struct outbox *t, struct transfer *f)
{
    TAILQ_REMOVE(&t->list, f, entry);
    close(f->fd);
    free(f);
}

static void end(struct outbox *t, struct transfer *f)
{
    t->progress.done++;
    t->progress.sent += f->size - f->sent;
    forget(t, f);
}

static void note_failure(struct outbox *t, const char *name, const char *reason)
{
    t->progress.failed++;
    snprintf(t->progress.reason, sizeof(t->progress.reason), "'%.*s' was not sent: %s", 200, name, reason);
    log_warn("%s", t->progress.reason);
}

/* We give it up; the guest is told if it knows of it. */
static void give_up(struct outbox *t, struct transfer *f, const char *reason)
{
    note_failure(t, f->name, reason);
    if (f->state == NEW)
        end(t, f);
    else
        f->state = CANCELLED;
}

static int open_file(struct transfer *f, const char *path)
{
    struct stat st;

    /* A FIFO without a writer would keep us. */
    f->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (f->fd < 0)
        return fail(-errno, "%s", strerror(errno));
    if (fstat(f->fd, &st) < 0)
        return fail(-errno, "%s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(-EISDIR, "it is a folder; pack it into one file first");
    if (!S_ISREG(st.st_mode))
        return fail(-EINVAL, "it is no plain file");
    f->size = (uint64_t)st.st_size;
    return 0;
}

static unsigned count(const struct outbox *t)
{
    const struct transfer *f;
    unsigned n = 0;

    TAILQ_FOREACH(f, &t->list, entry)
        n++;
    return n;
}

static int try_add(struct outbox *t, const char *path, const char *name)
{
    struct transfer *f;
    int err;

    if (count(t) == OUTBOX_MAX)
        return fail(-EMFILE, "%u files are on their way already", OUTBOX_MAX);
    f = calloc(1, sizeof(*f));
    if (!f)
        return fail(-ENOMEM, "out of memory");
    err = open_file(f, path);
    if (err) {
        if (f->fd >= 0)
            close(f->fd);
        free(f);
        return err;
    }
    snprintf(f->name, sizeof(f->name), "%s", name);
    t->progress.bytes += f->size;
    TAILQ_INSERT_TAIL(&t->list, f, entry);
    return 0;
}

int outbox_add(struct outbox *t, const char *path)
{
    char name[256];
    int err;

    if (outbox_idle(t))
        t->progress = (struct outbox_progress){0};
    copy_name(name, path);
    t->progress.files++;
    err = try_add(t, path, name);
    if (err) {
        t->progress.done++;
        note_failure(t, name, fail_text());
    }
    return err ? fail(err, "%s", t->progress.reason) : 0;
}

void outbox_init(struct outbox *t)
{
    *t = (struct outbox){0};
    TAILQ_INIT(&t->list);
}

void outbox_fini(struct outbox *t)
{
    while (!TAILQ_EMPTY(&t->list))
        forget(t, TAILQ_FIRST(&t->list));
}

void outbox_cancel(struct outbox *t)
{
    struct transfer *f, *next;

    for (f = TAILQ_FIRST(&t->list); f; f = next) {
        next = TAILQ_NEXT(f, entry);
        if (f->state != CANCELLED)
            give_up(t, f, "you have cancelled it");
    }
}

/* --- what is said to the agent --- */

static void write_start(struct outbox *t, struct transfer *f, struct writer *w)
{
    char size[32];

    snprintf(size, sizeof(size), "\nsize=%" PRIu64 "\n", f->size);
    f->id = ++t->last_id;
    agent_message_begin(w, VD_AGENT_FILE_XFER_START);
    writer_u32(w, f->id);
    writer_bytes(w, "[vdagent-file-xfer]\nname=", strlen("[vdagent-file-xfer]\nname="));
    write_escaped(w, f->name);
    writer_bytes(w, size, strlen(size) + 1);
    agent_message_end(w);
    f->state = STARTED;
}

static void write_cancel(struct outbox *t, struct transfer *f, struct writer *w)
{
    agent_message_begin(w, VD_AGENT_FILE_XFER_STATUS);
    writer_u32(w, f->id);
    writer_u32(w, VD_AGENT_FILE_XFER_STATUS_CANCELLED);
    agent_message_end(w);
    end(t, f);
}

/* The next piece. An empty file has one too, without a byte. */
static bool write_data(struct outbox *t, struct transfer *f, struct writer *w)
{
    static uint8_t piece[PIECE]; /* only the session's thread comes here */
    size_t want = (size_t)MIN((uint64_t)PIECE, f->size - f->sent);
    ssize_t n = pread(f->fd, piece, want, (off_t)f->sent);

    if (n < 0 || (size_t)n < want) {
        give_up(t, f, n < 0 ? strerror(errno) : "it has become shorter meanwhile");
        return false;
    }
    agent_message_begin(w, VD_AGENT_FILE_XFER_DATA);
    writer_u32(w, f->id);
    writer_u64(w, want);
    writer_bytes(w, piece, want);
    agent_message_end(w);
    f->sent += want;
    t->progress.sent += want;
    if (f->sent == f->size)
        f->state = SENT;
    snprintf(t->progress.name, sizeof(t->progress.name), "%s", f->name);
    return true;
}

static struct transfer *first_in(const struct outbox *t, enum state state)
{
    struct transfer *f;

    TAILQ_FOREACH(f, &t->list, entry)
        if (f->state == state)
            return f;
    return NULL;
}

static unsigned count_started(const struct outbox *t)
{
    const struct transfer *f;
    unsigned n = 0;

    TAILQ_FOREACH(f, &t->list, entry)
        n += f->state == STARTED || f->state == SENDING;
    return n;
}

bool outbox_write(struct outbox *t, struct writer *w)
{
    struct transfer *f;

    f = first_in(t, CANCELLED);
    if (f) {
        write_cancel(t, f, w);
        return true;
    }
    f = first_in(t, NEW);
    if (f && count_started(t) < MAX_STARTED) {
        write_start(t, f, w);
        return true;
    }
    f = first_in(t, SENDING);
    return f && (write_data(t, f, w) || outbox_write(t, w));
}

/* --- what it says --- */

static const char *refusal(uint32_t result, const uint8_t *detail, uint32_t size, char text[100])
{
    switch (result) {
    case VD_AGENT_FILE_XFER_STATUS_SUCCESS:
        return "the guest was content before all of it was there";
    case VD_AGENT_FILE_XFER_STATUS_CANCELLED:
        return "the guest has cancelled it";
    case VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE:
        if (size < 8)
            return "the guest has not enough space";
        snprintf(text, 100, "the guest has not enough space, %" PRIu64 " MiB are free", load_le64(detail) >> 20);
        return text;
    case VD_AGENT_FILE_XFER_STATUS_SESSION_LOCKED:
        return "the guest's screen is locked";
    case VD_AGENT_FILE_XFER_STATUS_VDAGENT_NOT_CONNECTED:
        return "nobody is logged in at the guest's desktop, or its spice-vdagent does not run";
    case VD_AGENT_FILE_XFER_STATUS_DISABLED:
        return "the guest, or the server, takes no files";
    default:
        return "the guest could not write it";
    }
}

void outbox_status(struct outbox *t, const uint8_t *body, uint32_t size)
{
    struct transfer *f;
    struct reader r;
    uint32_t id, result;
    char text[100];

    reader_init(&r, body, size);
    id = reader_u32(&r);
    result = reader_u32(&r);
    TAILQ_FOREACH(f, &t->list, entry)
        if (f->id == id && f->state != NEW)
            break;
    if (r.bad || !f) /* of one that was given up */
        return;
    if (result == VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA) {
        if (f->state == STARTED)
            f->state = SENDING;
        return;
    }
    if (f->state != CANCELLED && (result != VD_AGENT_FILE_XFER_STATUS_SUCCESS || f->state != SENT))
        note_failure(t, f->name, refusal(result, r.p, (uint32_t)reader_left(&r), text));
    end(t, f);
}

void outbox_restart(struct outbox *t)
{
    struct transfer *f, *next;

    for (f = TAILQ_FIRST(&t->list); f; f = next) {
        next = TAILQ_NEXT(f, entry);
        if (f->state == CANCELLED) {
            end(t, f);
            continue;
        }
        t->progress.sent -= f->sent;
        f->sent = 0;
        f->state = NEW;
    }
}

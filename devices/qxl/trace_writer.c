#include "devices/qxl/trace_writer.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define MAX_RECORD MIB(600) /* the largest surface, and what goes with it */

static int write_all(int fd, const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size) {
        ssize_t n = write(fd, p, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        p += MAX(n, 0);
        size -= MAX(n, 0);
    }
    return 0;
}

int trace_writer_open(struct trace_writer *t, const char *path)
{
    int err;

    *t = (struct trace_writer){.header = {.magic = TRACE_MAGIC,
                                          .version = TRACE_VERSION,
                                          .header_size = sizeof(t->header),
                                          .surfaces = 1,
                                          .driver = "qxl"}};
    t->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    err = t->fd < 0 ? -errno : write_all(t->fd, &t->header, sizeof(t->header));
    if (err) {
        if (t->fd >= 0)
            close(t->fd);
        t->fd = -1;
        return fail(err, "the recording '%s' cannot be written: %s", path, strerror(-err));
    }
    writer_init(&t->record, MAX_RECORD);
    return 0;
}

void trace_writer_close(struct trace_writer *t)
{
    if (t->fd < 0)
        return;
    if (pwrite(t->fd, &t->header, sizeof(t->header), 0) != sizeof(t->header))
        log_warn("the recording's header could not be written; its records are good");
    close(t->fd);
    t->fd = -1;
    writer_fini(&t->record);
}

void trace_begin(struct trace_writer *t, uint16_t type)
{
    struct trace_record head = {.type = type};
    uint64_t now = uv_hrtime();

    if (!t->started)
        t->started = now;
    head.time_us = (now - t->started) / 1000;
    t->header.duration_us = head.time_us;
    writer_reset(&t->record);
    t->record.bad = false;
    writer_bytes(&t->record, &head, sizeof(head));
}

void trace_align(struct trace_writer *t)
{
    static const uint8_t zeroes[TRACE_ALIGN];

    writer_bytes(&t->record, zeroes, ALIGN_UP(t->record.size, TRACE_ALIGN) - t->record.size);
}

void trace_end(struct trace_writer *t)
{
    uint32_t length;
    int err;

    trace_align(t);
    if (t->failed)
        return;
    length = t->record.size - sizeof(struct trace_record);
    err = t->record.bad ? -ENOMEM : 0;
    if (!err) {
        store_le32(t->record.data + offsetof(struct trace_record, length), length);
        err = write_all(t->fd, t->record.data, t->record.size);
    }
    if (err) {
        t->failed = true;
        log_error("the recording of the display ends here: %s", strerror(-err));
        return;
    }
    t->header.records++;
    t->header.max_length = MAX(t->header.max_length, length);
}

void trace_put(struct trace_writer *t, uint16_t type, const void *payload, size_t size)
{
    trace_begin(t, type);
    writer_bytes(&t->record, payload, size);
    trace_end(t);
}

void trace_note_surface(struct trace_writer *t, uint32_t id)
{
    t->header.surfaces = MAX(t->header.surfaces, id + 1);
}

#include "guest/agent/transfer.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "guest/agent/transfer_request.h"

#include <errno.h>
#include <fcntl.h>
#include <spice/vd_agent.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* As glib has them, for VD_AGENT_FILE_XFER_STATUS_ERROR. */
enum { G_IO_ERROR_FAILED = 0, G_IO_ERROR_EXISTS = 2, G_IO_ERROR_NO_SPACE = 12, G_IO_ERROR_PERMISSION_DENIED = 14 };

struct transfer {
    struct transfer *next;
    uint32_t id;
    int folder, file;
    uint64_t size, done; /* bytes */
    char name[NAME_MAX + 1];
};

/* --- answers --- */

static void send_status(struct transfers *t, uint32_t id, uint32_t result, const void *detail, uint32_t size)
{
    uint8_t body[sizeof(VDAgentFileXferStatusMessage) + sizeof(VDAgentFileXferStatusNotEnoughSpace)];
    uint32_t extra = t->detailed ? size : 0;

    store_le32(body, id);
    store_le32(body + 4, result);
    if (extra)
        memcpy(body + 8, detail, extra);
    t->send(t->opaque, VD_AGENT_FILE_XFER_STATUS, body, 8 + extra);
}

static void send_no_space(struct transfers *t, uint32_t id, uint64_t free_space)
{
    const VDAgentFileXferStatusNotEnoughSpace detail = {.disk_free_space = free_space};

    send_status(t, id, t->detailed ? VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE : VD_AGENT_FILE_XFER_STATUS_ERROR,
                &detail,
                sizeof(detail));
}

static void send_error(struct transfers *t, uint32_t id, int err)
{
    const VDAgentFileXferStatusError detail = {
        .error_type = VD_AGENT_FILE_XFER_STATUS_ERROR_GLIB_IO,
        .error_code = err == -ENOSPC || err == -EDQUOT                      ? G_IO_ERROR_NO_SPACE
                      : err == -EACCES || err == -EPERM || err == -EROFS    ? G_IO_ERROR_PERMISSION_DENIED
                      : err == -EEXIST                                      ? G_IO_ERROR_EXISTS
                                                                            : G_IO_ERROR_FAILED};

    send_status(t, id, VD_AGENT_FILE_XFER_STATUS_ERROR, &detail, sizeof(detail));
}

/* --- the list --- */

static struct transfer *find(const struct transfers *t, uint32_t id)
{
    struct transfer *at = t->first;

    while (at && at->id != id)
        at = at->next;
    return at;
}

static void end(struct transfers *t, struct transfer *it, bool keep)
{
    struct transfer **at = &t->first;

    while (*at != it)
        at = &(*at)->next;
    *at = it->next;
    t->count--;
    close(it->file);
    if (!keep)
        unlinkat(it->folder, it->name, 0);
    close(it->folder);
    free(it);
}

void transfers_init(struct transfers *t, const char *folder, transfer_send_fn *send, void *opaque)
{
    *t = (struct transfers){.folder = folder, .send = send, .opaque = opaque};
}

void transfers_drop(struct transfers *t)
{
    while (t->first)
        end(t, t->first, false);
    t->stranger = 0;
}

/* --- the beginning --- */

/* it->file, under the first name that is free. */
static int make_file(struct transfer *it, const char *name)
{
    for (unsigned n = 0; n < TRANSFER_TRIES; n++) {
        if (!transfer_name(name, n, it->name))
            return fail(-ENAMETOOLONG, "'%s': the name is too long", name);
        it->file = openat(it->folder, it->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (it->file >= 0)
            return 0;
        if (errno != EEXIST)
            return fail(-errno, "'%s' cannot be made: %s", it->name, strerror(errno));
    }
    return fail(-EEXIST, "there are %d files called '%s'", TRANSFER_TRIES, name);
}

static uint64_t free_space(int folder)
{
    struct statvfs fs;

    return fstatvfs(folder, &fs) ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

static int open_folder(const struct transfers *t)
{
    int fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 ? fd : fail(-errno, "folder '%s': %s", t->folder, strerror(errno));
}

/* Answers the client, unless it returns an error. */
static int begin(struct transfers *t, uint32_t id, const struct transfer_request *request)
{
    struct transfer *it = calloc(1, sizeof(*it));
    int err = it ? 0 : -ENOMEM;

    if (!err && (it->folder = open_folder(t)) < 0)
        err = it->folder;
    if (!err && free_space(it->folder) < request->size) {
        log_warn("'%s' is %llu bytes long, but folder '%s' has not so much room", request->name,
                 (unsigned long long)request->size, t->folder);
        send_no_space(t, id, free_space(it->folder));
        close(it->folder);
        free(it);
        return 0;
    }
    if (!err && (err = make_file(it, request->name)))
        close(it->folder);
    if (err) {
        free(it);
        return err;
    }
    it->id = id;
    it->size = request->size;
    it->next = t->first;
    t->first = it;
    t->count++;
    log_info("'%s' comes, %llu bytes", it->name, (unsigned long long)it->size);
    send_status(t, id, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA, NULL, 0);
    return 0;
}

static void start(struct transfers *t, uint32_t id, const uint8_t *text, size_t length)
{
    struct transfer_request request;
    int err;

    t->stranger = 0;
    if (!t->folder) {
        send_status(t, id, t->detailed ? VD_AGENT_FILE_XFER_STATUS_DISABLED : VD_AGENT_FILE_XFER_STATUS_ERROR, NULL, 0);
        return;
    }
    if (find(t, id)) {
        log_warn("a transfer begins with the number of another");
        return;
    }
    err = t->count < TRANSFERS_MAX ? transfer_request_read(text, length, &request)
                                   : fail(-EBUSY, "there are %d transfers already", TRANSFERS_MAX);
    if (!err)
        err = begin(t, id, &request);
    if (!err)
        return;
    log_warn("a file is not taken: %s", fail_text());
    send_error(t, id, err);
}

/* --- content --- */

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        data += MAX(n, 0);
        size -= (size_t)MAX(n, 0);
    }
    return 0;
}

static void give_up(struct transfers *t, struct transfer *it, int err)
{
    uint32_t id = it->id;
    uint64_t room = free_space(it->folder);

    log_warn("'%s' is removed: %s", it->name, strerror(-err));
    end(t, it, false);
    if (err == -ENOSPC)
        send_no_space(t, id, room);
    else
        send_error(t, id, err);
}

static void take_data(struct transfers *t, struct transfer *it, uint64_t claimed, const uint8_t *data, size_t size)
{
    uint32_t id = it->id;
    int err = claimed != size || size > it->size - it->done ? -EPROTO : write_all(it->file, data, size);

    if (err) {
        give_up(t, it, err);
        return;
    }
    it->done += size;
    if (it->done < it->size)
        return;
    log_info("'%s' is there", it->name);
    end(t, it, true);
    send_status(t, id, VD_AGENT_FILE_XFER_STATUS_SUCCESS, NULL, 0);
}

/* One of before this session was the active one, or that has failed: the client is told, once. */
static void refuse_stranger(struct transfers *t, uint32_t id)
{
    if (t->stranger == id + 1)
        return;
    t->stranger = id + 1;
    send_status(t, id, VD_AGENT_FILE_XFER_STATUS_CANCELLED, NULL, 0);
}

static void take_status(struct transfers *t, struct transfer *it, uint32_t result)
{
    if (!it || (result != VD_AGENT_FILE_XFER_STATUS_CANCELLED && result != VD_AGENT_FILE_XFER_STATUS_ERROR))
        return;
    log_info("the client does not go on with '%s': it is removed", it->name);
    end(t, it, false);
}

void transfers_message(struct transfers *t, uint32_t type, const uint8_t *body, uint32_t size)
{
    struct reader r;
    uint32_t id;
    uint64_t claimed;

    reader_init(&r, body, size);
    id = reader_u32(&r);
    if (type == VD_AGENT_FILE_XFER_START && !r.bad)
        start(t, id, r.p, reader_left(&r));
    if (type == VD_AGENT_FILE_XFER_STATUS)
        take_status(t, find(t, id), reader_u32(&r));
    if (type != VD_AGENT_FILE_XFER_DATA)
        return;
    claimed = reader_u64(&r);
    if (!r.bad && find(t, id))
        take_data(t, find(t, id), claimed, r.p, reader_left(&r));
    else if (!r.bad)
        refuse_stranger(t, id);
}

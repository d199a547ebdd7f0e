/* Output into a file, and the back end that is nobody at all. */
#include "devices/char/char.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct char_file {
    struct char_stream stream;
    int fd;
};

/* The disk is full, say: the guest goes on without its log. */
static void file_hung_up(struct char_stream *stream UNUSED)
{
}

static void file_destroy(struct char_stream *stream)
{
    struct char_file *file = container_of(stream, struct char_file, stream);

    char_stream_disconnect(stream);
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}

static const struct char_kind file_kind = {.hung_up = file_hung_up, .destroy = file_destroy};

static int create(struct char_file **file, struct loop *loop)
{
    *file = calloc(1, sizeof(**file));
    if (!*file)
        return -ENOMEM;
    char_stream_init(&(*file)->stream, &file_kind, loop);
    (*file)->fd = -1;
    return 0;
}

int char_none_create(struct char_stream **stream, struct loop *loop)
{
    struct char_file *file;
    int err = create(&file, loop);

    if (!err)
        *stream = &file->stream;
    return err;
}

int char_file_create(struct char_stream **stream, struct loop *loop, const char *path)
{
    struct char_file *file;
    int err = create(&file, loop);

    if (err)
        return err;
    snprintf(file->stream.name, sizeof(file->stream.name), "%s", path);
    /* Non-blocking for a FIFO: nobody may be reading it. */
    file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    err = file->fd < 0 ? -errno : char_stream_connect(&file->stream, -1, file->fd);
    if (err) {
        file_destroy(&file->stream);
        return fail(err, "cannot write to '%s': %s", path, strerror(-err));
    }
    *stream = &file->stream;
    return 0;
}

#include "backend/chardev.h"

#include "base/error.h"
#include "devices/char/char.h"

#include <errno.h>
#include <string.h>

int chardev_create(struct chardev **c, struct loop *loop, const char *spec)
{
    struct char_stream *stream = NULL;
    int err;

    if (strcmp(spec, "stdio") == 0)
        err = char_stdio_create(&stream, loop);
    else if (strcmp(spec, "pty") == 0)
        err = char_pty_create(&stream, loop);
    else if (strcmp(spec, "none") == 0)
        err = char_none_create(&stream, loop);
    else if (strncmp(spec, "unix:", 5) == 0)
        err = char_unix_create(&stream, loop, spec + 5);
    else if (strncmp(spec, "file:", 5) == 0)
        err = char_file_create(&stream, loop, spec + 5);
    else
        return fail(-EINVAL,
                    "'%s' is no character device; use stdio, pty, unix:PATH, file:PATH or none",
                    spec);
    if (!err)
        *c = &stream->base;
    return err;
}

const char *chardev_name(const struct chardev *c)
{
    return container_of(c, struct char_stream, base)->name;
}

void chardev_set_tap(struct chardev *c, void (*tap)(void *opaque, const uint8_t *data, size_t size),
                     void *opaque)
{
    struct char_stream *stream = container_of(c, struct char_stream, base);

    stream->tap = tap;
    stream->tap_opaque = opaque;
}

void chardev_destroy(struct chardev *c)
{
    if (c)
        c->ops->destroy(c);
}

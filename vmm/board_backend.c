/* board_backend.c - disk images and networks that come and go while the machine runs, each under a name. */
#include "base/error.h"
#include "base/host_file.h"
#include "vmm/board_plug.h"
#include "vmm/board_private.h"
#include "vmm/relay_lock.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static_assert(BOARD_MAX_BACKENDS <= SAVE_MAX_PLUGGED, "all can be saved");

int board_check_id(const char *id)
{
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    size_t size = strlen(id);

    if (!isalpha((unsigned char)id[0]) || strspn(id, rest) != size || size > BOARD_MAX_ID)
        return fail(-EINVAL, "'%.80s' is no identifier: a letter, then letters, digits, '-', '.', '_', at most %d", id,
                    BOARD_MAX_ID);
    return 0;
}

struct backend *board_find_backend(struct board *board, enum board_backend kind, const char *id)
{
    struct backend *b;

    TAILQ_FOREACH(b, &board->backends, link)
        if (b->kind == kind && strcmp(b->id, id) == 0)
            return b;
    return NULL;
}

/* BOARD_MAX_BACKENDS: all are taken. */
static unsigned free_number(const struct board *board)
{
    const struct backend *b;
    uint32_t taken = 0;

    static_assert(BOARD_MAX_BACKENDS == 32, "a bit for each");
    TAILQ_FOREACH(b, &board->backends, link)
        taken |= 1u << b->number;
    return ~taken ? (unsigned)__builtin_ctz(~taken) : BOARD_MAX_BACKENDS;
}

static int new_backend(struct board *board, enum board_backend kind, const char *id, struct backend **backend)
{
    struct backend *b;
    unsigned number;
    int err = board_check_id(id);

    if (err)
        return err;
    if (board_find_backend(board, kind, id))
        return fail(-EEXIST, kind == BOARD_DISK ? "Duplicate nodes with node-name='%s'" : "Duplicate ID '%s' for netdev",
                    id);
    number = free_number(board);
    if (number == BOARD_MAX_BACKENDS)
        return fail(-ENOSPC, "there are %d disks and networks already; remove some", BOARD_MAX_BACKENDS);
    b = calloc(1, sizeof(*b));
    if (!b)
        return fail(-ENOMEM, "out of memory");
    b->kind = kind;
    b->number = number;
    strcpy(b->id, id);
    *backend = b;
    return 0;
}

/* --- disks --- */

/* It shall mean the same to a machine that is restored elsewhere. */
static int keep_path(struct backend *b, const char *path)
{
    char absolute[PATH_MAX];

    if (host_absolute(path, absolute))
        return fail(-ENAMETOOLONG, "disk '%.80s...': the name is too long", path);
    b->path = strdup(absolute);
    b->options.path = b->path;
    return b->path ? 0 : fail(-ENOMEM, "disk '%s': out of memory", path);
}

/* Inside a software host the outside holds the lock. */
static int open_disk(struct board *board, struct backend *b)
{
    bool relayed = board->config->relayed;
    int err = relayed ? relay_lock(&b->options) : 0;

    if (err)
        return err;
    b->options.no_lock = relayed;
    err = board_open_disk(board, &b->disk, &b->options);
    if (err && relayed)
        relay_unlock(b->options.path);
    return err;
}

int board_add_disk(struct board *board, const char *id, const struct disk_options *options)
{
    struct backend *b;
    int err = new_backend(board, BOARD_DISK, id, &b);

    if (err)
        return err;
    b->options = *options;
    snprintf(b->format, sizeof(b->format), "%s", options->format);
    b->options.format = b->format;
    b->options.snapshot = board->config->snapshot;
    err = keep_path(b, options->path);
    if (!err)
        err = open_disk(board, b);
    if (err) {
        free(b->path);
        free(b);
        return err;
    }
    TAILQ_INSERT_TAIL(&board->backends, b, link);
    board_watch_backend(board, b);
    return 0;
}

static int close_disk(struct board *board, struct backend *b)
{
    int err = board_close_disk(board, b->disk);

    if (board->config->relayed)
        relay_unlock(b->options.path);
    return err ? fail(err, "disk '%s' lost data: %s", b->options.path, strerror(-err)) : 0;
}

/* --- networks --- */

int board_add_net(struct board *board, const char *id, const struct net_user_options *options)
{
    struct backend *b;
    int err = new_backend(board, BOARD_NET, id, &b);

    if (err)
        return err;
    b->user.restricted = options->restricted;
    b->user.no_ipv6 = options->no_ipv6;
    err = board_open_user_net(board, &b->net, &b->user);
    if (err)
        free(b);
    else
        TAILQ_INSERT_TAIL(&board->backends, b, link);
    return err;
}

/* --- both --- */

int board_remove_backend(struct board *board, enum board_backend kind, const char *id)
{
    struct backend *b = board_find_backend(board, kind, id);
    int err = 0;

    if (!b)
        return kind == BOARD_DISK ? fail(-EINVAL, "Failed to find node with node-name='%s'", id)
                                  : fail(-ENODEV, "Device '%s' not found", id);
    if (b->used)
        return fail(-EBUSY, "'%s' is in use by a device", id);
    TAILQ_REMOVE(&board->backends, b, link);
    if (kind == BOARD_DISK)
        err = close_disk(board, b);
    else
        board_close_net(board, b->net);
    free(b->path);
    free(b);
    return err;
}

void board_free_backends(struct board *board)
{
    struct backend *b;

    while ((b = TAILQ_FIRST(&board->backends))) {
        TAILQ_REMOVE(&board->backends, b, link);
        free(b->path);
        free(b);
    }
}

/* --- saved state --- */

const struct disk_options *board_plugged_disk(void *opaque, unsigned n)
{
    struct board *board = opaque;
    struct backend *b;

    TAILQ_FOREACH(b, &board->backends, link)
        if (b->kind == BOARD_DISK && n-- == 0)
            return &b->options;
    return NULL;
}

static void save_backend(const struct backend *b, struct writer *w)
{
    size_t size = b->path ? strlen(b->path) : 0;

    writer_bytes(w, b->id, sizeof(b->id));
    writer_u8(w, (uint8_t)b->kind);
    writer_u16(w, (uint16_t)size);
    writer_bytes(w, b->path ? b->path : "", size);
    writer_bytes(w, b->format, sizeof(b->format));
    writer_u8(w, b->options.read_only);
    writer_u8(w, b->options.ignore_discard);
    writer_u8(w, (uint8_t)b->options.cache);
    writer_u8(w, b->user.restricted);
    writer_u8(w, b->user.no_ipv6);
}

void board_save_backends(struct board *board, struct writer *w)
{
    struct backend *b;
    uint32_t count = 0;

    TAILQ_FOREACH(b, &board->backends, link)
        count++;
    writer_u32(w, count);
    TAILQ_FOREACH(b, &board->backends, link)
        save_backend(b, w);
}

static int load_backend(struct board *board, struct reader *r)
{
    char id[BOARD_MAX_ID + 1], path[PATH_MAX] = "", format[BACKEND_MAX_FORMAT + 1];
    struct disk_options disk = {.path = path, .format = format};
    struct net_user_options net = {0};
    uint8_t kind, cache;
    uint16_t size;

    reader_copy(r, id, sizeof(id));
    kind = reader_u8(r);
    size = reader_u16(r);
    if (size >= sizeof(path))
        return fail(-EINVAL, "its list of plugged disks makes no sense");
    reader_copy(r, path, size);
    reader_copy(r, format, sizeof(format));
    id[BOARD_MAX_ID] = format[BACKEND_MAX_FORMAT] = 0;
    disk.read_only = reader_u8(r);
    disk.ignore_discard = reader_u8(r);
    cache = reader_u8(r);
    disk.cache = MIN(cache, DISK_CACHE_UNSAFE);
    net.restricted = reader_u8(r);
    net.no_ipv6 = reader_u8(r);
    if (r->bad)
        return fail(-EINVAL, "its list of plugged disks makes no sense");
    return kind == BOARD_DISK ? board_add_disk(board, id, &disk) : board_add_net(board, id, &net);
}

int board_load_backends(struct board *board, struct reader *r)
{
    uint32_t i, count = reader_u32(r);
    int err = 0;

    for (i = 0; i < count && !err; i++)
        err = load_backend(board, r);
    return err;
}

/* board_io.c - the parts that run in threads of their own: network, balloon, disks. */
#include "base/error.h"
#include "devices/virtio/virtio_balloon.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_net.h"
#include "vmm/board_private.h"
#include "vmm/cloud_init.h"
#include "vmm/net_process.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define CDROM_MIN 2048 /* bytes */

/* Something that belongs to a loop is opened in its thread; the words for what went wrong come along. */
struct opening {
    int (*open)(void *what);
    void *what;
    int err;
    char text[512];
};

static void open_in_loop(void *arg)
{
    struct opening *opening = arg;

    opening->err = opening->open(opening->what);
    if (opening->err)
        snprintf(opening->text, sizeof(opening->text), "%s", fail_text());
}

static int open_by(struct loop *loop, int (*open)(void *what), void *what)
{
    struct opening opening = {.open = open, .what = what};

    loop_call_wait(loop, open_in_loop, &opening);
    return opening.err ? fail(opening.err, "%s", opening.text) : 0;
}

/* --- network and balloon --- */

static int find_boot_rom(const struct vm_config *config, const char **rom)
{
    *rom = config_boots_from(config, BOOT_NETWORK) ? BOARD_NETWORK_ROM : NULL;
    if (*rom && access(*rom, R_OK) != 0)
        return fail(-errno, "--boot network needs '%s'; install the package 'ipxe-qemu'", *rom);
    return 0;
}

static int open_net(void *what)
{
    struct board *board = what;
    const struct vm_config *c = board->config;
    struct net_user_options user = c->net_user;

    user.forwards = c->forwards;
    user.forward_count = c->forward_count;
    return c->net == NET_TAP ? net_tap_create(&board->net, &board->io_loop, c->tap, c->net_queues)
                             : net_process_create(&board->net, &board->io_loop, &user);
}

static int create_net(struct board *board)
{
    struct virtio_net_options net = {.loop = &board->io_loop};
    int err;

    if (board->config->net == NET_NONE)
        return 0;
    err = open_by(&board->io_loop, open_net, board);
    if (err)
        return err;
    net.net = board->net;
    memcpy(net.mac, board->config->mac, sizeof(net.mac));
    err = find_boot_rom(board->config, &net.rom);
    return err ? err : virtio_net_create(&board->machine, PCI_DEVFN(SLOT_NET, 0), &net, &board->net_card);
}

static int create_balloon(struct board *board)
{
    const struct virtio_balloon_options options = {board->config->memory, &board->io_loop};

    if (board->config->no_balloon)
        return 0;
    return virtio_balloon_create(&board->machine, PCI_DEVFN(SLOT_BALLOON, 0), &options, &board->balloon);
}

int board_create_net(struct board *board)
{
    int err = loop_init(&board->io_loop);

    if (!err)
        err = loop_start(&board->io_loop, "io");
    board->io_thread = !err;
    if (!err)
        err = create_net(board);
    return err ? err : create_balloon(board);
}

struct net_opening {
    struct net **net;
    struct loop *loop;
    const struct net_user_options *options;
};

static int open_user_net(void *what)
{
    struct net_opening *o = what;

    return net_process_create(o->net, o->loop, o->options);
}

int board_open_user_net(struct board *board, struct net **net, const struct net_user_options *options)
{
    return open_by(&board->io_loop, open_user_net, &(struct net_opening){net, &board->io_loop, options});
}

static void close_net(void *arg)
{
    net_destroy(arg);
}

void board_close_net(struct board *board, struct net *net)
{
    loop_call_wait(&board->io_loop, close_net, net);
}

/* --- disks --- */

struct disk_opening {
    struct disk **disk;
    struct loop *loop;
    const struct disk_options *options;
};

static int open_image(void *what)
{
    struct disk_opening *o = what;

    return disk_open(o->disk, o->loop, o->options);
}

/* If there are disks, or may be. */
static int start_disk_thread(struct board *board)
{
    int err;

    if (board->disk_thread)
        return 0;
    err = loop_init(&board->disk_loop);
    if (!err)
        err = loop_start(&board->disk_loop, "disk");
    board->disk_thread = !err;
    return err ? fail(err, "no thread for the disks: %s", strerror(-err)) : 0;
}

int board_open_disk(struct board *board, struct disk **disk, const struct disk_options *options)
{
    int err = start_disk_thread(board);

    return err ? err : open_by(&board->disk_loop, open_image, &(struct disk_opening){disk, &board->disk_loop, options});
}

struct disk_closing {
    struct disk *disk;
    int err;
};

static void close_image(void *arg)
{
    struct disk_closing *closing = arg;

    closing->err = disk_close(closing->disk);
}

int board_close_disk(struct board *board, struct disk *disk)
{
    struct disk_closing closing = {.disk = disk};

    if (disk)
        loop_call_wait(&board->disk_loop, close_image, &closing);
    return closing.err;
}

static int check_medium(const struct disk *disk, const char *path)
{
    return disk->size >= CDROM_MIN ? 0 : fail(-EINVAL, "CD '%s' has not even one block of %d bytes", path, CDROM_MIN);
}

static void attach_to_ide(struct board *board, unsigned n, struct ide_options *ide)
{
    unsigned unit = 0;

    while (ide->units[unit].kind != IDE_NONE)
        unit++;
    board->ide_units[n] = unit;
    ide->units[unit] = (struct ide_unit_options){IDE_DISK, board->disks[n], board->config->drives[n].serial};
}

static int create_disk(struct board *board, unsigned n, struct ide_options *ide)
{
    const struct config_drive *drive = &board->config->drives[n];
    struct virtio_blk_options blk = {.loop = &board->disk_loop, .serial = drive->serial};
    int err = board_open_disk(board, &board->disks[n], &board->config->disks[n]);

    if (err)
        return err;
    if (drive->bus == BUS_IDE) {
        attach_to_ide(board, n, ide);
        return 0;
    }
    blk.disk = board->disks[n];
    blk.queues = board->config->disks[n].queues ? board->config->disks[n].queues : board->config->cpus;
    return virtio_blk_create(&board->machine, PCI_DEVFN(SLOT_DISKS + n, 0), &blk);
}

/* A disk of memory, which the image layer opens by the name that this process has for it. */
static int create_seed(struct board *board)
{
    const struct vm_config *c = board->config;
    struct disk_options options = {.format = "raw", .read_only = true, .no_lock = true, .cache = DISK_CACHE_WRITEBACK};
    struct virtio_blk_options blk = {.loop = &board->disk_loop, .serial = "cidata"};
    int fd = cloud_init_create(c->cloud_init, c->name, c->uuid), err;
    char path[32];

    if (fd < 0)
        return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    options.path = path;
    err = board_open_disk(board, &board->seed, &options);
    close(fd);
    blk.disk = board->seed;
    return err ? err : virtio_blk_create(&board->machine, PCI_DEVFN(SLOT_SEED, 0), &blk);
}

static int create_cdrom(struct board *board, unsigned n, struct ide_options *ide)
{
    const struct disk_options *iso = &board->config->cdroms[n];
    int err = iso->path ? board_open_disk(board, &board->cdroms[n], iso) : 0;

    if (!err && board->cdroms[n])
        err = check_medium(board->cdroms[n], iso->path);
    ide->units[IDE_CDROM_UNIT + n] = (struct ide_unit_options){.kind = IDE_CDROM, .disk = board->cdroms[n]};
    return err;
}

/* The IDE function is there only if something is attached to it: to look for drives takes guests a while. */
int board_create_disks(struct board *board)
{
    const struct vm_config *c = board->config;
    struct ide_options ide = {.loop = &board->disk_loop};
    unsigned i;
    int err;

    /* Its thread cannot be made later, in a sandbox. */
    if (!c->disk_count && !c->cdrom_count && !c->cloud_init && !c->control)
        return 0;
    err = start_disk_thread(board);
    for (i = 0; i < c->cdrom_count && !err; i++)
        err = create_cdrom(board, i, &ide);
    for (i = 0; i < c->disk_count && !err; i++)
        err = create_disk(board, i, &ide);
    if (!err && c->cloud_init)
        err = create_seed(board);
    for (i = 0; i < IDE_UNITS && !err; i++)
        if (ide.units[i].kind != IDE_NONE)
            return ide_create(&board->ide, &board->machine, &ide);
    return err;
}

int board_change_cdrom(struct board *board, unsigned n, const char *path, bool force)
{
    const struct disk_options iso = {
        .path = path, .format = "raw", .read_only = true, .no_lock = board->config->relayed};
    struct disk *new = NULL, *old = NULL;
    int err = 0;

    if (n >= board->config->cdrom_count)
        return fail(-ENODEV, "the machine has no CD-ROM drive %u; start it with --cdrom none", n);
    if (path)
        err = board_open_disk(board, &new, &iso);
    if (new)
        err = check_medium(new, path);
    if (!err)
        err = ide_cdrom_change(board->ide, IDE_CDROM_UNIT + n, new, force, &old);
    if (!err)
        board->cdroms[n] = new;
    else
        old = new;
    board_close_disk(board, old);
    return err;
}

/* CDs and the seed are read-only: they have nothing to lose. */
int board_destroy_disks(struct board *board)
{
    struct backend *b;
    unsigned i;
    int err = 0, e;

    if (!board->disk_thread)
        return 0;
    for (i = 0; i < ARRAY_SIZE(board->disks); i++) {
        e = board_close_disk(board, board->disks[i]);
        err = err ? err : e;
    }
    TAILQ_FOREACH(b, &board->backends, link) {
        e = board_close_disk(board, b->disk);
        err = err ? err : e;
    }
    for (i = 0; i < ARRAY_SIZE(board->cdroms); i++)
        board_close_disk(board, board->cdroms[i]);
    board_close_disk(board, board->seed);
    loop_stop(&board->disk_loop);
    loop_join(&board->disk_loop);
    loop_fini(&board->disk_loop);
    return err;
}

void board_destroy_net(struct board *board)
{
    struct backend *b;

    if (!board->io_thread)
        return;
    board_close_net(board, board->net);
    TAILQ_FOREACH(b, &board->backends, link)
        board_close_net(board, b->net);
    loop_stop(&board->io_loop);
    loop_join(&board->io_loop);
    loop_fini(&board->io_loop);
}

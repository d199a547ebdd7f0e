/*
 * The control socket: what a client of QMP sends, byte for byte, to all commands. The machine behind them is played here: it
 * has what the commands ask about, refuses now and then, and answers some later. The first byte says how the bytes come:
 * in pieces of so many, after negotiation or not; a byte 0 among them lets time pass: what waits is answered, and there is
 * an event.
 */
#include "backend/screenshot.h"
#include "base/error.h"
#include "base/log.h"
#include "devices/virtio/virtio_balloon.h"
#include "vmm/board_plug.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 3

static unsigned calls; /* of the board: each third one fails */

static int maybe(void)
{
    return ++calls % 3 ? 0 : fail(-EBUSY, "not now");
}

/* --- the machine --- */

static struct vm_config config = {.name = "fuzz", .control = "unused", .relayed = true};
static struct run run = {.config = &config};
static struct input input;
static struct display display;

bool board_running(const struct board *board UNUSED)
{
    return calls & 1;
}

bool board_drive(struct board *board UNUSED, unsigned n, struct board_drive *drive)
{
    static const struct disk_ops ops = {.format = "raw"};
    static const struct disk disk = {.ops = &ops, .size = MIB(1), .path = "disk"};
    static const struct disk_options options = {.path = "disk"};

    *drive = (struct board_drive){.device = "drive", .disk = n & 1 ? &disk : NULL, .options = &options, .removable = n & 2};
    return n < 4;
}

/* Whatever text came must be text to its end. */
static int look_at(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (texts[i] && strlen(texts[i]) > QMP_MAX_COMMAND)
            abort();
    return maybe();
}

int board_change_cdrom(struct board *board UNUSED, unsigned n, const char *path, bool force UNUSED)
{
    if (n >= CONFIG_MAX_CDROMS)
        abort();
    return look_at(&path, 1);
}

int board_add_disk(struct board *board UNUSED, const char *id, const struct disk_options *options)
{
    return look_at((const char *[]){id, options->path, options->format}, 3);
}

int board_add_net(struct board *board UNUSED, const char *id, const struct net_user_options *options UNUSED)
{
    return look_at(&id, 1);
}

int board_remove_backend(struct board *board UNUSED, enum board_backend kind UNUSED, const char *id)
{
    return look_at(&id, 1);
}

int board_plug(struct board *board UNUSED, const struct board_device *device)
{
    return look_at((const char *[]){device->id, device->backend, device->serial}, 3);
}

int board_unplug(struct board *board UNUSED, const char *id)
{
    int err = look_at(&id, 1);

    if (!err)
        control_unplugged(&run, id);
    return err;
}

void board_on_unplugged(struct board *board UNUSED, void (*fn)(void *opaque, const char *id) UNUSED, void *opaque UNUSED)
{
}

struct virtio_balloon *board_balloon(struct board *board UNUSED)
{
    static uint8_t balloon;

    return maybe() ? NULL : (struct virtio_balloon *)&balloon; /* for the two below alone */
}

void virtio_balloon_set_target(struct virtio_balloon *balloon UNUSED, uint64_t bytes UNUSED)
{
}

void virtio_balloon_stats(struct virtio_balloon *balloon UNUSED, struct balloon_stats *stats)
{
    *stats = (struct balloon_stats){.actual = MIB(64)};
}

struct display *board_display(struct board *board UNUSED, unsigned n)
{
    if (n >= BOARD_MAX_DISPLAYS)
        abort();
    return n ? NULL : &display;
}

/* The file is not written. */
int screenshot_write(struct display *d, const char *path, enum screenshot_format format UNUSED)
{
    if (d != &display)
        abort();
    return look_at(&path, 1);
}

const char *run_state_name(void *opaque UNUSED)
{
    return "running";
}

int run_resume(struct run *r UNUSED)
{
    return maybe();
}

int run_reset(struct run *r UNUSED)
{
    return maybe();
}

int run_save(struct run *r UNUSED, const char *path)
{
    return look_at(&path, 1);
}

int run_check_output(const struct run *r UNUSED, const char *path)
{
    return look_at(&path, 1);
}

void run_pause(struct run *r)
{
    qmp_event(r->qmp, "STOP", NULL);
}

void run_power_down(struct run *r UNUSED)
{
}

void run_quit(struct run *r UNUSED)
{
}

/* --- the client --- */

static void set_up(void)
{
    const struct spice_config spice = {.port = -1};

    log_set_level(LOG_ERROR);
    loop_init(&run.loop);
    input_init(&input);
    display_init(&display, &run.loop, 0, NULL, NULL);
    if (spice_server_create(&run.spice, &run.loop, &spice, &input) || control_start(&run))
        abort();
}

static void run_rounds(void)
{
    for (int i = 0; i < ROUNDS; i++)
        uv_run(&run.loop.uv, UV_RUN_NOWAIT);
}

static void say(int fd, const void *data, size_t size)
{
    if (size && send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* it was dropped, or there is more than is read at once */
    run_rounds();
}

static void let_time_pass(void)
{
    qmp_answer(run.qmp, maybe());
    qmp_event(run.qmp, "RESUME", json_pack("{s:i}", "n", 1));
    run_rounds();
}

static void say_all(int fd, const uint8_t *data, size_t size, size_t piece)
{
    while (size) {
        const uint8_t *zero = memchr(data, 0, MIN(size, piece));
        size_t n = zero ? (size_t)(zero - data) : MIN(size, piece);

        say(fd, data, n);
        if (zero)
            let_time_pass();
        n += zero != NULL;
        data += n;
        size -= n;
    }
}

/* Everything that was answered, so that the server need not keep it. */
static void hear(int fd)
{
    static char answer[KIB(64)];

    while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
        run_rounds();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char negotiation[] = "{\"execute\":\"qmp_capabilities\"}";
    int ends[2];

    if (!run.qmp)
        set_up();
    calls = 0;
    if (!size || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return 0;
    qmp_accept(run.qmp, ends[1]);
    if (data[0] & 1)
        say(ends[0], negotiation, sizeof(negotiation) - 1);
    say_all(ends[0], data + 1, size - 1, data[0] & 2 ? 1 + (data[0] >> 2) : SIZE_MAX);
    let_time_pass();
    hear(ends[0]);
    close(ends[0]);
    run_rounds();
    qmp_answer(run.qmp, 0);
    run_rounds();
    return 0;
}

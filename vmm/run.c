#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "backend/screenshot.h"
#include "spice/codec/video.h"
#include "spice/server/sasl_files.h"
#include "vmm/board_sandbox.h"
#include "vmm/registry.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/random.h>
#include <unistd.h>

#define TWICE_MS      300 /* a signal that comes by both ways within this is one */
#define GRACE_SECONDS 90  /* for a guest that was told to power off */
#define TELLINGS      6   /* times that a guest is told of a pause, ... */
#define TELL_INTERVAL 100 /* ... and ms between them */

/* The first end counts. */
static void end(struct run *run, enum run_status status)
{
    if (run->ended)
        return;
    run->ended = true;
    run->status = status;
    loop_stop(&run->loop);
}

static void start_guest(struct run *run)
{
    run->state = RUN_STATE_RUNNING;
    board_start(run->board);
}

const char *run_state_name(void *opaque)
{
    static const char *const names[] = {
        [RUN_STATE_RUNNING] = "running",
        [RUN_STATE_PAUSED] = "paused",
        [RUN_STATE_IO_ERROR] = "io-error",
        [RUN_STATE_SHUTDOWN] = "shutdown",
        [RUN_STATE_CRASHED] = "guest-panicked",
    };

    return names[((const struct run *)opaque)->state];
}

/* --- what somebody at --control does --- */

void run_pause(struct run *run)
{
    if (run->state == RUN_STATE_RUNNING) {
        board_stop(run->board);
        qmp_event(run->qmp, "STOP", NULL);
    }
    if (run->state == RUN_STATE_RUNNING || run->state == RUN_STATE_IO_ERROR)
        run->state = RUN_STATE_PAUSED;
}

/*
 * A Linux guest believes what KVM says of a pause (KVM_KVMCLOCK_CTRL, at each start) once for each CPU. The first CPU to
 * ask may have done so, and have begun to wait for the others, before time has jumped for all of them, which it then takes
 * for a stall. So it is told again until all have come to themselves, by pauses too short to notice.
 */
static void tell_again(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (run->state == RUN_STATE_RUNNING) {
        board_stop(run->board);
        board_start(run->board);
    }
    if (--run->tellings == 0)
        uv_timer_stop(timer);
}

static void tell_of_pause(struct run *run)
{
    run->tellings = TELLINGS;
    uv_timer_start(&run->tell, tell_again, TELL_INTERVAL, TELL_INTERVAL);
}

int run_resume(struct run *run)
{
    if (run->state == RUN_STATE_SHUTDOWN || run->state == RUN_STATE_CRASHED)
        return fail(-EBUSY, "Resetting the Virtual Machine is required");
    if (run->state == RUN_STATE_PAUSED || run->state == RUN_STATE_IO_ERROR) {
        run_retry_disks(run);
        start_guest(run);
        tell_of_pause(run);
        qmp_event(run->qmp, "RESUME", NULL);
    }
    return 0;
}

/* A machine that was paused stays so. One that waited for a disk does not any more. */
int run_reset(struct run *run)
{
    int err;

    board_stop(run->board);
    err = board_reset(run->board);
    if (err)
        return fail(err, "the machine cannot be reset: %s", strerror(-err));
    qmp_event(run->qmp, "RESET", json_pack("{s:b, s:s}", "guest", 0, "reason", "host-qmp-system-reset"));
    if (run->state == RUN_STATE_IO_ERROR)
        return run_resume(run);
    if (run->state != RUN_STATE_PAUSED)
        start_guest(run);
    return 0;
}

void run_power_down(struct run *run)
{
    run_resume(run);
    board_power_button(run->board);
    qmp_event(run->qmp, "POWERDOWN", NULL);
}

int run_check_output(const struct run *run, const char *path)
{
    return run->config->relayed ? relay_check_output(run->relay, path) : 0;
}

int run_save(struct run *run, const char *path)
{
    int err = run_check_output(run, path);

    if (err)
        return err;
    board_stop(run->board);
    err = board_save(run->board, path);
    if (err && run->state == RUN_STATE_RUNNING)
        board_start(run->board);
    if (err)
        return err;
    run->saving = true;
    end(run, RUN_OK);
    return 0;
}

void run_quit(struct run *run)
{
    qmp_event(run->qmp, "SHUTDOWN", json_pack("{s:b, s:s}", "guest", 0, "reason", "host-qmp-quit"));
    end(run, RUN_OK);
}

/* --- what the guest does --- */

static void restart(struct run *run)
{
    int err = board_reset(run->board);

    if (err) {
        log_error("the machine cannot be reset: %s", strerror(-err));
        end(run, RUN_FAILED);
        return;
    }
    start_guest(run);
}

static void tell_request(struct run *run, enum machine_request what, enum config_action action)
{
    static const char *const actions[] = {"poweroff", "run", "pause"}; /* by enum config_action */

    if (what == MACHINE_CRASH)
        qmp_event(run->qmp, "GUEST_PANICKED", json_pack("{s:s}", "action", actions[action]));
    else if (what == MACHINE_RESET && action == ACTION_RESTART)
        qmp_event(run->qmp, "RESET", json_pack("{s:b, s:s}", "guest", 1, "reason", "guest-reset"));
    else
        qmp_event(run->qmp, "SHUTDOWN",
                  json_pack("{s:b, s:s}", "guest", 1, "reason",
                            what == MACHINE_RESET ? "guest-reset" : "guest-shutdown"));
}

static void on_request(void *opaque, enum machine_request what)
{
    struct run *run = opaque;
    const struct vm_config *c = run->config;
    enum config_action action = what == MACHINE_POWEROFF ? c->on_poweroff
                                : what == MACHINE_RESET  ? c->on_reboot
                                                         : c->on_crash;

    if (what == MACHINE_PAUSE) {
        run->state = RUN_STATE_PAUSED;
        qmp_event(run->qmp, "WATCHDOG", json_pack("{s:s}", "action", "pause"));
        qmp_event(run->qmp, "STOP", NULL);
        return;
    }
    if (what == MACHINE_CRASH)
        log_error("the guest crashed");
    if (what == MACHINE_POWEROFF && run->terminating)
        action = ACTION_DESTROY;
    run->state = what == MACHINE_CRASH ? RUN_STATE_CRASHED : RUN_STATE_SHUTDOWN;
    tell_request(run, what, action);
    if (action == ACTION_RESTART) {
        restart(run);
    } else if (action == ACTION_PRESERVE) {
        log_warn("the machine is kept as it stands; end it with Ctrl-C or SIGTERM");
    } else if (run->expecting && !run->terminating) {
        if (what != MACHINE_CRASH)
            log_error("the guest ended before '%s' was seen; the last line was: %s", c->expect,
                      run->expect.last);
        end(run, RUN_GUEST);
    } else {
        end(run, what == MACHINE_CRASH ? RUN_GUEST : RUN_OK);
    }
}

static void on_serial(void *opaque, const uint8_t *data, size_t size)
{
    struct run *run = opaque;

    if (run->ended || !expect_feed(&run->expect, data, size))
        return;
    end(run, RUN_OK);
}

/* --- what the host does --- */

static void on_timeout(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (run->expecting)
        log_error("timed out after %u s waiting for '%s'; the last line was: %s", run->config->timeout,
                  run->config->expect, run->expect.last);
    else
        log_error("timed out after %u s", run->config->timeout);
    end(run, RUN_TIMEOUT);
}

static void on_grace_over(uv_timer_t *timer)
{
    log_error("the guest has not powered off in %d s: it is ended now", GRACE_SECONDS);
    end(timer->data, RUN_FAILED);
}

/* Ctrl-C reaches all processes of a terminal, and comes from the broker as well. */
static bool came_twice(struct run *run, bool from_broker)
{
    uint64_t now = uv_now(&run->loop.uv), other = run->signalled_at[!from_broker];

    run->signalled_at[from_broker] = now;
    return other && now - other < TWICE_MS;
}

static void take_signal(struct run *run, int signum, bool from_broker)
{
    if (came_twice(run, from_broker))
        return;
    if (run->terminating || run->state == RUN_STATE_SHUTDOWN || run->state == RUN_STATE_CRASHED) {
        if (run->terminating)
            log_error("ended by a second %s: the guest had no time to power off",
                      signum == SIGINT ? "Ctrl-C" : "signal");
        end(run, run->terminating ? RUN_FAILED : RUN_OK);
        return;
    }
    run->terminating = true;
    run_power_down(run);
    uv_timer_start(&run->grace, on_grace_over, GRACE_SECONDS * 1000, 0);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    take_signal(handle->data, signum, false);
}

static void on_broker_signal(void *opaque, int signum)
{
    take_signal(opaque, signum, true);
}

static void on_broker_control(void *opaque, int fd)
{
    struct run *run = opaque;

    if (run->qmp)
        qmp_accept(run->qmp, fd);
    else
        close(fd);
}

static int start_timers_and_signals(struct run *run)
{
    uv_timer_init(&run->loop.uv, &run->timeout);
    uv_timer_init(&run->loop.uv, &run->grace);
    uv_timer_init(&run->loop.uv, &run->tell);
    run->timeout.data = run->grace.data = run->tell.data = run;
    if (run->config->timeout)
        uv_timer_start(&run->timeout, on_timeout, run->config->timeout * 1000ull, 0);
    signal(SIGPIPE, SIG_IGN);
    return loop_catch_signals(&run->loop, on_signal, run);
}

/* --- SPICE --- */

static int choose_password(struct run *run)
{
    const struct vm_config *c = run->config;
    int err = 0;

    if (c->view_password_file)
        err = file_first_line("password file", c->view_password_file, run->view_password, sizeof(run->view_password));
    if (err)
        return err;
    return config_password(c, run->password);
}

/* Ports of the guest's that lead to viewers. */
static int connect_ports(struct run *run)
{
    const struct vm_config *c = run->config;
    struct chardev *end;
    int err = 0;

    for (unsigned i = 0; i < c->port_count && !err; i++) {
        if (c->ports[i].spec)
            continue;
        err = spice_server_add_port(run->spice, c->ports[i].name, &end);
        if (!err)
            err = board_connect_port(run->board, i, end);
    }
    return err;
}

static void disconnect_ports(struct run *run)
{
    for (unsigned i = 0; i < run->config->port_count && run->board; i++)
        if (!run->config->ports[i].spec)
            board_connect_port(run->board, i, NULL);
}

static int start_spice(struct run *run)
{
    const struct vm_config *c = run->config;
    struct spice_config spice = {.listen = c->spice_listen,
                                 .port = c->relayed ? -1 : c->spice_port,
                                 .tls_port = c->relayed ? -1 : c->spice_tls_port,
                                 .web_port = c->relayed ? -1 : c->web_port,
                                 .web_folder = c->web_port >= 0 ? CONFIG_WEB_FOLDER : NULL,
                                 .state = run_state_name,
                                 .state_opaque = run,
                                 .unix_path = c->relayed ? NULL : c->spice_unix,
                                 .sasl = c->sasl,
                                 .sasl_database = c->sasl_database,
                                 .plain_channels = c->plain_channels,
                                 .name = c->name,
                                 .image_compression = c->spice_compression,
                                 .jpeg = c->spice_jpeg,
                                 .zlib = c->spice_zlib,
                                 .streaming = c->spice_streaming,
                                 .video_codecs = c->spice_codecs,
                                 .agent_filter = c->agent_filter,
                                 .raw_sound = c->raw_sound,
                                 .no_agent_mouse = c->no_agent_mouse};
    int err;

    if (!config_has_spice(c))
        return 0;
    if (c->spice_tls_port >= 0) {
        certificate_print(&c->certificate, run->certificate_print);
        spice.tls_certificate = c->certificate.server;
        spice.tls_key = c->certificate.key;
    }
    err = choose_password(run);
    if (err)
        return err;
    if (*run->password)
        spice.password = run->password;
    if (*run->view_password)
        spice.view_password = run->view_password;
    if (getrandom(spice.uuid, sizeof(spice.uuid), 0) != sizeof(spice.uuid))
        return -errno;
    err = spice_server_create(&run->spice, &run->loop, &spice, board_input(run->board));
    for (unsigned i = 0; i < BOARD_MAX_DISPLAYS && !err; i++)
        if (board_display(run->board, i))
            err = spice_server_add_display(run->spice, board_display(run->board, i));
    if (!err && board_sound(run->board))
        err = spice_server_add_sound(run->spice, board_sound(run->board));
    return err ? err : connect_ports(run);
}

/* Without an entry the machine runs all the same. */
static void enter_registry(struct run *run)
{
    const struct vm_config *c = run->config;

    if (run->spice && !c->relayed &&
        registry_enter(&run->registry, c, spice_server_port(run->spice), spice_server_tls_port(run->spice), run->password))
        log_warn("%s", fail_text());
}

static void on_relayed(void *opaque, int fd, const char *peer)
{
    struct run *run = opaque;

    if (run->qmp && strcmp(peer, RELAY_CONTROL) == 0)
        qmp_accept(run->qmp, fd);
    else if (run->spice)
        spice_server_accept(run->spice, fd, peer);
    else
        close(fd);
}

static void say_tcp(const struct run *run, const char *word, const char *scheme, int port)
{
    const char *address = run->config->spice_listen ? run->config->spice_listen : "127.0.0.1";

    printf(strchr(address, ':') ? "%s %s://[%s]:%d" : "%s %s://%s:%d", word, scheme, address, port);
}

static void say_web(const struct run *run)
{
    const struct vm_config *c = run->config;

    if (c->web_port < 0)
        return;
    say_tcp(run, "WEB", c->spice_tls_port >= 0 ? "https" : "http",
            c->relayed ? c->web_port : spice_server_web_port(run->spice));
    printf("\n");
}

/* Where to come, by the safest way there is; what to say there, and what to know it by. */
static void say_address(const struct run *run)
{
    const struct vm_config *c = run->config;
    say_web(run);
    if (c->spice_tls_port >= 0)
        say_tcp(run, "READY", "spice+tls", c->relayed ? c->spice_tls_port : spice_server_tls_port(run->spice));
    else if (c->spice_unix)
        printf("READY spice+unix://%s", c->spice_unix);
    else if (c->spice_port >= 0)
        say_tcp(run, "READY", "spice", c->relayed ? c->spice_port : spice_server_port(run->spice));
    else
        say_tcp(run, "READY", "http", c->relayed ? c->web_port : spice_server_web_port(run->spice));
    if (*c->made_password)
        printf(" password %s", c->made_password);
    if (*run->certificate_print)
        printf(" certificate %s", run->certificate_print);
    printf("\n");
}

static void say_ready(struct run *run)
{
    const struct vm_config *c = run->config;

    if (strcmp(c->serial, "pty") == 0) {
        printf("SERIAL %s\n", chardev_name(board_serial(run->board)));
        fflush(stdout);
    }
    if (run->spice)
        say_address(run);
    fflush(stdout);
}

/* --- from start to end --- */

/* Libraries of SASL read files for each client: as the user that it is by now. */
static int confine_main(bool sasl)
{
    struct sandbox_calls calls = main_sasl_sandbox;
    int err;

    if (!sasl) {
        sandbox_confine((void *)&main_sandbox);
        return 0;
    }
    err = sasl_files_check();
    calls.reads = sasl_files_read();
    if (!err)
        sandbox_confine(&calls);
    return err;
}

/* All is there that the machine needs of the host. */
static int confine(struct run *run)
{
    static const struct broker_callbacks callbacks = {on_broker_control, on_broker_signal};
    struct board_drive drive;
    int err;

    for (unsigned i = 0; i < BOARD_MAX_DRIVES; i++)
        if (board_drive(run->board, i, &drive) && drive.options)
            broker_know(run->link, drive.options->path);

    /* While their libraries can open what they need. */
    json_object_seed(0);
    tzset();
    if (run->spice)
        video_can_encode(SPICE_VIDEO_CODEC_TYPE_H264);
    err = broker_watch(run->link, &run->loop, &callbacks, run);

    if (!err)
        err = broker_close_jail(run->link);
    if (err)
        return err;
    board_confine(run->board);
    return confine_main(run->config->sasl);
}

static int start(struct run *run)
{
    const struct vm_config *c = run->config;
    int err;

    if (c->expect) {
        err = expect_init(&run->expect, c->expect);
        if (err)
            return err;
        run->expecting = true;
    }
    err = board_create(&run->board, c, &run->loop, on_request, run);
    if (err)
        return err;
    run_watch_disks(run);
    if (run->expecting)
        chardev_set_tap(board_serial(run->board), on_serial, run);
    err = start_spice(run);
    if (!err)
        enter_registry(run);
    if (!err)
        err = control_start(run);
    if (!err && c->relayed)
        err = relay_create(&run->relay, &run->loop, on_relayed, run);
    if (!err)
        err = start_timers_and_signals(run);
    if (!err)
        err = confine(run);
    if (err)
        return err;
    start_guest(run);
    if (c->restore)
        tell_of_pause(run);
    say_ready(run);
    return 0;
}

static void take_screenshot(struct run *run)
{
    const char *path = run->config->screenshot;
    int err = path ? screenshot_write(board_display(run->board, 0), path, SCREENSHOT_BY_NAME) : 0;

    if (err) {
        log_error("%s", fail_text());
        run->status = run->status == RUN_OK ? RUN_FAILED : run->status;
    }
}

static void finish(struct run *run)
{
    int err;

    broker_unwatch(run->link);
    relay_destroy(run->relay);
    registry_leave(run->registry);
    disconnect_ports(run);
    spice_server_destroy(run->spice);
    err = board_destroy(run->board);
    run->board = NULL;
    if (err) {
        log_error("%s: %s", run->saving ? "the machine was not saved" : "a disk lost data", strerror(-err));
        run->status = RUN_HOST;
    }
    if (run->saving)
        qmp_answer(run->qmp, err ? fail(err, "the machine was not saved: %s", strerror(-err)) : 0);
    qmp_destroy(run->qmp);
    if (run->expecting)
        expect_fini(&run->expect);
    loop_fini(&run->loop);
}

enum run_status run_machine(const struct vm_config *config, struct broker_link *link)
{
    struct run *run = calloc(1, sizeof(*run));
    enum run_status status;
    int err;

    if (!run || loop_init(&run->loop)) {
        free(run);
        log_error("out of memory or file descriptors");
        return RUN_FAILED;
    }
    run->config = config;
    run->link = link;
    err = start(run);
    if (err) {
        log_error("%s", fail_text()[0] ? fail_text() : strerror(-err));
        run->status = RUN_FAILED;
    } else {
        loop_run(&run->loop);
        board_stop(run->board);
        take_screenshot(run);
    }
    finish(run);
    status = run->status;
    explicit_bzero(run->password, sizeof(run->password));
    free(run);
    return status;
}

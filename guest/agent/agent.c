/*
 * minivm-agent: a desktop session's part of the guest agent, run as its user: clipboard, monitors, files;
 * docs/agent.md.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "guest/agent/session.h"

#include <errno.h>
#include <signal.h>

struct agent {
    const char *socket, *folder, *display;
    bool no_files;
    char downloads[PATH_MAX];
    struct loop loop;
    struct session session;
};

static int set_socket(void *config, const char *value)
{
    ((struct agent *)config)->socket = value;
    return 0;
}

static int set_folder(void *config, const char *value)
{
    ((struct agent *)config)->folder = value;
    return 0;
}

static int set_files(void *config, const char *value)
{
    bool on;

    if (!parse_on_off(value, &on))
        return fail(-EINVAL, "'%s' is neither on nor off", value);
    ((struct agent *)config)->no_files = !on;
    return 0;
}

static int set_display(void *config, const char *value)
{
    ((struct agent *)config)->display = value;
    return 0;
}

static int set_verbose(void *config UNUSED, const char *value UNUSED)
{
    log_set_level(LOG_INFO);
    return 0;
}

static const struct option_def options[] = {
    {"display", "NAME", "the X server (that of the environment)", set_display},
    {"files", "on|off", "take files that the client sends (on)", set_files},
    {"save-dir", "FOLDER", "where they go (the user's downloads)", set_folder},
    {"socket", "PATH", "minivm-agentd's (" LINK_SOCKET ")", set_socket},
    {"verbose", NULL, "say what happens", set_verbose},
};

static const struct option_table table = {.usage = "minivm-agent [OPTION...]", .options = options,
                                          .count = ARRAY_SIZE(options)};

static void stop(uv_signal_t *signal, int number UNUSED)
{
    loop_stop(signal->data);
}

int main(int argc, char **argv)
{
    struct agent a = {.socket = LINK_SOCKET};
    int err;

    log_set_program("minivm-agent");
    signal(SIGPIPE, SIG_IGN);
    err = options_parse(&table, argc, argv, &a);
    if (err == OPTIONS_HELP)
        return 0;
    if (err) {
        log_error("%s", fail_text());
        return 2;
    }
    if (!a.folder) {
        download_folder(a.downloads);
        a.folder = a.downloads;
    }
    if (loop_init(&a.loop))
        die("no event loop");
    if (session_init(&a.session, &a.loop, a.socket, a.no_files ? NULL : a.folder, a.display))
        die("%s", fail_text());
    loop_catch_signals(&a.loop, stop, &a.loop);
    loop_run(&a.loop);
    session_fini(&a.session);
    loop_fini(&a.loop);
    return 0;
}

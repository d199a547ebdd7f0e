/*
 * minivm-client: a SPICE client.
 *
 * Threads: the session with all its channels, decoding and drawing belongs to the loop's thread; the window and SDL to the
 * main thread. They share struct screen, under its lock. Without a window the main thread runs the loop.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "client/errands.h"
#include "client/options.h"
#include "client/stats.h"
#include "client/viewer.h"
#include "client/window.h"

#include <signal.h>
#include <stdio.h>

struct client {
    struct client_options options;
    struct loop loop;
    struct screen screen;
    struct viewer viewer;
    struct errands errands;
};

static void viewer_ended(void *opaque)
{
    struct client *client = opaque;

    errands_stop(&client->errands);
    screen_lock(&client->screen);
    client->screen.over = true;
    screen_unlock(&client->screen);
    screen_wake(&client->screen);
    loop_stop(&client->loop);
}

static void interrupted(uv_signal_t *signal, int number UNUSED)
{
    struct client *client = signal->data;

    client->errands.stage = ERRAND_DONE;
    viewer_end(&client->viewer, 0);
}

static void user_closed(void *arg)
{
    struct client *client = arg;

    client->errands.stage = ERRAND_DONE;
    viewer_end(&client->viewer, 0);
}

static int start(struct client *client)
{
    bool window = !client->options.headless;
    int err;

    client->viewer.on_end = viewer_ended;
    client->viewer.opaque = client;
    err = viewer_start(&client->viewer, &client->loop, &client->options, &client->screen, window);
    return err ? err : errands_start(&client->errands, &client->viewer);
}

/* The server is asked while the window opens: each takes as long as the other. */
static int run_window(struct client *client)
{
    struct window *window;
    int err = window_create(&window, &client->screen, &client->viewer, &client->options.window);

    if (err)
        return err;
    err = start(client);
    if (!err)
        err = loop_start(&client->loop, "session");
    if (!err) {
        err = window_open(window);
        if (!err)
            window_run(window);
        loop_call(&client->loop, user_closed, client);
        loop_join(&client->loop);
    }
    window_destroy(window);
    return err;
}

static int run_headless(struct client *client)
{
    int err = start(client);

    /* With a window SDL makes its own of them. */
    if (!err)
        err = loop_catch_signals(&client->loop, interrupted, client);
    if (!err)
        loop_run(&client->loop);
    return err;
}

static int run(struct client *client)
{
    return client->options.headless ? run_headless(client) : run_window(client);
}

/* Prints why, if it failed; returns the exit status. */
static int conclude(struct client *client, int err)
{
    const char *text = err ? fail_text() : client->viewer.session.reason;

    if (!err && client->options.stats)
        stats_print(&client->viewer.session);
    if (!err && !client->viewer.session.result)
        return 0;
    log_error("%s", text[0] ? text : uv_strerror(err ? err : client->viewer.session.result));
    return 1;
}

int main(int argc, char **argv)
{
    static struct client client;
    int err, status;

    log_set_program("minivm-client");
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes into sockets that may have been closed */
    err = client_options_parse(&client.options, argc, argv);
    if (err == OPTIONS_HELP)
        return 0;
    if (err) {
        log_error("%s", fail_text());
        return err == -EINVAL ? 2 : 1;
    }
    if (client.options.verbose)
        log_set_level(LOG_DEBUG);
    screen_init(&client.screen);
    err = loop_init(&client.loop);
    if (!err)
        err = run(&client);
    status = conclude(&client, err);
    loop_fini(&client.loop);
    viewer_fini(&client.viewer);
    screen_fini(&client.screen);
    client_options_fini(&client.options);
    return status;
}

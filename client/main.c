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
#include "client/session.h"
#include "client/stats.h"
#include "client/window.h"

#include <signal.h>
#include <stdio.h>

struct client {
    struct client_options options;
    struct loop loop;
    struct screen screen;
    struct session session;
    struct errands errands;
};

static void session_ended(void *opaque)
{
    struct client *client = opaque;

    errands_stop(&client->errands);
    loop_stop(&client->loop);
}

static void interrupted(uv_signal_t *signal, int number UNUSED)
{
    struct client *client = signal->data;

    client->errands.stage = ERRAND_DONE;
    session_end(&client->session, 0);
}

static void user_closed(void *arg)
{
    struct client *client = arg;

    client->errands.stage = ERRAND_DONE;
    session_end(&client->session, 0);
}

static int run_window(struct client *client)
{
    struct window *window;
    int err = window_create(&window, &client->screen, &client->session);

    if (!err)
        err = loop_start(&client->loop, "session");
    if (err) {
        session_end(&client->session, err);
        return err;
    }
    window_run(window);
    loop_call(&client->loop, user_closed, client);
    loop_join(&client->loop);
    window_destroy(window);
    return 0;
}

static int run(struct client *client)
{
    int err = session_start(&client->session, &client->loop, &client->options, &client->screen);

    if (err)
        return err;
    client->session.on_end = session_ended;
    client->session.opaque = client;
    err = errands_start(&client->errands, &client->session);
    if (err) {
        session_end(&client->session, err);
        return err;
    }
    if (!client->options.headless)
        return run_window(client);
    /* With a window SDL makes its own of them. */
    err = loop_catch_signals(&client->loop, interrupted, client);
    if (err) {
        session_end(&client->session, err);
        return err;
    }
    loop_run(&client->loop);
    return 0;
}

/* Prints why, if it failed; returns the exit status. */
static int conclude(struct client *client, int err)
{
    const char *text = err ? fail_text() : client->session.reason;

    if (!err && client->options.stats)
        stats_print(&client->session);
    if (!err && !client->session.result)
        return 0;
    log_error("%s", text[0] ? text : uv_strerror(err ? err : client->session.result));
    return 1;
}

int main(int argc, char **argv)
{
    static struct client client;
    int err, status;

    log_set_program("minivm-client");
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
    session_fini(&client.session);
    screen_fini(&client.screen);
    return status;
}

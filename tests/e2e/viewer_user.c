/*
 * A window's place, taken by a program: runs client/viewer.c on a command line of minivm-client, prints each status as
 * "STATE MILLISECONDS TEXT" (\n as a blank; how long it is until the next try), and does what stdin says, one command
 * a line:
 *
 *   answer TEXT | give-up | retry | key CODE | close
 *   lose (the network says that the host cannot be reached) | hang-up (as when the server does)
 *
 * Ends after close, or the end of stdin, in whatever state. With --headless the viewer is as the program without a
 * window has it.
 */
#include "base/error.h"
#include "base/log.h"
#include "client/viewer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct user {
    struct loop loop;
    struct screen screen;
    struct client_options options;
    struct viewer viewer;
} user;

static void show(void *opaque UNUSED)
{
    static const char *const names[] = {"CONNECTING", "AUTHENTICATING", "ASKS_PASSWORD", "ASKS_TRUST",
                                        "CONNECTED",  "WAITS",          "ENDED"};
    static struct client_status last = {.state = ARRAY_SIZE(names)};
    struct client_status now;
    uint64_t ms = 0;

    screen_lock(&user.screen);
    now = user.screen.status;
    screen_unlock(&user.screen);
    if (now.state == last.state && now.retry_ns == last.retry_ns && strcmp(now.text, last.text) == 0)
        return;
    last = now;
    if (now.state == CLIENT_WAITS)
        ms = now.retry_ns / 1000000 - now_ns() / 1000000;
    for (char *c = now.text; (c = strchr(c, '\n'));)
        *c = ' ';
    printf("%s %lu %s\n", names[now.state], (unsigned long)ms, now.text);
}

static void ended(void *opaque UNUSED)
{
    loop_stop(&user.loop);
}

static void lose(void *arg UNUSED)
{
    session_end(&user.viewer.session, SESSION_LOST, fail(-EHOSTUNREACH, "no route to host"));
}

static void hang_up(void *arg UNUSED)
{
    struct channel *main_channel = TAILQ_FIRST(&user.viewer.session.channels);

    if (main_channel)
        shutdown(main_channel->stream.fd, SHUT_RDWR);
}

static void command(const char *line)
{
    struct user_event key = {USER_KEY, .down = true};

    if (strncmp(line, "answer ", 7) == 0)
        viewer_answer(&user.viewer, line + 7);
    else if (strcmp(line, "give-up") == 0)
        viewer_answer(&user.viewer, NULL);
    else if (strcmp(line, "retry") == 0)
        viewer_retry(&user.viewer);
    else if (sscanf(line, "key %hi", &key.key) == 1)
        viewer_post(&user.viewer, &key);
    else if (strcmp(line, "lose") == 0)
        loop_call(&user.loop, lose, NULL);
    else if (strcmp(line, "hang-up") == 0)
        loop_call(&user.loop, hang_up, NULL);
    else
        die("unknown command: %s", line);
}

int main(int argc, char **argv)
{
    char line[300];

    log_set_program("viewer_user");
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (client_options_parse(&user.options, argc, argv))
        die("%s", fail_text());
    screen_init(&user.screen);
    user.screen.wake = show;
    user.viewer.on_end = ended;
    if (loop_init(&user.loop) ||
        viewer_start(&user.viewer, &user.loop, &user.options, &user.screen, !user.options.headless) ||
        loop_start(&user.loop, "session"))
        die("%s", fail_text());
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "close") == 0)
            break;
        command(line);
    }
    viewer_close(&user.viewer);
    loop_join(&user.loop);
    loop_fini(&user.loop);
    viewer_fini(&user.viewer);
    screen_fini(&user.screen);
    client_options_fini(&user.options);
    printf("OVER\n");
    return 0;
}

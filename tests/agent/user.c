/*
 * user.c - what a user does with a guest's agent, through spice-gtk without a window:
 *
 *   user --port N
 *
 *   offer SELECTION TYPE FILE    has copied the file's content
 *   ask SELECTION TYPE FILE      pastes into the file
 *   release SELECTION
 *   send FILE                    drops a file on the guest
 *   cancel                       the last one of these
 *   point X Y BUTTONS            SPICE_MOUSE_BUTTON_MASK_*; in the client mouse mode
 *   monitors WxH+X+Y ...         0x0+0+0: off
 *
 * Commands come on the standard input, one a line. Lines on the standard output say what happened: AGENT 1, GRAB 0 1 2,
 * RELEASE 0, REQUEST 0 1, CONTENT 0 1 SIZE, PROGRESS DONE TOTAL, FILE ok, SENT ok, MOUSE 2.
 */
#include "base/base.h"
#include "base/log.h"

#include <fcntl.h>
#include <spice-client.h>
#include <spice/vd_agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SELECTIONS 2
#define TYPES      6

static struct user {
    SpiceMainChannel *main;
    SpiceInputsChannel *inputs;
    GMainLoop *loop;
    char *offered[SELECTIONS][TYPES], *asked[SELECTIONS][TYPES]; /* files */
    GCancellable *cancel;
} user;

#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))

/* --- from the guest --- */

static void on_grab(SpiceMainChannel *m UNUSED, guint selection, guint32 *types, guint count, gpointer opaque UNUSED)
{
    printf("GRAB %u", selection);
    for (guint i = 0; i < count; i++)
        printf(" %u", types[i]);
    SAY("\n");
}

static void on_release(SpiceMainChannel *m UNUSED, guint selection, gpointer opaque UNUSED)
{
    SAY("RELEASE %u\n", selection);
}

static gboolean on_request(SpiceMainChannel *m, guint selection, guint type, gpointer opaque UNUSED)
{
    char *content = NULL;
    gsize size = 0;

    SAY("REQUEST %u %u\n", selection, type);
    if (selection < SELECTIONS && type < TYPES && user.offered[selection][type])
        g_file_get_contents(user.offered[selection][type], &content, &size, NULL);
    spice_main_channel_clipboard_selection_notify(m, selection, content ? type : VD_AGENT_CLIPBOARD_NONE,
                                                  (guchar *)content, size);
    g_free(content);
    return TRUE;
}

static void on_content(SpiceMainChannel *m UNUSED, guint selection, guint type, gpointer data, guint size,
                       gpointer opaque UNUSED)
{
    if (selection < SELECTIONS && type < TYPES && user.asked[selection][type])
        g_file_set_contents(user.asked[selection][type], data, size, NULL);
    SAY("CONTENT %u %u %u\n", selection, type, size);
}

/* It is there once it has said what it can. */
static void on_agent(SpiceMainChannel *m, gpointer opaque UNUSED)
{
    static gboolean told;
    gboolean connected;

    g_object_get(m, "agent-connected", &connected, NULL);
    connected = connected && spice_main_channel_agent_test_capability(m, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND);
    if (connected != told)
        SAY("AGENT %d\n", connected);
    told = connected;
}

static void on_mouse(SpiceMainChannel *m, gpointer opaque UNUSED)
{
    int mode;

    g_object_get(m, "mouse-mode", &mode, NULL);
    SAY("MOUSE %d\n", mode);
}

/* --- files --- */

static void on_progress(goffset done, goffset total, gpointer opaque UNUSED)
{
    SAY("PROGRESS %lld %lld\n", (long long)done, (long long)total);
}

static void on_sent(GObject *source, GAsyncResult *result, gpointer opaque UNUSED)
{
    GError *error = NULL;

    if (spice_main_channel_file_copy_finish(SPICE_MAIN_CHANNEL(source), result, &error))
        SAY("SENT ok\n");
    else
        SAY("SENT %s\n", error->message);
}

static void on_finished(SpiceFileTransferTask *task UNUSED, GError *error, gpointer opaque UNUSED)
{
    SAY("FILE %s\n", error ? error->message : "ok");
}

static void on_file(SpiceMainChannel *m UNUSED, SpiceFileTransferTask *task, gpointer opaque UNUSED)
{
    g_signal_connect(task, "finished", G_CALLBACK(on_finished), NULL);
}

static void send_file(const char *path)
{
    GFile *files[] = {g_file_new_for_path(path), NULL};

    user.cancel = g_cancellable_new();
    spice_main_channel_file_copy_async(user.main, files, G_FILE_COPY_NONE, user.cancel, on_progress, NULL, on_sent,
                                       NULL);
}

/* --- commands --- */

static void offer(const char *arguments)
{
    guint32 type;
    guint selection;
    char path[4096];

    if (sscanf(arguments, "%u %u %4095s", &selection, &type, path) != 3 || selection >= SELECTIONS || type >= TYPES)
        die("offer what?");
    user.offered[selection][type] = strdup(path);
    spice_main_channel_clipboard_selection_grab(user.main, selection, &type, 1);
}

static void ask(const char *arguments)
{
    guint type, selection;
    char path[4096];

    if (sscanf(arguments, "%u %u %4095s", &selection, &type, path) != 3 || selection >= SELECTIONS || type >= TYPES)
        die("ask what?");
    user.asked[selection][type] = strdup(path);
    spice_main_channel_clipboard_selection_request(user.main, selection, type);
}

static void point(const char *arguments)
{
    int x, y, buttons;

    if (sscanf(arguments, "%d %d %d", &x, &y, &buttons) != 3)
        die("point where?");
    if (!user.inputs)
        return; /* its channel is on the way: who points says it again */
    spice_inputs_channel_position(user.inputs, x, y, 0, buttons);
}

static void set_monitors(const char *arguments)
{
    int width, height, x, y, used;

    for (int id = 0; sscanf(arguments, " %dx%d+%d+%d%n", &width, &height, &x, &y, &used) == 4; id++,
         arguments += used) {
        spice_main_channel_update_display_enabled(user.main, id, width > 0, FALSE);
        spice_main_channel_update_display(user.main, id, x, y, width, height, FALSE);
    }
    spice_main_channel_send_monitor_config(user.main);
}

static gboolean on_command(GIOChannel *input, GIOCondition condition UNUSED, gpointer opaque UNUSED)
{
    char *line = NULL;

    if (g_io_channel_read_line(input, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL)
        exit(0);
    g_strchomp(line);
    if (strncmp(line, "offer ", 6) == 0)
        offer(line + 6);
    else if (strncmp(line, "ask ", 4) == 0)
        ask(line + 4);
    else if (strncmp(line, "release ", 8) == 0)
        spice_main_channel_clipboard_selection_release(user.main, (guint)atoi(line + 8));
    else if (strncmp(line, "send ", 5) == 0)
        send_file(line + 5);
    else if (strcmp(line, "cancel") == 0)
        g_cancellable_cancel(user.cancel);
    else if (strncmp(line, "point ", 6) == 0)
        point(line + 6);
    else if (strncmp(line, "monitors ", 9) == 0)
        set_monitors(line + 9);
    else
        die("no such command: %s", line);
    g_free(line);
    return TRUE;
}

/* --- the session --- */

static void on_event(SpiceChannel *channel UNUSED, SpiceChannelEvent event, gpointer opaque UNUSED)
{
    if (event != SPICE_CHANNEL_OPENED)
        die("the server was lost: %d", event);
    g_io_add_watch(g_io_channel_unix_new(0), G_IO_IN | G_IO_HUP, on_command, NULL);
    SAY("CONNECTED\n");
}

static void on_channel(SpiceSession *session UNUSED, SpiceChannel *channel, gpointer opaque UNUSED)
{
    static const struct {
        const char *name;
        GCallback fn;
    } signals[] = {{"channel-event", G_CALLBACK(on_event)},
                   {"main-clipboard-selection-grab", G_CALLBACK(on_grab)},
                   {"main-clipboard-selection-release", G_CALLBACK(on_release)},
                   {"main-clipboard-selection-request", G_CALLBACK(on_request)},
                   {"main-clipboard-selection", G_CALLBACK(on_content)},
                   {"new-file-transfer", G_CALLBACK(on_file)},
                   {"main-agent-update", G_CALLBACK(on_agent)},
                   {"main-mouse-update", G_CALLBACK(on_mouse)}};

    if (SPICE_IS_INPUTS_CHANNEL(channel)) {
        user.inputs = SPICE_INPUTS_CHANNEL(channel);
        spice_channel_connect(channel);
    }
    if (!SPICE_IS_MAIN_CHANNEL(channel))
        return;
    user.main = SPICE_MAIN_CHANNEL(channel);
    /* It would have all side by side. */
    g_object_set(channel, "disable-display-align", TRUE, "disable-display-position", FALSE, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        g_signal_connect(channel, signals[i].name, signals[i].fn, NULL);
}

int main(int argc, char **argv)
{
    SpiceSession *session = spice_session_new();

    log_set_program("user");
    if (argc != 3 || strcmp(argv[1], "--port"))
        die("usage: user --port N");
    g_object_set(session, "host", "127.0.0.1", "port", argv[2], NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel), NULL);
    user.loop = g_main_loop_new(NULL, FALSE);
    if (!spice_session_connect(session))
        die("cannot connect to port %s", argv[2]);
    g_main_loop_run(user.loop);
}

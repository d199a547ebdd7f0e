/*
 * hear.c - spice-gtk hears what a server plays, without a window:
 *
 *   hear PORT
 *
 * It plays it where its own back end does: by GStreamer that is what SPICE_GST_AUDIOSINK says. Prints "HEARS" when a stream
 * has begun. The program ends with its standard input.
 */
#include "base/base.h"
#include "base/log.h"

#include <spice-client.h>
#include <stdio.h>

static void on_start(SpicePlaybackChannel *c UNUSED, gint format UNUSED, gint channels UNUSED, gint rate UNUSED,
                     gpointer opaque UNUSED)
{
    printf("HEARS\n");
    fflush(stdout);
}

static void on_channel(SpiceSession *session UNUSED, SpiceChannel *c, gpointer opaque UNUSED)
{
    if (!SPICE_IS_PLAYBACK_CHANNEL(c))
        return;
    g_signal_connect(c, "playback-start", G_CALLBACK(on_start), NULL);
    spice_channel_connect(c);
}

static gboolean on_input(GIOChannel *input UNUSED, GIOCondition condition UNUSED, gpointer opaque)
{
    g_main_loop_quit(opaque);
    return FALSE;
}

int main(int argc, char **argv)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    SpiceSession *session = spice_session_new();

    if (argc != 2)
        die("usage: hear PORT");
    g_object_set(session, "host", "127.0.0.1", "port", argv[1], NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel), NULL);
    if (!spice_audio_get(session, NULL))
        die("spice-gtk has no sound");
    spice_session_connect(session);
    g_io_add_watch(g_io_channel_unix_new(0), G_IO_IN | G_IO_HUP, on_input, loop);
    g_main_loop_run(loop);
    return 0;
}

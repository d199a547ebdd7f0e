/*
 * host.c - libspice-server with a sound card: it plays 440 Hz on the left and 1 kHz on the right, and writes what is
 * recorded into a file.
 *
 *   host [--rate N] [--raw] [--record FILE] [SETTINGS]
 *
 * Prints "PORT N". Commands, a line each: play, stop, volume LEFT RIGHT, mute 0|1, hold MS (nothing is played for so long),
 * restart N (stop and start, with 100 ms between), record 0|1, record-volume LEFT RIGHT. Each
 * is answered by itself. The rate is what the server says is best for its clients, unless given. The program ends with its
 * standard input.
 */
#include "base/log.h"
#include "base/rect.h"
#include "tests/lib/tones.h"
#include "tests/reference/device.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WIDTH  64
#define HEIGHT 64
#define TICK_MS 5

static struct host {
    struct loop loop;
    struct device_settings settings;
    uint32_t rate, playing_rate, recording_rate;
    SpicePlaybackInstance playback;
    SpiceRecordInstance record;
    bool playing, recording;
    uint64_t began_ns; /* of the stream */
    uint64_t played;   /* frames, since then */
    uint32_t *frame;   /* the server's, being filled */
    uint32_t frame_size, frame_used;
    FILE *file;
    uv_timer_t tick;
    unsigned restarts; /* that are to follow: a stop and a start, each a while after the other */
    uint64_t restart_at_ns;
} host;

static const SpicePlaybackInterface playback_interface = {
    .base = {SPICE_INTERFACE_PLAYBACK, "speaker", SPICE_INTERFACE_PLAYBACK_MAJOR, SPICE_INTERFACE_PLAYBACK_MINOR}};
static const SpiceRecordInterface record_interface = {
    .base = {SPICE_INTERFACE_RECORD, "microphone", SPICE_INTERFACE_RECORD_MAJOR, SPICE_INTERFACE_RECORD_MINOR}};

static void start_playing(void)
{
    host.playing_rate = host.rate ? host.rate : spice_server_get_best_playback_rate(&host.playback);
    spice_server_set_playback_rate(&host.playback, host.playing_rate);
    spice_server_playback_start(&host.playback);
    host.began_ns = uv_hrtime();
    host.played = 0;
    host.playing = true;
}

static void stop_playing(void)
{
    host.playing = false;
    if (host.frame) { /* the server has a few of them only */
        memset(host.frame + host.frame_used, 0, (host.frame_size - host.frame_used) * sizeof(*host.frame));
        spice_server_playback_put_samples(&host.playback, host.frame);
    }
    host.frame = NULL;
    host.frame_used = 0;
    spice_server_playback_stop(&host.playback);
}

static void write_frame(void)
{
    int16_t samples[2];

    tones_make(samples, 2, host.playing_rate, host.played++, 1);
    if (host.frame)
        host.frame[host.frame_used] = (uint16_t)samples[0] | (uint32_t)(uint16_t)samples[1] << 16;
    host.frame_used++;
}

/* As a card: as many frames as its clock says; without a client they are lost. */
static void play_due(void)
{
    uint64_t due = (uint64_t)((double)(uv_hrtime() - host.began_ns) / 1e9 * host.playing_rate);

    while (host.played < due) {
        if (!host.frame_used) {
            spice_server_playback_get_buffer(&host.playback, &host.frame, &host.frame_size);
            if (!host.frame)
                host.frame_size = host.playing_rate / 100;
        }
        write_frame();
        if (host.frame_used < host.frame_size)
            continue;
        if (host.frame)
            spice_server_playback_put_samples(&host.playback, host.frame);
        host.frame = NULL;
        host.frame_used = 0;
    }
}

static void take_recorded(void)
{
    uint32_t frames[4096], n;

    while ((n = spice_server_record_get_samples(&host.record, frames, ARRAY_SIZE(frames))) > 0)
        fwrite(frames, sizeof(*frames), n, host.file);
    fflush(host.file);
}

static void restart(void)
{
    if (!host.restarts || uv_hrtime() < host.restart_at_ns)
        return;
    if (host.playing) {
        stop_playing();
    } else {
        start_playing();
        host.restarts--;
    }
    host.restart_at_ns = uv_hrtime() + 100000000;
}

static void on_tick(uv_timer_t *timer UNUSED)
{
    restart();
    if (host.playing && uv_hrtime() > host.began_ns)
        play_due();
    if (host.recording)
        take_recorded();
}

static void start_recording(bool on)
{
    if (on == host.recording)
        return;
    host.recording = on;
    if (!on) {
        spice_server_record_stop(&host.record);
        return;
    }
    host.recording_rate = host.rate ? host.rate : spice_server_get_best_record_rate(&host.record);
    spice_server_set_record_rate(&host.record, host.recording_rate);
    spice_server_record_start(&host.record);
}

static void run_command(void *arg)
{
    char *line = arg, word[32] = "";
    unsigned a = 0, b = 0;

    sscanf(line, "%31s %u %u", word, &a, &b);
    if (!strcmp(word, "play"))
        start_playing();
    else if (!strcmp(word, "stop"))
        stop_playing();
    else if (!strcmp(word, "volume"))
        spice_server_playback_set_volume(&host.playback, 2, (uint16_t[]){(uint16_t)a, (uint16_t)b});
    else if (!strcmp(word, "mute"))
        spice_server_playback_set_mute(&host.playback, (uint8_t)a);
    else if (!strcmp(word, "hold"))
        host.began_ns += (uint64_t)a * 1000000;
    else if (!strcmp(word, "restart"))
        host.restarts = a;
    else if (!strcmp(word, "record"))
        start_recording(a);
    else if (!strcmp(word, "record-volume"))
        spice_server_record_set_volume(&host.record, 2, (uint16_t[]){(uint16_t)a, (uint16_t)b});
    else
        die("what is '%s'?", line);
    printf("%s at %u, recording at %u\n", word, host.playing_rate, host.recording_rate);
    free(line);
}

static void *read_commands(void *unused UNUSED)
{
    char line[200];

    while (fgets(line, sizeof(line), stdin))
        loop_call(&host.loop, run_command, strdup(line));
    _Exit(0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rate", 1, NULL, 'r'}, {"raw", 0, NULL, 'w'}, {"record", 1, NULL, 'f'},
                                            DEVICE_OPTIONS, {NULL, 0, NULL, 0}};
    const char *file = "/dev/null";
    bool raw = false;
    pthread_t input;
    int c;

    log_set_program("host");
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    device_settings_init(&host.settings);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (c == 'r')
            host.rate = (uint32_t)atoi(optarg);
        else if (c == 'w')
            raw = true;
        else if (c == 'f')
            file = optarg;
        else if (!device_option(&host.settings, c, optarg))
            die("usage: host [--rate N] [--raw] [--record FILE] " DEVICE_USAGE);
    host.file = fopen(file, "w");
    if (!host.file || loop_init(&host.loop))
        die("no file, or no event loop");
    device_start(&host.loop, &host.settings);
    device_primary(WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, calloc(WIDTH * HEIGHT, 4));
    spice_server_set_playback_compression(device_server(), !raw);
    host.playback = (SpicePlaybackInstance){.base = {&playback_interface.base}};
    host.record = (SpiceRecordInstance){.base = {&record_interface.base}};
    if (spice_server_add_interface(device_server(), &host.playback.base) ||
        spice_server_add_interface(device_server(), &host.record.base))
        die("the server does not take the sound card");
    uv_timer_init(&host.loop.uv, &host.tick);
    uv_timer_start(&host.tick, on_tick, TICK_MS, TICK_MS);
    printf("PORT %d\n", host.settings.port);
    if (pthread_create(&input, NULL, read_commands, NULL))
        die("no thread");
    loop_run(&host.loop);
}

/* client_play.c - the course of a run: slices awaited and acknowledged, pings, or nothing at all. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "tests/display/client.h"
#include "tests/display/clocks.h"
#include "tests/display/player.h"
#include "tests/display/workload.h"

#define START_AFTER_MS 300
#define IDLE_AFTER_MS  3000 /* let what follows a connection come to rest */

static uint32_t pixel_at(int32_t x, int32_t y)
{
    return load_le32(client.screen.data + (size_t)y * client.screen.stride + (size_t)x * 4) & 0xffffff;
}

bool play_shows_what_it_should(void)
{
    return replay_compare(&client.replay, client.screen.data, client.screen.stride, 1) == 0;
}

static void finish(void)
{
    measure_end();
    measure_report();
    client.state = ENDED;
    client_key(PLAYER_DONE);
    client_end();
}

/* --- slices --- */

static void replay_next(void)
{
    replay_forget(&client.replay);
    if (replay_slice(&client.replay, client.scene.script, client.slice, &client.at))
        die("%s", fail_text());
}

/* The end, whether all is there or not: the whole picture is compared. */
static void settled(void)
{
    pixman_region32_union_rect(&client.replay.drawn, &client.replay.drawn, 0, 0, client.screen.width,
                               client.screen.height);
    client.measured.differing =
        replay_compare(&client.replay, client.screen.data, client.screen.stride, UINT64_MAX);
    finish();
}

static gboolean settle_time_is_over(gpointer unused UNUSED)
{
    if (client.state == SETTLING)
        settled();
    return G_SOURCE_REMOVE;
}

static bool is_last_slice(void)
{
    return client.slice + 1 == client.scene.script->slices;
}

static void slice_is_there(void)
{
    if (is_last_slice()) {
        settled();
        return;
    }
    client.slice++;
    replay_next();
    client_key(PLAYER_NEXT);
}

/* The marker has come, but not all pixels. They are awaited; after the last slice not for ever. */
static void wait_for_rest(void)
{
    if (!is_last_slice() || client.state == SETTLING)
        return;
    client.state = SETTLING;
    g_timeout_add((guint)(client.settle * 1000), settle_time_is_over, NULL);
}

static void check_slice(void)
{
    film_look();
    if (workload_is_video(client.scene.work))
        measure_frame();
    if (pixel_at(client.screen.width - 1, client.screen.height - 1) != script_marker(client.slice))
        return;
    if (play_shows_what_it_should() || (client.lossy && !is_last_slice()))
        slice_is_there();
    else
        wait_for_rest();
}

/* --- pings --- */

static void ping(void)
{
    latency_begin(&client.latency);
    client_key(PLAYER_PING);
}

static void check_ping(void)
{
    if (!latency_look(&client.latency, client.screen.data, client.screen.stride))
        return;
    if (latency_is_complete(&client.latency))
        finish();
    else
        ping();
}

/* --- from begin to end --- */

void play_look(void)
{
    if (!client_screen() || client.idle > 0)
        return;
    if (client.pings)
        check_ping();
    else
        check_slice();
}

static gboolean idle_is_over(gpointer unused UNUSED)
{
    finish();
    return G_SOURCE_REMOVE;
}

static gboolean go(gpointer unused UNUSED)
{
    client.state = PLAYING;
    if (!client.pings && client.idle <= 0)
        replay_next();
    measure_begin();
    if (client.pings) {
        ping();
        return G_SOURCE_REMOVE;
    }
    client_key(PLAYER_GO);
    if (client.idle > 0)
        g_timeout_add((guint)(client.idle * 1000), idle_is_over, NULL);
    return G_SOURCE_REMOVE;
}

void play_start(void)
{
    if (client.connect_only) {
        measure_begin();
        finish();
        return;
    }
    g_timeout_add(client.idle > 0 ? IDLE_AFTER_MS : START_AFTER_MS, go, NULL);
}

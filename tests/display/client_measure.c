/* client_measure.c - bytes, CPU time, frames of videos, answers to pings; and the line that tells of them. */
#include "base/bytes.h"
#include "tests/display/client.h"
#include "tests/display/clocks.h"
#include "tests/display/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLED_FRAMES 10 /* one in these is compared */

static uint64_t bytes_of(int channel)
{
    gulong n = 0;

    if (client.channels[channel])
        g_object_get(client.channels[channel], "total-read-bytes", &n, NULL);
    return n;
}

static uint64_t all_bytes(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < CHANNELS; i++)
        sum += bytes_of(i);
    return sum;
}

void measure_begin(void)
{
    struct measures *m = &client.measured;

    m->connect_bytes = all_bytes();
    m->display_before = bytes_of(DISPLAY);
    m->invalidations = 0;
    m->own_cpu = 0;
    m->cpu = process_cpu();
    m->started = wall_seconds();
}

void measure_end(void)
{
    struct measures *m = &client.measured;

    m->cpu = process_cpu() - m->cpu - m->own_cpu;
    m->started = wall_seconds() - m->started;
    m->display_bytes = bytes_of(DISPLAY) - m->display_before;
    m->bytes = all_bytes() - m->connect_bytes;
}

/* --- video --- */

double measure_error(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride, int width, int height)
{
    uint64_t sum = 0;

    for (int y = 0; y < height; y++, a += a_stride, b += b_stride)
        for (int x = 0; x < width * 4; x++)
            sum += x % 4 == 3 ? 0 : (uint64_t)((a[x] - b[x]) * (a[x] - b[x]));
    return (double)sum / (width * height * 3.0);
}

/* Against the frame that was drawn. */
static double frame_error(unsigned number)
{
    const struct script *s = client.scene.script;
    const QXLImage *image = script_pointer(s->steps[s->setup + number - 1].draw->u.copy.src_bitmap);
    const uint8_t *shown = client.screen.data + (size_t)VIDEO_Y * client.screen.stride + VIDEO_X * 4;

    return measure_error(shown, client.screen.stride, script_pointer(image->bitmap.data), VIDEO_WIDTH * 4, VIDEO_WIDTH,
                         VIDEO_HEIGHT);
}

static bool is_frame(unsigned number)
{
    return number > 0 && number < client.scene.script->count - client.scene.script->setup;
}

/*
 * After what has come so far was drawn: a frame may consist of several messages. spice-gtk may have drawn the next one,
 * of which it has not told yet.
 */
static gboolean sample_frame(gpointer unused UNUSED)
{
    struct measures *m = &client.measured;
    double before = thread_cpu();

    if (client.state == PLAYING && client_screen()) {
        unsigned number = video_frame_shown(client.screen.data, client.screen.stride);

        if (is_frame(number)) {
            m->squares += frame_error(number);
            m->samples++;
        }
    }
    m->own_cpu += thread_cpu() - before;
    return G_SOURCE_REMOVE;
}

void measure_frame(void)
{
    struct measures *m = &client.measured;
    unsigned number = video_frame_shown(client.screen.data, client.screen.stride);

    if (number <= m->frame || !is_frame(number))
        return;
    m->frame = number;
    if (m->frames++ % SAMPLED_FRAMES == SAMPLED_FRAMES / 2)
        g_idle_add(sample_frame, NULL);
}

/* --- the report --- */

static void report_psnr(double error)
{
    printf(", \"psnr\": %.2f", error > 0 ? 10 * log10(255 * 255 / error) : 99.0);
}

static void report_video(const struct measures *m)
{
    printf(", \"frames\": %u", m->frames);
    report_psnr(m->samples ? m->squares / m->samples : 0);
}

void measure_report(void)
{
    const struct measures *m = &client.measured;

    printf("{\"connect\": %.6f, \"connect_bytes\": %llu, \"cpu\": %.6f, \"wall\": %.6f, \"display_bytes\": %llu, "
           "\"bytes\": %llu, \"invalidations\": %llu, \"differing\": %llu",
           m->full - m->connected, (unsigned long long)m->connect_bytes, m->cpu, m->started,
           (unsigned long long)m->display_bytes, (unsigned long long)m->bytes, (unsigned long long)m->invalidations,
           (unsigned long long)m->differing);
    if (workload_is_video(client.scene.work))
        report_video(m);
    if (!rect_empty(&client.scene.film))
        report_psnr(film_error());
    latency_print(&client.latency);
    printf("}\n");
}

/*
 * client_film.c - how well a film in a recording is shown. What the viewer shows in the film's place is copied now and then;
 * afterwards the recording is drawn plainly, and each copy belongs to the frame that it is nearest to, of those of its time.
 */
#include "base/error.h"
#include "base/log.h"
#include "tests/display/client.h"
#include "tests/display/clocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SAMPLES 256
#define DISTANCE    0.05 /* seconds from one sample to the next, at least */
/* A frame is shown at most so late; and the guest's clock began to run a little before the viewer's. */
#define LATE  1.0
#define EARLY 0.1

static struct sample {
    double at, error; /* seconds; mean squared error of a sample of colour */
    uint8_t *pixels;
} samples[MAX_SAMPLES];
static unsigned count;

static gboolean take_sample(gpointer unused UNUSED)
{
    const struct rect *film = &client.scene.film;
    size_t row = (size_t)(film->right - film->left) * 4;
    double before = thread_cpu(), now = wall_seconds() - client.measured.started;
    struct sample *s = &samples[count];

    if (client.state != PLAYING || !client_screen() || count == MAX_SAMPLES ||
        (count && now < samples[count - 1].at + DISTANCE))
        return G_SOURCE_REMOVE;
    *s = (struct sample){now, HUGE_VAL, malloc(row * (size_t)(film->bottom - film->top))};
    if (!s->pixels)
        die("no memory for samples of a film");
    for (int32_t y = film->top; y < film->bottom; y++)
        memcpy(s->pixels + row * (size_t)(y - film->top),
               client.screen.data + (size_t)y * client.screen.stride + film->left * 4, row);
    count++;
    client.measured.own_cpu += thread_cpu() - before;
    return G_SOURCE_REMOVE;
}

void film_look(void)
{
    if (!rect_empty(&client.scene.film))
        g_idle_add(take_sample, NULL); /* after what has come so far was drawn */
}

static double error_of(const struct sample *s, pixman_image_t *screen)
{
    const struct rect *film = &client.scene.film;
    int width = film->right - film->left;
    size_t stride = (size_t)pixman_image_get_stride(screen);
    const uint8_t *drawn = (const uint8_t *)pixman_image_get_data(screen);

    return measure_error(s->pixels, (size_t)width * 4, drawn + (size_t)film->top * stride + film->left * 4, stride, width,
                         film->bottom - film->top);
}

static void compare(pixman_image_t *screen, double at)
{
    for (unsigned i = 0; i < count; i++)
        if (at > samples[i].at - LATE && at < samples[i].at + EARLY)
            samples[i].error = MIN(samples[i].error, error_of(&samples[i], screen));
}

static bool is_drawn_on(const struct replay *r)
{
    const struct rect *film = &client.scene.film;
    pixman_box32_t box = {film->left, film->top, film->right, film->bottom};

    return pixman_region32_contains_rectangle((pixman_region32_t *)&r->drawn, &box) != PIXMAN_REGION_OUT;
}

double film_error(void)
{
    const struct script *s = client.scene.script;
    double sum = 0;
    struct replay r;

    if (replay_init(&r, s))
        die("%s", fail_text());
    for (size_t i = 0; i < s->count; i++) {
        if (replay_step(&r, &s->steps[i]))
            die("%s", fail_text());
        if (is_drawn_on(&r))
            compare(r.surfaces[0], (double)s->steps[i].us / 1e6);
        replay_forget(&r);
    }
    replay_fini(&r);
    for (unsigned i = 0; i < count; i++) {
        sum += samples[i].error;
        free(samples[i].pixels);
    }
    return count ? sum / count : 0;
}

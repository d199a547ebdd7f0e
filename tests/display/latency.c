#include "tests/display/latency.h"

#include "base/bytes.h"
#include "base/log.h"
#include "tests/display/clocks.h"
#include "tests/display/scene.h"

#include <stdio.h>
#include <stdlib.h>

void latency_init(struct latency *l, const struct script_primary *screen, unsigned wanted)
{
    *l = (struct latency){.screen = screen, .wanted = wanted, .seconds = calloc(wanted + 1, sizeof(double))};
    if (!l->seconds)
        die("no memory for %u pings", wanted);
}

void latency_begin(struct latency *l)
{
    l->sent = wall_seconds();
}

static uint32_t pixel_at(const uint8_t *pixels, size_t stride, int32_t x, int32_t y)
{
    return load_le32(pixels + (size_t)y * stride + (size_t)x * 4) & 0xffffff;
}

/* All four corners: it is there as a whole. */
bool latency_look(struct latency *l, const uint8_t *pixels, size_t stride)
{
    QXLRect box = scene_ping_box(l->screen, l->answered);
    uint32_t color = script_marker(l->answered);

    if (latency_is_complete(l) || pixel_at(pixels, stride, box.left, box.top) != color ||
        pixel_at(pixels, stride, box.right - 1, box.bottom - 1) != color ||
        pixel_at(pixels, stride, box.right - 1, box.top) != color ||
        pixel_at(pixels, stride, box.left, box.bottom - 1) != color)
        return false;
    l->seconds[l->answered++] = wall_seconds() - l->sent;
    return true;
}

bool latency_is_complete(const struct latency *l)
{
    return l->answered == l->wanted;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void latency_print(const struct latency *l)
{
    unsigned n = l->answered - l->answered / 2;
    double *last = l->seconds + l->answered / 2;

    if (!l->answered)
        return;
    qsort(last, n, sizeof(*last), compare_doubles);
    printf(", \"median_us\": %.1f, \"p99_us\": %.1f", last[n / 2] * 1e6, last[n * 99 / 100] * 1e6);
}

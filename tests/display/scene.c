#include "tests/display/scene.h"

#include "base/error.h"
#include "base/log.h"
#include "tests/display/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_US  40000
#define PING_SIZE 16

static const char *const pace_names[] = {[PACE_STEP] = "step", [PACE_TIME] = "time", [PACE_FREE] = "free"};

void scene_init(struct scene *s)
{
    *s = (struct scene){.scale = 1, .seconds = 300};
}

static bool set_pace(struct scene *s, const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pace_names); i++)
        if (!strcmp(name, pace_names[i])) {
            s->pace = i;
            return true;
        }
    return false;
}

static bool set_film(struct scene *s, const char *place)
{
    int x, y, width, height;

    if (sscanf(place, "%d,%d,%dx%d", &x, &y, &width, &height) != 4)
        return false;
    s->film = (struct rect){x, y, x + width, y + height};
    return !rect_empty(&s->film);
}

bool scene_option(struct scene *s, int c, const char *value)
{
    switch (c) {
    case 't':
        s->trace = value;
        return true;
    case 'w':
        s->work = value;
        return true;
    case 'x':
        s->scale = atof(value);
        return s->scale > 0;
    case 'p':
        return set_pace(s, value);
    case 'g':
        s->guest_stride = true;
        return true;
    case 'm':
        return set_film(s, value);
    case 'S':
        s->stay = true;
        return true;
    case 'e':
        s->seconds = atoi(value);
        return s->seconds > 0;
    default:
        return false;
    }
}

void scene_load(struct scene *s)
{
    struct trace_options options = {.slice_us = s->pace == PACE_STEP ? SLICE_US : 0, .guest_stride = s->guest_stride};

    alarm(s->seconds);
    s->script = &s->loaded.script;
    if (!s->trace == !s->work)
        die("name a --trace or a --work to play");
    if (s->trace ? trace_open(&s->loaded, s->trace, &options) : workload_make(s->script, s->work, s->scale))
        die("%s", fail_text());
}

QXLRect scene_ping_box(const struct script_primary *screen, uint32_t n)
{
    int32_t x = (int32_t)(n * 37 % (screen->width - PING_SIZE)), y = (int32_t)(n * 17 % (screen->height - PING_SIZE));

    return (QXLRect){.left = x, .top = y, .right = x + PING_SIZE, .bottom = y + PING_SIZE};
}

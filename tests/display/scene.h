/*
 * scene.h - what is played, and how fast: options that the servers and the client share, so that all have the same script.
 */
#ifndef TESTS_DISPLAY_SCENE_H
#define TESTS_DISPLAY_SCENE_H

#include "base/rect.h"
#include "tests/lib/trace.h"

enum pace {
    PACE_STEP, /* slice by slice, each when the client has the one before */
    PACE_TIME, /* at the steps' own times */
    PACE_FREE, /* as fast as the device takes it */
};

struct scene {
    const char *trace; /* a file, or */
    const char *work;  /* the name of a workload */
    enum pace pace;
    bool guest_stride;
    bool stay; /* a server outlives the scene, for other viewers */
    double scale;     /* of a workload's length */
    struct rect film; /* where one is in a recording, for the viewer to judge; empty: nowhere */
    unsigned seconds; /* the program ends after these, whatever happens */
    struct trace loaded;
    struct script *script;
};

#define SCENE_USAGE                                                                       \
    "[--trace FILE | --work NAME [--scale X]] [--pace step|time|free] [--guest-stride] [--film X,Y,WxH] " \
    "[--stay] [--seconds N]"

#define SCENE_OPTIONS                                                                               \
    {"trace", 1, NULL, 't'}, {"work", 1, NULL, 'w'}, {"scale", 1, NULL, 'x'}, {"pace", 1, NULL, 'p'}, \
        {"guest-stride", 0, NULL, 'g'}, {"film", 1, NULL, 'm'}, {"stay", 0, NULL, 'S'}, {"seconds", 1, NULL, 'e'}

void scene_init(struct scene *s);
/* Takes an option of SCENE_OPTIONS; false if it is none of them, or wrong. */
bool scene_option(struct scene *s, int c, const char *value);
/* Makes the script and sets the alarm. Ends the program if it cannot. */
void scene_load(struct scene *s);
/* What a player draws for the n-th ping: a fill with script_marker(n) of this. */
QXLRect scene_ping_box(const struct script_primary *screen, uint32_t n);

#endif

/* client.h - the parts of the viewer in client.c: its connection, the course of a run, what it measures. One thread. */
#ifndef TESTS_DISPLAY_CLIENT_H
#define TESTS_DISPLAY_CLIENT_H

#include "tests/display/latency.h"
#include "tests/display/scene.h"
#include "tests/lib/replay.h"

#include <spice-client.h>

enum { MAIN, DISPLAY, CURSOR, INPUTS, CHANNELS };

struct measures {
    double connected, full;         /* wall: when the connection began, and the scene's picture was there */
    double started, cpu;            /* at the begin; later the run's own */
    double own_cpu;                 /* of what is not a viewer's work */
    uint64_t display_bytes, bytes;  /* of the display channel; of all */
    uint64_t connect_bytes;         /* of all, before the run */
    uint64_t display_before;
    uint64_t invalidations, differing;
    unsigned frame, frames;  /* of a video: the number that is shown; so many were */
    double squares;          /* sum of mean squared errors, over samples */
    unsigned samples;
};

struct client {
    struct scene scene;
    int port;
    bool connect_only, lossy;
    double idle, settle;
    unsigned pings; /* to make */

    GMainLoop *loop;
    SpiceSession *session;
    SpiceChannel *channels[CHANNELS];
    unsigned open;
    SpiceDisplayPrimary screen;
    enum { CONNECTING, PLAYING, SETTLING, ENDED } state;

    struct replay replay;
    size_t at;      /* the script's next step for it */
    uint32_t slice; /* that is awaited */
    struct latency latency;
    struct measures measured;
};

extern struct client client;

/* --- client.c --- */

/* Whether there is the scene's screen; then client.screen tells of it. */
bool client_screen(void);
void client_key(guint code);
/* The program ends a moment later. */
void client_end(void);

/* --- client_play.c --- */

/* The picture that the scene begins with is there. */
void play_start(void);
/* Something was drawn. */
void play_look(void);
bool play_shows_what_it_should(void);

/* --- client_film.c: with --film --- */

/* Something was drawn. */
void film_look(void);
/* Of what was shown of the film: the mean squared error. */
double film_error(void);

/* --- client_measure.c --- */

/* Mean squared error of a sample of colour; rows of BGRx, strides in bytes. */
double measure_error(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride, int width, int height);
void measure_begin(void);
void measure_end(void);
void measure_frame(void);
void measure_report(void);

#endif

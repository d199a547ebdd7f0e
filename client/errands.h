/*
 * errands.h - what the client does by itself: --send, --type, --screenshot, --exit-after.
 *
 * The picture counts as complete when the server has marked it and no display message has come for QUIET_MS; one that
 * never rests is taken LONGEST_MS after the mark. Then the text is typed, a key event every KEY_MS. The screenshot follows
 * when the picture is quiet again, SETTLE_MS after the last key at the earliest. With --exit-after nothing lasts longer
 * than that: what is on the screen then is taken, quiet or not; without --type always at that moment.
 * Files are sent beside all this, as soon as the guest has an agent; with --headless that is waited for too.
 * Thread: the session's loop.
 */
#ifndef CLIENT_ERRANDS_H
#define CLIENT_ERRANDS_H

#include "client/viewer.h"

enum errand_stage { ERRAND_WAIT_PICTURE, ERRAND_TYPE, ERRAND_WAIT_QUIET, ERRAND_WAIT_SENT, ERRAND_DONE };

struct errands {
    struct viewer *viewer;
    struct session *session; /* the viewer's */
    enum errand_stage stage;
    uv_timer_t tick, deadline;
    bool running;      /* the timers are there */
    const char *text;  /* still to be typed */
    unsigned key_step; /* of the present character */
    uint64_t stage_ns; /* when the stage began */
};

/* After viewer_start(). Does nothing if the options ask for nothing. */
int errands_start(struct errands *e, struct viewer *v);
/* The viewer has ended. An errand that is not done becomes its failure, unless it has one. */
void errands_stop(struct errands *e);

#endif

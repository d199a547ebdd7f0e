/*
 * viewer.h - the user's session across reconnections: tries, asks the user, waits, tries again.
 *
 * How it stands is said in the screen's status (status.h) at every moment. With `persistent`, which is for windows: a
 * session that was established and is lost is tried again by itself, after pauses of 1, 2, 4, 8 and then 15 s
 * (CLIENT_WAITS); what a person must decide is asked (CLIENT_ASKS_PASSWORD, CLIENT_ASKS_TRUST); any other end, and a
 * first try that fails, is CLIENT_ENDED, from where the user may try again or close. Without it passwords and trust
 * are asked for on the terminal, if there is one, and any other end is the viewer's.
 *
 * A server that closes the connection without a word but still answers has sent us away on purpose (as QEMU's does when
 * another viewer takes over): that is CLIENT_ENDED too, or two viewers would take the screen from each other for ever.
 *
 * Thread: the loop's, but for the functions that say otherwise.
 */
#ifndef CLIENT_VIEWER_H
#define CLIENT_VIEWER_H

#include "client/audio.h"
#include "client/inputs_channel.h"
#include "client/session.h"

struct viewer {
    struct loop *loop;
    struct client_options *options; /* passwords that the user types are kept there */
    struct screen *screen;
    struct selections selections;
    struct outbox outbox;
    struct audio audio;         /* they outlive sessions */
    struct session session;     /* the present one, or the last */
    uv_timer_t retry;
    bool persistent;
    bool active;                  /* the session has not gone yet */
    enum client_state asking;     /* CLIENT_ASKS_*; CLIENT_CONNECTING: nothing is asked */
    bool established;             /* some session was, since the user last asked to try */
    bool closing;                 /* no further session */
    unsigned failures;            /* in a row, since it was established */
    void (*on_end)(void *opaque); /* once: nothing follows */
    void *opaque;
};

/* Begin the first session; `on_end` and `opaque` are set before. -errno with fail_text(): nothing follows. */
int viewer_start(struct viewer *v, struct loop *loop, struct client_options *options, struct screen *screen,
                 bool persistent);
/* What it was for is done: 0, or -errno with fail_text(), as the session's result. on_end() follows. */
void viewer_end(struct viewer *v, int result);
/* After the loop's end. */
void viewer_fini(struct viewer *v);

/* Any thread: */
/* To CLIENT_ASKS_PASSWORD the password, to CLIENT_ASKS_TRUST "yes"; NULL: the user gives up. Else it does nothing. */
void viewer_answer(struct viewer *v, const char *text);
/* Try now, in CLIENT_WAITS and CLIENT_ENDED. */
void viewer_retry(struct viewer *v);
/* The user is done. on_end() follows. */
void viewer_close(struct viewer *v);
/* A file that is to be sent, as soon as there is an agent; or none of those that are not done. */
void viewer_send(struct viewer *v, const char *path);
void viewer_cancel_sending(struct viewer *v);
/* Whether the guest may record: this time, and until the user says otherwise. */
void viewer_permit_microphone(struct viewer *v, bool allowed);
/* Input; lost if the guest cannot be reached now. */
void viewer_post(struct viewer *v, const struct user_event *event);

#endif

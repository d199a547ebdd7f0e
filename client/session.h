/*
 * session.h - one client's connection to one server: the channels, and how it ends.
 *
 * The main channel comes first; its list of channels says what else there is. Of those, all displays and cursors
 * that the screen has room for and inputs 0 are opened. The end of any channel ends the session. Whoever wants
 * another one begins it in the same memory, see viewer.h. Thread: the loop's.
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/channel.h"
#include "client/dial.h"
#include "client/options.h"
#include "client/outbox.h"
#include "client/screen.h"
#include "client/selections.h"

struct inputs_channel;

/* How a session has ended. */
enum session_outcome {
    SESSION_FINISHED,       /* by our word, or the server's */
    SESSION_UNREACHED,      /* no connection, or it broke before the server had let us in */
    SESSION_WANTS_TLS,      /* the channel `wants_tls`, which we came with in the clear */
    SESSION_SENT_ON,        /* the server has sent us to another one: `next` */
    SESSION_WANTS_TRUST,    /* nobody vouches for the server: secure.question */
    SESSION_WANTS_PASSWORD, /* the server did not take this one */
    SESSION_REFUSED,        /* the server does not want us, or there is no understanding it */
    SESSION_REACHED,        /* it was only to be seen whether anybody answers, and somebody did */
    SESSION_LOST,           /* the connection broke */
    SESSION_CLOSED,         /* the server closed it without a word */
};

/* Where a machine has moved to. Ports "" for none. */
struct session_target {
    char host[256], port[8], tls_port[8];
    char host_subject[512]; /* "": the host's name is to be the certificate's */
};

struct session {
    struct loop *loop;
    const struct client_options *options;
    struct screen *screen;
    struct outbox *outbox; /* never NULL */
    struct audio *audio;   /* NULL: nothing is heard or recorded */
    struct selections *selections; /* NULL: nothing that is copied is shared */
    struct dial dial;
    struct sockaddr_storage address; /* that has answered; the proxy's if there is one */
    socklen_t address_size;
    struct secure secure;
    uint32_t connection_id;
    uint32_t mm_ahead; /* the server's multimedia clock less ours, in milliseconds */
    TAILQ_HEAD(, channel) channels;
    struct inputs_channel *inputs;                   /* NULL until it is up */
    uv_timer_t timeout;                              /* for the link stages */
    uint64_t started_ns, marked_ns, last_display_ns; /* 0: not yet */
    bool sounding;                                   /* its channel says what the time is */
    bool only_dial;                                  /* see SESSION_REACHED */
    bool linked;                                     /* the main channel's link stage succeeded */
    bool goodbye;                                    /* the server has said that it ends */
    bool ending; /* a channel has broken: only the main channel's last word is waited for */
    bool ended;
    enum session_outcome outcome;
    uint8_t wants_tls; /* SPICE_CHANNEL_* */
    struct session_target next;
    int result; /* 0, or -errno with `reason` */
    char reason[600];
    void (*on_gone)(void *opaque); /* once: it has ended, and the loop has forgotten it */
    void *opaque;
};

/*
 * Begin; what is set of outbox, audio, selections, on_gone, opaque and only_dial stays, all else is made new. Whatever comes of it, on_gone()
 * follows. -errno with fail_text(): there is no session, nothing follows.
 */
int session_start(struct session *s, struct loop *loop, const struct client_options *options,
                  struct screen *screen);
/* Close all channels; nothing if that was done before. result: 0, or -errno with fail_text(). */
void session_end(struct session *s, enum session_outcome outcome, int result);
/* Free what it has, after on_gone() or the loop's end. A session that never began, zeroed, is fine. */
void session_fini(struct session *s);
/* HOST:PORT, or the path, for people. */
const char *session_server_name(const struct client_options *options, char *buf, size_t size);

/* Files were added, or are to be cancelled: tell the agent, if it is there, and the screen. */
void session_send_files(struct session *s);

/* For channels. */
/* The screen is to show how far they are. */
void session_outbox_changed(struct session *s);
/* What a channel of this type passes on its way, and where it connects to. */
void session_way(struct session *s, unsigned type, struct stream_way *way);
void session_address(const struct session *s, unsigned type, struct sockaddr_storage *address);
/* The server's multimedia clock, in milliseconds, as of what it last said of it; not while there is sound. */
void session_set_mm_time(struct session *s, uint32_t time);
uint32_t session_mm_time(const struct session *s);
/*
 * What is heard now is of that time, so that is what the clock shows: pictures wait for their sound. Small differences are
 * taken in slowly, as packets' times waver.
 */
void session_heard(struct session *s, uint32_t time);
/* The user has said whether the microphone may be used. */
void session_permit_microphone(struct session *s);
struct channel *session_find(struct session *s, unsigned type, unsigned id);
void session_open_channels(struct session *s, const struct spice_channel_id *ids, size_t count);
/* c has handled messages: others may wait for that. */
void session_progress(struct session *s, struct channel *c);
void session_channel_ended(struct session *s, struct channel *c, int err);

#endif

/*
 * seat.h - who sits at the seat: logind's active session, by libsystemd's sd-login.
 */
#ifndef GUEST_AGENT_SEAT_H
#define GUEST_AGENT_SEAT_H

#include "base/base.h"

#include <sys/types.h>

#define SEAT_NAME 32 /* bytes of a session's name, its NUL too; longer ones are cut alike */

struct seat {
    bool logind;
    uid_t uid;                  /* the active session's; without logind: whose agent is taken */
    char session[SEAT_NAME];    /* "": there is none */
    struct sd_login_monitor *monitor;
};

/* Who is at the other end of a unix socket. */
struct seat_peer {
    uid_t uid;
    pid_t pid;
    char session[SEAT_NAME]; /* "": of none, as what a user's own systemd has started */
};

/* With logind: 0, or -errno with fail_text(). */
int seat_open(struct seat *s, bool logind, uid_t uid);
void seat_close(struct seat *s);
/* Becomes readable when somebody comes or goes; -1 without logind. */
int seat_fd(const struct seat *s);
/* Look who is there. */
void seat_refresh(struct seat *s);
int seat_identify(const struct seat *s, int fd, struct seat_peer *peer);
/* Whether that one sits at the seat now. */
bool seat_is_active(const struct seat *s, const struct seat_peer *peer);

#endif

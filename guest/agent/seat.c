#include "guest/agent/seat.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>

#define SEAT "seat0"

int seat_open(struct seat *s, bool logind, uid_t uid)
{
    int err;

    *s = (struct seat){.logind = logind, .uid = uid};
    if (!logind)
        return 0;
    err = sd_login_monitor_new("seat", &s->monitor);
    if (err < 0)
        return fail(err, "logind: %s; --no-logind does without", strerror(-err));
    seat_refresh(s);
    return 0;
}

void seat_close(struct seat *s)
{
    sd_login_monitor_unref(s->monitor);
    s->monitor = NULL;
}

int seat_fd(const struct seat *s)
{
    return s->monitor ? sd_login_monitor_get_fd(s->monitor) : -1;
}

void seat_refresh(struct seat *s)
{
    char *session = NULL;

    if (!s->logind)
        return;
    sd_login_monitor_flush(s->monitor);
    s->session[0] = 0;
    if (sd_seat_get_active(SEAT, &session, &s->uid) >= 0 && session)
        snprintf(s->session, sizeof(s->session), "%s", session);
    free(session);
}

int seat_identify(const struct seat *s, int fd, struct seat_peer *peer)
{
    struct ucred who;
    socklen_t size = sizeof(who);
    char *session = NULL;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size))
        return -errno;
    *peer = (struct seat_peer){.uid = who.uid, .pid = who.pid};
    if (s->logind && sd_peer_get_session(fd, &session) >= 0)
        snprintf(peer->session, sizeof(peer->session), "%s", session);
    free(session);
    return 0;
}

bool seat_is_active(const struct seat *s, const struct seat_peer *peer)
{
    if (peer->uid != s->uid)
        return false;
    return !s->logind || (s->session[0] && (!peer->session[0] || strcmp(peer->session, s->session) == 0));
}

/*
 * login.h - SASL (RFC 4422) by libsasl2: who the user is.
 *
 * With a password by SCRAM or, since TLS hides it, PLAIN; without one by Kerberos' ticket (GSSAPI). The connection is
 * encrypted already: SASL's own encryption is never used. Thread: the session's loop. Errors come with fail_text().
 */
#ifndef CLIENT_LOGIN_H
#define CLIENT_LOGIN_H

#include "client/options.h"

#define LOGIN_MAX_DATA (64 * 1024) /* bytes of a step */

struct login;

/* What is to be sent; libsasl2's, until the next call. */
struct login_data {
    const char *bytes; /* NULL: none, which is another thing than none of them */
    unsigned size;
};

/* offered: the server's mechanisms, parted by commas or blanks. -EACCES: another password or name is needed. */
int login_begin(struct login **login, const struct client_options *o, const char *offered, const char **mechanism,
                struct login_data *first);
/* The server's next word, NULL for none. */
int login_step(struct login *login, const char *data, unsigned size, struct login_data *answer);
/* Whether the server has proved, as far as the mechanism has it, that it knows the password too. */
bool login_is_done(const struct login *login);
void login_end(struct login *login); /* NULL is fine */

#endif

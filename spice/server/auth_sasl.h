/*
 * auth_sasl.h - SASL (RFC 4422) as SPICE carries it, by libsasl2: who a client is.
 *
 * The service is "minivm" in libsasl2's configuration: /etc/sasl2/minivm.conf, or that of SASL_CONF_PATH, says how users are
 * known. Without that file they are those of a sasldb database (saslpasswd2 -a minivm -c USER), and prove to be by SCRAM, which
 * never shows a password. For GSSAPI the service's principal is spice/HOST.
 *
 * The connection is encrypted already: SASL's own encryption is never used. Thread: the main loop's. What it does with files
 * and keys takes milliseconds.
 */
#ifndef SPICE_SERVER_AUTH_SASL_H
#define SPICE_SERVER_AUTH_SASL_H

#include "base/base.h"

#define AUTH_SASL_MAX_NAME 64          /* bytes of a mechanism's name */
#define AUTH_SASL_MAX_DATA (64 * 1024) /* of a step's data: tickets of Kerberos can be large */

struct auth_sasl;

enum auth_outcome { AUTH_CONTINUES, AUTH_DONE, AUTH_FAILED };

/* Once, before clients come. `database`: a sasldb file; NULL: as configured. Errors come with fail_text(). */
int auth_sasl_init(const char *database);

/* For one client; NULL: there is no way for it to prove who it is. */
struct auth_sasl *auth_sasl_create(void);
void auth_sasl_destroy(struct auth_sasl *a); /* NULL is fine */
/* Names of mechanisms with commas between. */
const char *auth_sasl_mechanisms(const struct auth_sasl *a);
bool auth_sasl_offers(const struct auth_sasl *a, const char *mechanism);
/*
 * What the client says: first the mechanism that it chose, one that is offered (then NULL), and data, NULL if it sent none.
 * The answer is libsasl2's until the next call; NULL is another thing than one of no bytes.
 */
enum auth_outcome auth_sasl_take(struct auth_sasl *a, const char *mechanism, const char *data, unsigned size,
                                 const char **answer, unsigned *answer_size);
/* After AUTH_DONE. */
const char *auth_sasl_user(const struct auth_sasl *a);

#endif

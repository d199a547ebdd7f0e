/*
 * certificate.h - what TLS shows to viewers: the user's certificate, or one that is made on first use.
 *
 * A folder has what viewers and QEMU call by these names: ca-cert.pem, the authority; server-cert.pem, signed by it;
 * server-key.pem. In one that we make, the authority's key is used once and forgotten: nobody can ever sign another
 * certificate that this user's viewers would take.
 *
 * Thread: the main one, before the machine exists. Errors come with fail_text().
 */
#ifndef VMM_CERTIFICATE_H
#define VMM_CERTIFICATE_H

#include "base/base.h"

#include <limits.h>

#define CERTIFICATE_PRINT 96 /* "AB:CD:...": 32 bytes of SHA-256, and its end */

#define CERTIFICATE_SUBJECT 256

struct certificate {
    char authority[PATH_MAX], server[PATH_MAX], key[PATH_MAX];
};

/* `folder`: the user's own, whose files must be there; NULL: $XDG_DATA_HOME/minivm/tls, made if it is not there. */
int certificate_find(struct certificate *c, const char *folder);
/* Whether the default one has been made; then *c names its files. */
bool certificate_kept(struct certificate *c);
/* Whose the certificate is, as viewers want it: "O=minivm,CN=host". */
int certificate_subject(const struct certificate *c, char subject[CERTIFICATE_SUBJECT]);
/* How a person recognises the server's certificate: as `openssl x509 -fingerprint -sha256` prints it. */
int certificate_print(const struct certificate *c, char print[CERTIFICATE_PRINT]);

#endif

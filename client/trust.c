#include "client/trust.h"

#include "base/error.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* --- authorities --- */

static int add_authorities(SSL_CTX *context, BIO *pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    int count = 0;
    X509 *certificate;

    while (pem && (certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
    }
    ERR_clear_error();
    BIO_free(pem);
    return count;
}

int trust_load(SSL_CTX *context, const struct client_options *o)
{
    if (o->ca && !o->ca_file)
        return add_authorities(context, BIO_new_mem_buf(o->ca, -1))
                   ? 0
                   : fail(-EINVAL, "the authority's certificate (ca) is no PEM text of one");
    if (!o->ca_file)
        return SSL_CTX_set_default_verify_paths(context) == 1 ? 0 : fail(-EIO, "no authorities can be loaded");
    if (!add_authorities(context, BIO_new_file(o->ca_file, "r")))
        return fail(-EINVAL, "--ca-file '%s' has no certificate in PEM that can be read", o->ca_file);
    return 0;
}

/* --- names --- */

/* One "KEY=VALUE" with its escapes; returns what follows, or NULL. */
static const char *parse_entry(const char *text, X509_NAME *name)
{
    char word[512];
    size_t n = 0;
    char *value;

    while (*text == ' ')
        text++;
    while (*text && *text != ',' && n < sizeof(word) - 1) {
        if (*text == '\\' && text[1])
            text++;
        word[n++] = *text++;
    }
    word[n] = '\0';
    value = strchr(word, '=');
    if ((*text && *text != ',') || !value)
        return NULL;
    *value++ = '\0';
    if (X509_NAME_add_entry_by_txt(name, word, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) != 1)
        return NULL;
    return *text ? text + 1 : text;
}

X509_NAME *trust_parse_subject(const char *text)
{
    X509_NAME *name = X509_NAME_new();

    do
        text = name ? parse_entry(text, name) : NULL;
    while (text && *text);
    if (!text) {
        X509_NAME_free(name);
        ERR_clear_error();
        return NULL;
    }
    return name;
}

/* It goes to terminals and windows, and comes from whoever answered. */
static void subject_of(X509 *certificate, char *text, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    if (bio)
        X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~XN_FLAG_DN_REV);
    n = bio ? BIO_read(bio, text, (int)size - 1) : 0;
    text[MAX(n, 0)] = '\0';
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    BIO_free(bio);
}

static bool has_subject(X509 *certificate, const char *wanted)
{
    X509_NAME *name = trust_parse_subject(wanted);
    bool same = name && X509_NAME_cmp(name, X509_get_subject_name(certificate)) == 0;

    X509_NAME_free(name);
    return same;
}

static bool is_of_host(X509 *certificate, const char *host)
{
    return X509_check_ip_asc(certificate, host, 0) == 1 || X509_check_host(certificate, host, 0, 0, NULL) == 1;
}

static bool name_fits(X509 *certificate, const struct client_options *o)
{
    return o->host_subject[0] ? has_subject(certificate, o->host_subject) : is_of_host(certificate, o->host);
}

/* --- the decision --- */

static void fingerprint_of(X509 *certificate, char *text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    X509_digest(certificate, EVP_sha256(), digest, &size);
    text[0] = '\0';
    for (unsigned i = 0; i < size && i < FINGERPRINT_SIZE / 3; i++)
        sprintf(text + 3 * i, "%02X%s", digest[i], i + 1 < size ? ":" : "");
}

static int wrong_name(const struct client_options *o, const struct trust_question *q)
{
    if (o->host_subject[0])
        return fail(-EKEYREVOKED, "the server's certificate is of '%s', not of '%s' as --host-subject wants",
                    q->subject, o->host_subject);
    return fail(-EKEYREVOKED,
                "the server's certificate is not for '%s'; if its subject is right, say so: --host-subject '%s'",
                o->host, q->subject);
}

static int look_up(const struct trust_question *q, const char *why)
{
    char path[PATH_MAX];
    int known = known_servers_find(q->server, q->fingerprint);

    if (known < 0 || known == KNOWN_SERVER_YES)
        return known < 0 ? -EKEYREVOKED : 0;
    if (known == KNOWN_SERVER_OTHER)
        return fail(-EKEYREVOKED,
                    "THE SERVER'S CERTIFICATE HAS CHANGED: somebody may be listening in, or it was made anew (now "
                    "SHA256:%s). If it is right, remove the line of %s from %s",
                    q->fingerprint, q->server, known_servers_path(path));
    return fail(TRUST_UNKNOWN,
                "nobody vouches for the server's certificate (%s, SHA256:%s); give its authority with "
                "--ca-file, or connect once with a window or a terminal, which ask",
                why, q->fingerprint);
}

static int decide(X509 *certificate, long verdict, const struct client_options *o, struct trust_question *q)
{
    const char *why = X509_verify_cert_error_string(verdict);
    bool named = name_fits(certificate, o);

    if (o->ca || o->ca_file || o->host_subject[0]) {
        if ((o->ca || o->ca_file) && verdict != X509_V_OK)
            return fail(-EKEYREVOKED, "the server's certificate is not of the authority that was given: %s", why);
        if (!named)
            return wrong_name(o, q);
    }
    if (verdict == X509_V_OK && named)
        return 0;
    return look_up(q, verdict == X509_V_OK ? "it is another host's" : why);
}

int trust_check(SSL *ssl, const struct client_options *o, struct trust_question *q)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    int err;

    if (!certificate)
        return fail(-EKEYREVOKED, "the server shows no certificate");
    snprintf(q->server, sizeof(q->server), strchr(o->host, ':') ? "[%s]:%s" : "%s:%s", o->host, o->tls_port);
    subject_of(certificate, q->subject, sizeof(q->subject));
    fingerprint_of(certificate, q->fingerprint);
    err = decide(certificate, SSL_get_verify_result(ssl), o, q);
    X509_free(certificate);
    return err;
}

void trust_ask(const struct trust_question *q, char *text, size_t size)
{
    char fingerprint[FINGERPRINT_SIZE];

    /* In two lines, so that one can compare them by eye. */
    snprintf(fingerprint, sizeof(fingerprint), "%s", q->fingerprint);
    if (strlen(fingerprint) > 47)
        fingerprint[47] = '\n';
    snprintf(
        text, size,
        "%s is not known here, and nobody vouches for it.\nIts certificate is of: %s\nIts SHA-256 fingerprint:\n%s\n"
        "Is that what its owner says?",
        q->server, q->subject, fingerprint);
}

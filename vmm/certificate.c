#include "vmm/certificate.h"

#include "base/error.h"
#include "base/user_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAYS        3650
#define SERIAL_BITS 64

/* --- names --- */

static int name_files(struct certificate *c, const char *folder)
{
    int err = path_join(c->authority, folder, "/ca-cert.pem");

    if (!err)
        err = path_join(c->server, folder, "/server-cert.pem");
    return err ? err : path_join(c->key, folder, "/server-key.pem");
}

/* --- making them --- */

static bool extend(X509 *cert, X509 *issuer, int id, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, id, value);
    ok = extension && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

/* What each certificate has; still to be extended and signed. */
static X509 *new_certificate(EVP_PKEY *pair, const char *organisation, const char *common_name)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    BIGNUM *serial = BN_new();

    if (!cert || !serial || !BN_rand(serial, SERIAL_BITS - 1, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) ||
        !BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) || !X509_set_version(cert, X509_VERSION_3) ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), -24 * 3600) || /* clocks differ */
        !X509_time_adj_ex(X509_getm_notAfter(cert), DAYS, 0, NULL) || !X509_set_pubkey(cert, pair) ||
        !X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)organisation, -1, -1, 0) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name, -1, -1, 0)) {
        X509_free(cert);
        cert = NULL;
    }
    BN_free(serial);
    return cert;
}

static X509 *make_authority(EVP_PKEY *pair, const char *host)
{
    X509 *cert = new_certificate(pair, "minivm, an authority for one certificate", host);

    if (cert && X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
        extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extend(cert, cert, NID_key_usage, "critical,keyCertSign") &&
        extend(cert, cert, NID_subject_key_identifier, "hash") && X509_sign(cert, pair, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_server(EVP_PKEY *pair, const char *host, X509 *authority, EVP_PKEY *authority_pair)
{
    X509 *cert = new_certificate(pair, "minivm", host);
    char names[HOST_NAME_MAX + 80];

    snprintf(names, sizeof(names), "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", host);
    if (cert && X509_set_issuer_name(cert, X509_get_subject_name(authority)) &&
        extend(cert, authority, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(cert, authority, NID_key_usage, "critical,digitalSignature") &&
        extend(cert, authority, NID_ext_key_usage, "serverAuth") &&
        extend(cert, authority, NID_subject_alt_name, names) &&
        extend(cert, authority, NID_subject_key_identifier, "hash") &&
        extend(cert, authority, NID_authority_key_identifier, "keyid:always") &&
        X509_sign(cert, authority_pair, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

static FILE *create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (fd >= 0 && !file)
        close(fd);
    return file;
}

static bool finish(FILE *file, bool ok)
{
    ok = ok && fflush(file) == 0 && fsync(fileno(file)) == 0;
    return fclose(file) == 0 && ok;
}

static bool write_certificate(const char *path, X509 *cert)
{
    FILE *file = create(path);

    return file && finish(file, PEM_write_X509(file, cert));
}

static bool write_key(const char *path, EVP_PKEY *pair)
{
    FILE *file = create(path);

    return file && finish(file, PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL));
}

static void host_name(char name[HOST_NAME_MAX + 1])
{
    if (gethostname(name, HOST_NAME_MAX) || !*name)
        snprintf(name, HOST_NAME_MAX, "localhost");
    name[HOST_NAME_MAX] = 0;
}

static int write_all(const char *folder)
{
    EVP_PKEY *authority_pair = EVP_EC_gen("P-256"), *pair = EVP_EC_gen("P-256");
    char host[HOST_NAME_MAX + 1];
    X509 *authority = NULL, *server = NULL;
    struct certificate c;
    int err = name_files(&c, folder);

    host_name(host);
    if (!err && (!pair || !authority_pair || !(authority = make_authority(authority_pair, host)) ||
                 !(server = make_server(pair, host, authority, authority_pair))))
        err = fail(-EIO, "OpenSSL cannot make a certificate for '%s'", host);
    if (!err && (!write_certificate(c.authority, authority) || !write_certificate(c.server, server) ||
                 !write_key(c.key, pair)))
        err = fail(-errno, "TLS certificate in '%s': %s", folder, strerror(errno));
    X509_free(authority);
    X509_free(server);
    EVP_PKEY_free(authority_pair);
    EVP_PKEY_free(pair);
    return err;
}

static void remove_all(const char *folder)
{
    struct certificate c;

    if (name_files(&c, folder))
        return;
    unlink(c.authority);
    unlink(c.server);
    unlink(c.key);
    rmdir(folder);
}

/* All of it or nothing: in a folder with a name of its own until it is complete. What somebody else made meanwhile stays. */
static int make_folder(const char *folder)
{
    char new[PATH_MAX];
    int err = path_join(new, folder, ".XXXXXX");

    if (err)
        return err;
    user_folders_make(folder);
    if (!mkdtemp(new))
        return fail(-errno, "TLS certificate: folder '%s': %s", new, strerror(errno));
    err = write_all(new);
    if (!err && rename(new, folder) && errno != ENOTEMPTY && errno != EEXIST)
        err = fail(-errno, "TLS certificate: folder '%s': %s", folder, strerror(errno));
    if (access(new, F_OK) == 0)
        remove_all(new);
    return err;
}

/* --- finding them --- */

bool certificate_kept(struct certificate *c)
{
    char own[PATH_MAX];

    return user_file(own, "tls") == 0 && name_files(c, own) == 0 && access(c->server, F_OK) == 0;
}

int certificate_find(struct certificate *c, const char *folder)
{
    char own[PATH_MAX];
    int err;

    if (folder)
        return name_files(c, folder);
    err = user_file(own, "tls");
    if (!err)
        err = name_files(c, own);
    if (!err && access(c->server, F_OK) != 0)
        err = make_folder(own);
    return err;
}

/* NULL with fail_text() */
static X509 *read_server(const struct certificate *c)
{
    FILE *file = fopen(c->server, "re");
    X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

    if (file)
        fclose(file);
    if (!cert)
        fail(-EINVAL, "'%s' is no certificate in PEM", c->server);
    return cert;
}

int certificate_print(const struct certificate *c, char print[CERTIFICATE_PRINT])
{
    X509 *cert = read_server(c);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (!cert)
        return -EINVAL;
    X509_digest(cert, EVP_sha256(), digest, &size);
    X509_free(cert);
    for (unsigned i = 0; i < size; i++)
        snprintf(print + 3 * i, 4, "%02X%s", digest[i], i + 1 < size ? ":" : "");
    return 0;
}

/* In the order of the certificate, a comma between, those inside of names marked. */
int certificate_subject(const struct certificate *c, char subject[CERTIFICATE_SUBJECT])
{
    X509 *cert = read_server(c);
    BIO *text = cert ? BIO_new(BIO_s_mem()) : NULL;
    int n = 0;

    if (text && X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_SEP_COMMA_PLUS | ASN1_STRFLGS_ESC_2253) >= 0)
        n = BIO_read(text, subject, CERTIFICATE_SUBJECT - 1);
    subject[MAX(n, 0)] = 0;
    BIO_free(text);
    X509_free(cert);
    return cert ? 0 : -EINVAL;
}

#include "spice/server/sasl_files.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIGURATION "minivm.conf"
#define FOLDERS       "/etc/sasl2" /* where libsasl2 looks for it, unless SASL_CONF_PATH says another thing */
#define DATABASE      "/etc/sasldb2"
#define KEYTAB        "MEMORY:minivm"
#define MAX_FILES     32
#define MAX_LINE      4096

/* Always: names of hosts (a resolv.conf may lead to the second one), and krb5.conf with its parts. */
static const char *const system_files[] = {"/etc", "/run/systemd/resolve"};

static char *files[MAX_FILES + 1]; /* ended by NULL */
static size_t count;
static char *database, *keytab; /* NULL: not configured */

/* --- which there are --- */

static void add(const char *path, size_t size)
{
    if (count < MAX_FILES && size && (files[count] = strndup(path, size)))
        files[++count] = NULL;
}

/* Of a list with colons between. */
static size_t next_path(const char **at)
{
    size_t size;

    *at += strspn(*at, ":");
    size = strcspn(*at, ":");
    return size;
}

static void keep(char **value, const char *text)
{
    free(*value);
    *value = text ? strdup(text) : NULL;
}

/* "option: value". What is named by its path may be read later, but for the keys. */
static void take_line(char *line)
{
    char *value = strchr(line, ':'), *end;

    if (*line == '#' || !value)
        return;
    *value++ = '\0';
    value += strspn(value, " \t");
    for (end = value + strlen(value); end > value && isspace((unsigned char)end[-1]);)
        *--end = '\0';
    if (strcasecmp(line, "keytab") == 0)
        keep(&keytab, value);
    else if (*value == '/')
        add(value, strlen(value));
    if (strcasecmp(line, "sasldb_path") == 0)
        keep(&database, value);
}

static bool read_configuration(void)
{
    const char *at = getenv("SASL_CONF_PATH");
    char path[PATH_MAX], line[MAX_LINE];
    FILE *f = NULL;

    at = at ? at : FOLDERS;
    for (size_t size; !f && (size = next_path(&at)); at += size) {
        snprintf(path, sizeof(path), "%.*s/" CONFIGURATION, (int)size, at);
        f = fopen(path, "re");
    }
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f))
        take_line(line + strspn(line, " \t"));
    fclose(f);
    return true;
}

bool sasl_files_init(const char *users)
{
    const char *kerberos = getenv("KRB5_CONFIG");
    bool configured;

    while (count)
        free(files[--count]);
    files[0] = NULL;
    keep(&keytab, NULL);
    keep(&database, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(system_files); i++)
        add(system_files[i], strlen(system_files[i]));
    for (size_t size; kerberos && (size = next_path(&kerberos)); kerberos += size)
        add(kerberos, size);
    configured = read_configuration();
    if (users) {
        keep(&database, users);
        add(users, strlen(users));
    }
    return configured;
}

const char *const *sasl_files_read(void)
{
    return (const char *const *)files;
}

int sasl_files_check(void)
{
    const char *users = database ? database : access(DATABASE, F_OK) == 0 ? DATABASE : NULL;

    if (users && access(users, R_OK))
        return fail(-EACCES, "SASL database '%s': %s for the user that the machine becomes; give it a group that may read it, in "
                    "folders that all may enter, or name another user: --sandbox on,user=NAME", users, strerror(errno));
    return 0;
}

/* --- keys --- */

static krb5_error_code copy_keys(krb5_context context, krb5_keytab from, krb5_keytab to)
{
    krb5_keytab_entry entry;
    krb5_kt_cursor cursor;
    krb5_error_code err = krb5_kt_start_seq_get(context, from, &cursor);

    if (err)
        return err;
    while (!err && !(err = krb5_kt_next_entry(context, from, &entry, &cursor))) {
        err = krb5_kt_add_entry(context, to, &entry);
        krb5_free_keytab_entry_contents(context, &entry);
    }
    krb5_kt_end_seq_get(context, from, &cursor);
    return err == KRB5_KT_END ? 0 : err;
}

/* The one in memory stays: it goes with its last handle. */
static krb5_error_code load_keys(krb5_context context, krb5_keytab from)
{
    static krb5_keytab held;
    krb5_keytab keys;
    krb5_error_code err = krb5_kt_resolve(context, KEYTAB, &keys);

    if (err)
        return err;
    err = copy_keys(context, from, keys);
    if (err || held)
        krb5_kt_close(context, keys);
    else
        held = keys;
    return err;
}

static int refuse_keys(krb5_context context, krb5_error_code err, const char *name)
{
    const char *reason = context ? krb5_get_error_message(context, err) : "its libraries do not start";

    fail(-EACCES, "SASL: the keys of Kerberos (%s): %s; who starts the machine must be able to read them, or take GSSAPI out "
         "of mech_list in " CONFIGURATION, name, reason);
    if (context)
        krb5_free_error_message(context, reason);
    return -EACCES;
}

/*
 * With them in memory nothing is left to be written either: libkrb5 would note each ticket that it saw in /var/tmp, against those
 * who overheard one. But here all goes by TLS, and SASL has clients prove after the ticket that they know its key.
 */
int sasl_files_take_keys(bool offered)
{
    char name[PATH_MAX] = "";
    krb5_context context = NULL;
    krb5_keytab from = NULL;
    krb5_error_code err;
    int result = 0;

    if (!keytab && !offered)
        return 0;
    err = krb5_init_context(&context);
    if (!err)
        err = keytab ? krb5_kt_resolve(context, keytab, &from) : krb5_kt_default(context, &from);
    if (!err)
        err = krb5_kt_get_name(context, from, name, sizeof(name));
    if (!err)
        err = krb5_kt_have_content(context, from);
    if (!err)
        err = load_keys(context, from);
    if (err || krb5_gss_register_acceptor_identity(KEYTAB) || setenv("KRB5RCACHENAME", "none:", true))
        result = refuse_keys(context, err, *name ? name : keytab ? keytab : "by default");
    if (from)
        krb5_kt_close(context, from);
    if (context)
        krb5_free_context(context);
    return result;
}

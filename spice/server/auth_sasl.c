#include "spice/server/auth_sasl.h"

#include "base/error.h"
#include "spice/server/sasl_files.h"

#include <errno.h>
#include <limits.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libsasl2 has one type for all of them. */
#define CALLBACK(function) ((int (*)(void))(void (*)(void))(function))

#define KEY_BITS 256 /* that TLS has at most: what is said here needs no more */

struct auth_sasl {
    sasl_conn_t *connection;
    const char *mechanisms; /* the connection's */
};

static char database[PATH_MAX]; /* the user's; "": none */
static bool configured;         /* somebody wrote the file */

/* --- settings --- */

/*
 * What holds where nobody has said another thing. GSSAPI is not in it: who is offered that chooses it, and cannot go back to a
 * password when he has no ticket.
 */
static const char *setting(const char *option)
{
    static const char *const settings[][2] = {{"mech_list", "SCRAM-SHA-512 SCRAM-SHA-256"},
                                              {"pwcheck_method", "auxprop"},
                                              {"auxprop_plugin", "sasldb"}};

    if (*database && strcmp(option, "sasldb_path") == 0)
        return database;
    for (size_t i = 0; !configured && i < ARRAY_SIZE(settings); i++)
        if (strcmp(settings[i][0], option) == 0)
            return settings[i][1];
    return NULL;
}

static int get_option(void *context UNUSED, const char *plugin UNUSED, const char *option, const char **result,
                      unsigned *size)
{
    const char *value = setting(option);

    if (!value)
        return SASL_FAIL;
    *result = value;
    if (size)
        *size = (unsigned)strlen(value);
    return SASL_OK;
}

/* It logs by itself what we log, and for each mechanism that has nothing to work with. */
static int ignore_log(void *context UNUSED, int level UNUSED, const char *message UNUSED)
{
    return SASL_OK;
}

/* A mechanism that finds nothing to work with is not offered; then all clients would only be sent away. */
static int try_mechanisms(void)
{
    struct auth_sasl *probe = auth_sasl_create();
    bool offers_kerberos = probe && (auth_sasl_offers(probe, "GSSAPI") || auth_sasl_offers(probe, "GSS-SPNEGO"));
    int err = sasl_files_take_keys(offers_kerberos);

    if (!err && !probe)
        err = fail(-ENOENT, "SASL: nobody could come in: no mechanism of mech_list in minivm.conf works here; is its package "
                            "(libsasl2-modules...) there, and what it is configured to read?");
    auth_sasl_destroy(probe);
    return err;
}

int auth_sasl_init(const char *db)
{
    static const sasl_callback_t callbacks[] = {{SASL_CB_GETOPT, CALLBACK(get_option), NULL},
                                                {SASL_CB_LOG, CALLBACK(ignore_log), NULL},
                                                {SASL_CB_LIST_END, NULL, NULL}};
    static bool begun;
    int result = SASL_OK;

    if (db && access(db, R_OK))
        return fail(-errno, "SASL database '%s': %s", db, strerror(errno));
    snprintf(database, sizeof(database), "%s", db ? db : "");
    configured = sasl_files_init(db);
    if (!begun)
        result = sasl_server_init(callbacks, "minivm");
    begun = result == SASL_OK;
    return result == SASL_OK ? try_mechanisms() : fail(-EIO, "SASL does not start: %s", sasl_errstring(result, NULL, NULL));
}

/* --- one client --- */

/* TLS has done what SASL could do for secrecy, so none is asked for and plain mechanisms are as good as configured. */
static bool set_properties(sasl_conn_t *connection)
{
    const sasl_security_properties_t properties = {.maxbufsize = AUTH_SASL_MAX_DATA,
                                                   .security_flags = SASL_SEC_NOANONYMOUS};
    sasl_ssf_t bits = KEY_BITS;

    return sasl_setprop(connection, SASL_SSF_EXTERNAL, &bits) == SASL_OK &&
           sasl_setprop(connection, SASL_SEC_PROPS, &properties) == SASL_OK;
}

struct auth_sasl *auth_sasl_create(void)
{
    struct auth_sasl *a = calloc(1, sizeof(*a));
    int count = 0;

    if (a && sasl_server_new("spice", NULL, NULL, NULL, NULL, NULL, SASL_SUCCESS_DATA, &a->connection) == SASL_OK &&
        set_properties(a->connection) &&
        sasl_listmech(a->connection, NULL, "", ",", "", &a->mechanisms, NULL, &count) == SASL_OK && count)
        return a;
    auth_sasl_destroy(a);
    return NULL;
}

void auth_sasl_destroy(struct auth_sasl *a)
{
    if (a && a->connection)
        sasl_dispose(&a->connection);
    free(a);
}

const char *auth_sasl_mechanisms(const struct auth_sasl *a)
{
    return a->mechanisms;
}

bool auth_sasl_offers(const struct auth_sasl *a, const char *mechanism)
{
    size_t size = strlen(mechanism);

    for (const char *at = a->mechanisms; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (size && strncmp(at, mechanism, size) == 0 && (at[size] == ',' || !at[size]))
            return true;
    }
    return false;
}

enum auth_outcome auth_sasl_take(struct auth_sasl *a, const char *mechanism, const char *data, unsigned size,
                                 const char **answer, unsigned *answer_size)
{
    int result;

    *answer = NULL;
    *answer_size = 0;
    if (mechanism)
        result = sasl_server_start(a->connection, mechanism, data, size, answer, answer_size);
    else
        result = sasl_server_step(a->connection, data, size, answer, answer_size);
    if (result == SASL_CONTINUE)
        return AUTH_CONTINUES;
    return result == SASL_OK ? AUTH_DONE : AUTH_FAILED;
}

const char *auth_sasl_user(const struct auth_sasl *a)
{
    const void *user = NULL;

    return sasl_getprop(a->connection, SASL_USERNAME, &user) == SASL_OK && user ? user : "?";
}

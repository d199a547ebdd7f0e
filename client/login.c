#include "client/login.h"

#include "base/error.h"

#include <errno.h>
#include <pwd.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libsasl2 has one type for all of them. */
#define CALLBACK(function) ((int (*)(void))(void (*)(void))(function))
#define KEY_BITS           256 /* that TLS has at most: what is said here needs no more */

struct login {
    sasl_conn_t *connection;
    sasl_callback_t callbacks[4];
    char user[128];
    sasl_secret_t *password; /* its bytes lie behind it */
    bool done;
};

/* The best first. */
static const char *const with_password[] = {"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", NULL};
static const char *const with_ticket[] = {"GSSAPI", NULL};

/* Nobody asks to act as another (SASL_CB_USER): that is who he is, which with a ticket only Kerberos knows. */
static int get_user(void *context, int id, const char **result, unsigned *size)
{
    struct login *l = context;

    *result = id == SASL_CB_AUTHNAME ? l->user : "";
    if (size)
        *size = (unsigned)strlen(*result);
    return SASL_OK;
}

static int get_password(sasl_conn_t *connection UNUSED, void *context, int id UNUSED, sasl_secret_t **secret)
{
    *secret = ((struct login *)context)->password;
    return SASL_OK;
}

static void set_user(struct login *l, const char *user)
{
    const struct passwd *self = *user ? NULL : getpwuid(geteuid());

    snprintf(l->user, sizeof(l->user), "%s", *user ? user : self ? self->pw_name : "");
}

static int set_password(struct login *l, const char *password)
{
    size_t size = strlen(password);

    l->password = malloc(sizeof(*l->password) + size + 1);
    if (!l->password)
        return -ENOMEM;
    l->password->len = size;
    memcpy(l->password->data, password, size + 1);
    return 0;
}

static bool is_offered(const char *offered, const char *mechanism)
{
    size_t size = strlen(mechanism);

    for (offered += strspn(offered, ", "); *offered; offered += strspn(offered, ", ")) {
        size_t n = strcspn(offered, ", ");

        if (n == size && strncmp(offered, mechanism, n) == 0)
            return true;
        offered += n;
    }
    return false;
}

static int open_connection(struct login *l, const char *host)
{
    const sasl_security_properties_t properties = {.maxbufsize = LOGIN_MAX_DATA,
                                                   .security_flags = SASL_SEC_NOANONYMOUS};
    const sasl_callback_t callbacks[] = {{SASL_CB_USER, CALLBACK(get_user), l},
                                         {SASL_CB_AUTHNAME, CALLBACK(get_user), l},
                                         {SASL_CB_PASS, CALLBACK(get_password), l},
                                         {SASL_CB_LIST_END, NULL, NULL}};
    static bool begun;
    sasl_ssf_t bits = KEY_BITS;

    static_assert(sizeof(callbacks) == sizeof(l->callbacks), "one for each");
    memcpy(l->callbacks, callbacks, sizeof(callbacks));
    if (!begun && sasl_client_init(NULL) != SASL_OK)
        return fail(-EIO, "SASL does not start");
    begun = true;
    if (sasl_client_new("spice", host, NULL, NULL, l->callbacks, 0, &l->connection) != SASL_OK ||
        sasl_setprop(l->connection, SASL_SSF_EXTERNAL, &bits) != SASL_OK ||
        sasl_setprop(l->connection, SASL_SEC_PROPS, &properties) != SASL_OK)
        return fail(-EIO, "SASL does not start");
    return 0;
}

static int cannot(const struct login *l, int result)
{
    if (result == SASL_NOMECH)
        return fail(-EPROTO, "libsasl2 has none of the server's mechanisms; install libsasl2-modules");
    return fail(-EACCES, "the server does not believe that you are '%s': %s; give --user and --password-file", l->user,
                sasl_errstring(result, NULL, NULL));
}

static int start(struct login *l, const char *const *wanted, const char *offered, const char **mechanism,
                 struct login_data *first)
{
    bool any = false;
    int result = SASL_NOMECH;

    for (; *wanted && result == SASL_NOMECH; wanted++) {
        if (!is_offered(offered, *wanted))
            continue;
        any = true;
        *mechanism = *wanted;
        result = sasl_client_start(l->connection, *wanted, NULL, &first->bytes, &first->size, NULL);
    }
    l->done = result == SASL_OK;
    if (l->done || result == SASL_CONTINUE)
        return 0;
    if (!any)
        return -ENOENT;
    return cannot(l, result);
}

int login_begin(struct login **login, const struct client_options *o, const char *offered, const char **mechanism,
                struct login_data *first)
{
    struct login *l = calloc(1, sizeof(*l));
    bool has_password = o->password[0];
    int err = l ? set_password(l, o->password) : -ENOMEM;

    *first = (struct login_data){0};
    if (!err) {
        set_user(l, o->user);
        err = open_connection(l, o->host);
    }
    if (!err)
        err = start(l, has_password ? with_password : with_ticket, offered, mechanism, first);
    if (err == -ENOENT && has_password)
        err = fail(-EPROTO, "the server knows no way to log in that is known here (SCRAM, PLAIN, GSSAPI), but %.100s",
                   offered);
    else if (err == -ENOENT)
        err = fail(-EACCES, "the server asks who you are; give --user and --password-file");
    if (err) {
        login_end(l);
        return err;
    }
    *login = l;
    return 0;
}

int login_step(struct login *l, const char *data, unsigned size, struct login_data *answer)
{
    int result = sasl_client_step(l->connection, data, size, NULL, &answer->bytes, &answer->size);

    l->done = result == SASL_OK;
    return l->done || result == SASL_CONTINUE ? 0 : cannot(l, result);
}

bool login_is_done(const struct login *l)
{
    return l->done;
}

void login_end(struct login *l)
{
    if (!l)
        return;
    sasl_dispose(&l->connection);
    if (l->password)
        explicit_bzero(l->password->data, l->password->len);
    free(l->password);
    free(l);
}

/* control_spice.c - the commands of --control for viewers' passwords, by QEMU's names. */
#include "base/error.h"
#include "base/options.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static int find_server(const struct run *run, const json_t *arguments)
{
    const char *protocol = json_string_value(json_object_get(arguments, "protocol"));

    if (strcmp(protocol, "spice") != 0)
        return fail(-EINVAL, "Invalid parameter '%s'; there is 'spice'", protocol);
    return run->spice ? 0 : fail(-ENODEV, "SPICE is not in use");
}

int control_set_password(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    static const char *const names[] = {
        [TICKET_KEEP] = "keep", [TICKET_FAIL] = "fail", [TICKET_DISCONNECT] = "disconnect", NULL};
    const char *connected = json_string_value(json_object_get(arguments, "connected"));
    struct run *run = opaque;
    int how = connected ? parse_choice(connected, names) : TICKET_KEEP, err = find_server(run, arguments);

    if (err)
        return err;
    return how < 0 ? how : spice_server_set_password(run->spice, json_string_value(json_object_get(arguments, "password")),
                                                     (enum ticket_connected)how);
}

/* "now", "never", "+SECONDS" from now, or seconds since 1970. */
static int parse_time(const char *text, int64_t *when)
{
    int64_t now = time(NULL);
    uint64_t seconds;
    int err;

    if (strcmp(text, "never") == 0) {
        *when = INT64_MAX;
        return 0;
    }
    *when = now;
    if (strcmp(text, "now") == 0)
        return 0;
    err = parse_unsigned(*text == '+' ? text + 1 : text, 0, INT32_MAX * 1000ull, &seconds);
    *when = *text == '+' ? now + (int64_t)seconds : (int64_t)seconds;
    return err;
}

int control_expire_password(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    struct run *run = opaque;
    int64_t when;
    int err = find_server(run, arguments);

    if (!err)
        err = parse_time(json_string_value(json_object_get(arguments, "time")), &when);
    return err ? err : spice_server_expire_password(run->spice, when);
}

static int port_of(const json_t *arguments, const char *name)
{
    const json_t *port = json_object_get(arguments, name);

    return port ? (int)CLAMP(json_integer_value(port), 0, 65535) : -1;
}

/* The session, not the machine: whoever moves that, or has it twice, sends viewers after it. */
int control_client_migrate_info(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    const struct spice_destination to = {
        .host = json_string_value(json_object_get(arguments, "hostname")),
        .port = port_of(arguments, "port"),
        .tls_port = port_of(arguments, "tls-port"),
        .subject = json_string_value(json_object_get(arguments, "cert-subject")),
    };
    struct run *run = opaque;
    int err = find_server(run, arguments);

    return err ? err : spice_server_switch_host(run->spice, &to);
}

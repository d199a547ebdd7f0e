/* config_port.c - the command line's virtio-serial ports. */
#include "vmm/config_private.h"

#include "base/error.h"
#include "devices/virtio/virtio_serial.h"
#include "vmm/nested.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(CONFIG_MAX_PORTS == SERIAL_MAX_PORTS - 1, "all but the console's");

static int check_name(const struct vm_config *config, const char *name)
{
    if (!virtio_serial_is_name(name))
        return fail(-EINVAL, "'%.80s' is no name of a port: 1 to %d letters, digits and signs, but no '/'", name,
                    SERIAL_MAX_NAME - 1);
    for (unsigned i = 0; i < config->port_count; i++)
        if (strcmp(config->ports[i].name, name) == 0)
            return fail(-EINVAL, "there are two ports '%s'", name);
    return 0;
}

/* NAME=SPEC */
int config_add_port(void *opaque, const char *value)
{
    struct vm_config *config = opaque;
    struct config_port *port = &config->ports[config->port_count];
    const char *end = strchr(value, '='), *spec = end ? end + 1 : "";
    bool is_unix = strncmp(spec, "unix:", 5) == 0;
    int err;

    if (config->port_count == CONFIG_MAX_PORTS)
        return fail(-EINVAL, "more than %d ports", CONFIG_MAX_PORTS);
    if (!is_unix && strncmp(spec, "file:", 5) != 0)
        return fail(-EINVAL, "'%s' is neither NAME=unix:PATH nor NAME=file:PATH", value);
    *port = (struct config_port){.name = strndup(value, (size_t)(end - value)), .spec = spec};
    if (!port->name)
        return -ENOMEM;
    err = check_name(config, port->name);
    if (err) {
        free(port->name);
        return err;
    }
    if (is_unix && config->relayed) {
        snprintf(port->inside, sizeof(port->inside), "unix:" NESTED_ENDS "%u", config->port_count);
        port->spec = port->inside;
    }
    config->port_count++;
    return 0;
}

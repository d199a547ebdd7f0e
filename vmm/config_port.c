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

static int add_port(struct vm_config *config, const char *name, size_t size, const char *spec)
{
    struct config_port *port = &config->ports[config->port_count];
    int err;

    if (config->port_count == CONFIG_MAX_PORTS)
        return fail(-EINVAL, "more than %d ports", CONFIG_MAX_PORTS);
    *port = (struct config_port){.name = strndup(name, size), .spec = spec};
    if (!port->name)
        return -ENOMEM;
    err = check_name(config, port->name);
    if (err) {
        free(port->name);
        return err;
    }
    if (spec && strncmp(spec, "unix:", 5) == 0 && config->relayed) {
        snprintf(port->inside, sizeof(port->inside), "unix:" NESTED_ENDS "%u", config->port_count);
        port->spec = port->inside;
    }
    config->port_count++;
    return 0;
}

/* NAME=SPEC */
int config_add_port(void *opaque, const char *value)
{
    const char *end = strchr(value, '='), *spec = end ? end + 1 : "";

    if (strcmp(spec, "spice") == 0)
        spec = NULL;
    else if (strncmp(spec, "unix:", 5) != 0 && strncmp(spec, "file:", 5) != 0)
        return fail(-EINVAL, "'%s' is none of NAME=unix:PATH, NAME=file:PATH and NAME=spice", value);
    return add_port(opaque, value, (size_t)(end - value), spec);
}

static bool has_port(const struct vm_config *config, const char *name)
{
    bool has = false;

    for (unsigned i = 0; i < config->port_count; i++)
        has |= strcmp(config->ports[i].name, name) == 0;
    return has;
}

int config_check_ports(const struct vm_config *config)
{
    for (unsigned i = 0; i < config->port_count; i++)
        if (!config->ports[i].spec && !config_has_spice(config))
            return fail(-EINVAL, "--port %s=spice: SPICE is not on: add --spice PORT, --spice-tls PORT, --web PORT or "
                                 "--spice-unix PATH", config->ports[i].name);
    return 0;
}

int config_fill_ports(struct vm_config *config)
{
    if (config->no_agent || !config_has_spice(config) || has_port(config, SPICE_AGENT_PORT))
        return 0;
    if (config->port_count == CONFIG_MAX_PORTS)
        return fail(-EINVAL, "--port: %d leave none for the guest's agent; add --agent off", CONFIG_MAX_PORTS);
    return add_port(config, SPICE_AGENT_PORT, strlen(SPICE_AGENT_PORT), NULL);
}

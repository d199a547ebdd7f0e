/* domain_graphics.c - how a libvirt domain is seen: <graphics> and <video>. */
#include "vmm/domain_private.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- SPICE --- */

static int take_port(struct domain *d, const xmlNode *node, const char *attribute, const char *option)
{
    const char *port = domain_attribute(node, attribute);

    /* -1 is libvirt's "choose one"; of the TLS port it means none, as that is for its own configuration to say. */
    if (strcmp(port, "-1") == 0 || !*port)
        return 0;
    return domain_option(d, option, port);
}

static int take_ports(struct domain *d, const xmlNode *node)
{
    unsigned before = d->count;
    int err = take_port(d, node, "port", "--spice");

    if (!err)
        err = take_port(d, node, "tlsPort", "--spice-tls");
    return err || d->count > before ? err : domain_option(d, "--spice", "0");
}

/* <graphics listen='...'>, or a <listen> inside. */
static int take_listen(struct domain *d, const xmlNode *node)
{
    const xmlNode *listen = domain_child(node, "listen");
    const char *address = domain_attribute(listen ? listen : node, listen ? "address" : "listen");

    if (domain_is(listen, "type", "socket")) {
        const char *path = domain_attribute(listen, "socket");

        if (*path)
            return domain_option(d, "--spice-unix", path);
        domain_warn(d, listen, "a socket without a path is left out");
        return 0;
    }
    if (domain_is(listen, "type", "none"))
        return 0;
    if (domain_is(listen, "type", "network"))
        domain_warn(d, listen, "libvirt's networks are not known here: it listens on 127.0.0.1");
    if (!*address)
        address = domain_attribute(node, "listen");
    return *address ? domain_option(d, "--spice-listen", address) : 0;
}

/* Children whose attribute becomes --spice-option key=value. */
static int take_spice_options(struct domain *d, const xmlNode *node)
{
    static const struct {
        const char *child, *attribute, *key;
    } options[] = {
        {"image", "compression", "image-compression"},
        {"jpeg", "compression", "jpeg-wan-compression"},
        {"zlib", "compression", "zlib-glz-wan-compression"},
        {"streaming", "mode", "streaming-video"},
        {"playback", "compression", "playback-compression"},
    };
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(options) && !err; i++) {
        const char *value = domain_child_attribute(node, options[i].child, options[i].attribute);

        if (*value)
            err = domain_optionf(d, "--spice-option", "%s=%s", options[i].key, value);
    }
    return err;
}

/* Channels that need no TLS, where there is TLS. */
static int take_channels(struct domain *d, const xmlNode *node)
{
    const char *tls = domain_attribute(node, "tlsPort");
    int err = 0;

    for (const xmlNode *c = domain_child(node, "channel"); c && !err && *tls && strcmp(tls, "-1") != 0; c = c->next)
        if (domain_is(c, "mode", "insecure"))
            err = domain_optionf(d, "--spice-option", "plaintext-channel=%s", domain_attribute(c, "name"));
    return err;
}

static int take_password(struct domain *d, const xmlNode *node)
{
    const char *password = domain_attribute(node, "passwd");

    if (strlen(password) >= sizeof(d->password))
        return fail(-EINVAL, "'%s': the password of <graphics> is too long", d->path);
    strcpy(d->password, password);
    if (*domain_attribute(node, "passwdValidTo"))
        domain_warn(d, node, "the password does not expire by itself; 'expire_password' at --control ends it");
    return 0;
}

int domain_take_graphics(struct domain *d, const xmlNode *node)
{
    static const char *const known[] = {"listen", "image", "jpeg", "zlib", "streaming", "channel", "playback", NULL};
    static int (*const steps[])(struct domain *domain, const xmlNode *graphics) = {
        take_ports, take_listen, take_password, take_spice_options, take_channels,
    };
    const xmlNode *listen = domain_child(node, "listen");
    bool no_ports = domain_is(listen, "type", "socket") || domain_is(listen, "type", "none");
    int err = 0;

    if (domain_says(d, "--spice")) {
        domain_warn(d, node, "the screen is served once, this is left out");
        return 0;
    }
    if (!domain_is(node, "type", "spice")) {
        domain_warn(d, node, "the screen is served by SPICE, not '%.20s'", domain_attribute(node, "type"));
        return domain_option(d, "--spice", "0");
    }
    domain_check(d, node, known);
    for (size_t i = no_ports ? 1 : 0; i < ARRAY_SIZE(steps) && !err; i++)
        err = steps[i](d, node);
    return err;
}

/* --- video --- */

/* Memory in KiB. libvirt makes powers of two of what was asked for, and so does this. */
static int take_qxl(struct domain *d, const xmlNode *model)
{
    static const char *const sizes[] = {"ram", "vram", "vram64", "vgamem"};
    char text[256] = "";

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t wanted = strtoull(domain_attribute(model, sizes[i]), NULL, 10), size = 1;

        while (size < wanted && size < KIB(1) * KIB(1) * KIB(1))
            size *= 2;
        if (wanted)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%lluK", *text ? "," : "", sizes[i],
                     (unsigned long long)size);
    }
    return *text ? domain_option(d, "--qxl", text) : domain_option(d, "--qxl", "revision=5");
}

/* Each QXL model is a device; others only if they come first. */
int domain_take_video(struct domain *d, const xmlNode *node)
{
    static const char *const plain[] = {"vga", "cirrus", "bochs", "vmvga"};
    static const char *const known[] = {"model", "alias", "address", "driver", NULL};
    const xmlNode *model = domain_child(node, "model");
    const char *type = domain_attribute(model, "type"), *heads = domain_attribute(model, "heads");
    int err;

    domain_check(d, node, known);
    if (domain_says(d, "--video") && strcmp(type, "qxl") != 0) {
        domain_warn(d, node, "a second '%.20s' is left out", type);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (strcmp(type, plain[i]) == 0) {
            if (i > 0)
                domain_warn(d, node, "the display device is a standard VGA, not '%s'", type);
            return domain_option(d, "--video", "vga");
        }
    if (strcmp(type, "none") == 0)
        return domain_option(d, "--video", "none");
    if (strcmp(type, "qxl") != 0)
        domain_warn(d, node, "the display device is QXL, not '%.20s'", type);
    err = domain_says(d, "--video") ? 0 : domain_option(d, "--video", "qxl");
    if (!err && *heads && strcmp(heads, "1") != 0)
        err = domain_option(d, "--heads", heads);
    return err ? err : take_qxl(d, model);
}

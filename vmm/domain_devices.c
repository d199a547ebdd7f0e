/* domain_devices.c - the devices of a libvirt domain, but for what shows its screen. */
#include "vmm/domain_private.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A list of suboptions as it grows. */
struct parts {
    char text[2048];
    size_t size;
};

static void add_letter(struct parts *p, char letter)
{
    if (p->size < sizeof(p->text))
        p->text[p->size++] = letter;
}

/* Commas in values are doubled, see parse_suboptions(). */
static void add_part(struct parts *p, const char *key, const char *value)
{
    if (p->size)
        add_letter(p, ',');
    for (const char *k = key; *k; k++)
        add_letter(p, *k);
    if (*key)
        add_letter(p, '=');
    for (; *value; value++) {
        if (*value == ',')
            add_letter(p, ',');
        add_letter(p, *value);
    }
}

static int parts_option(struct domain *d, const char *option, struct parts *p)
{
    add_letter(p, 0);
    if (p->text[p->size - 1])
        return fail(-EINVAL, "'%s': what is said for %s is too long", d->path, option);
    return domain_option(d, option, p->text);
}

/* --- disks --- */

/* Attributes of <driver> whose values the option knows by the same words. */
static void add_driver(struct domain *d, struct parts *p, const xmlNode *disk)
{
    static const struct {
        const char *attribute, *key, *words[4];
    } taken[] = {
        {"type", "format", {"raw", "qcow2"}},
        {"cache", "cache", {"none", "writeback", "unsafe"}},
        {"discard", "discard", {"unmap", "ignore"}},
        {"error_policy", "werror", {"enospace", "report", "stop"}},
        {"rerror_policy", "rerror", {"report", "stop"}},
    };
    const xmlNode *driver = domain_child(disk, "driver");

    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        const char *value = domain_attribute(driver, taken[i].attribute), *const *word = taken[i].words;

        if (!*value)
            continue;
        while (*word && strcmp(*word, value) != 0)
            word++;
        if (*word)
            add_part(p, taken[i].key, strcmp(value, "enospace") == 0 ? "enospc" : value);
        else
            domain_warn(d, driver, "%s='%.20s' is left out", taken[i].attribute, value);
    }
}

static int take_disk_file(struct domain *d, const xmlNode *node, const char *path)
{
    const char *bus = domain_child_attribute(node, "target", "bus");
    const xmlNode *serial = domain_child(node, "serial");
    struct parts p = {0};
    char text[64];
    int err;

    add_part(&p, "", path);
    add_driver(d, &p, node);
    if (strcmp(bus, "ide") == 0 || strcmp(bus, "sata") == 0)
        add_part(&p, "bus", "ide");
    else if (*bus && strcmp(bus, "virtio") != 0)
        domain_warn(d, node, "the disk is attached by virtio, not %.20s", bus);
    if (domain_child(node, "readonly"))
        add_part(&p, "readonly", "on");
    if (domain_child(node, "transient"))
        add_part(&p, "snapshot", "on");
    if (serial) {
        err = domain_text(serial, text, sizeof(text));
        if (err)
            return err;
        add_part(&p, "serial", text);
    }
    return parts_option(d, "--disk", &p);
}

static int take_disk(struct domain *d, const xmlNode *node)
{
    static const char *const known[] = {"source", "target", "driver", "readonly", "transient", "serial", "boot",
                                        "alias", "address", "backingStore", NULL};
    const char *device = domain_attribute(node, "device"), *path = domain_child_attribute(node, "source", "file");

    domain_check(d, node, known);
    if (!*path)
        path = domain_child_attribute(node, "source", "dev");
    if (domain_child(node, "source") && !*path) {
        domain_warn(d, node, "a disk of type '%.20s' is left out; only files and block devices can be attached",
                    domain_attribute(node, "type"));
        return 0;
    }
    if (strcmp(device, "cdrom") == 0)
        return domain_option(d, "--cdrom", *path ? path : "none");
    if (*device && strcmp(device, "disk") != 0) {
        domain_warn(d, node, "there is no %.20s, it is left out", device);
        return 0;
    }
    return *path ? take_disk_file(d, node, path) : 0;
}

/* --- the network --- */

static int take_port_forwards(struct domain *d, const xmlNode *node)
{
    for (const xmlNode *forward = domain_child(node, "portForward"); forward; forward = forward->next) {
        const char *address = domain_attribute(forward, "address"), *proto = domain_attribute(forward, "proto");

        for (const xmlNode *range = domain_child(forward, "range"); range; range = range->next) {
            const char *start = domain_attribute(range, "start"), *to = domain_attribute(range, "to");
            int err;

            if (!*start)
                continue;
            if (*domain_attribute(range, "end"))
                domain_warn(d, range, "only the first port is forwarded");
            err = domain_optionf(d, "--forward", "%s:%s:%s-:%s", *proto ? proto : "tcp", address, start,
                                 *to ? to : start);
            if (err)
                return err;
        }
    }
    return 0;
}

/* The first one; the device is virtio's whatever was asked for. */
static int take_interface(struct domain *d, const xmlNode *node)
{
    static const char *const known[] = {"mac", "source", "model", "target", "alias", "address", "boot", "portForward",
                                        "backend", NULL};
    const char *type = domain_attribute(node, "type"), *mac = domain_child_attribute(node, "mac", "address");
    const char *model = domain_child_attribute(node, "model", "type");
    const char *tap = domain_child_attribute(node, "target", "dev");
    struct parts p = {0};
    int err;

    if (domain_says(d, "--net")) {
        domain_warn(d, node, "a machine has one network card, this one is left out");
        return 0;
    }
    domain_check(d, node, known);
    if (*model && strcmp(model, "virtio") != 0)
        domain_warn(d, node, "the card is virtio's, not '%.20s'", model);
    if (strcmp(type, "ethernet") == 0 && *tap) {
        add_part(&p, "tap", tap);
    } else {
        if (strcmp(type, "user") != 0)
            domain_warn(d, node, "the guest gets the user network, not '%.20s'; for a bridge give --net tap=INTERFACE",
                        type);
        add_part(&p, "", "user");
    }
    if (*mac)
        add_part(&p, "mac", mac);
    err = parts_option(d, "--net", &p);
    return err ? err : take_port_forwards(d, node);
}

/* --- serial ports and the like --- */

static int take_serial(struct domain *d, const xmlNode *node)
{
    static const char *const paths[] = {"unix", "file"};
    const char *type = domain_attribute(node, "type"), *path = domain_child_attribute(node, "source", "path");

    if (domain_says(d, "--serial")) {
        if (strcmp((const char *)node->name, "serial") == 0)
            domain_warn(d, node, "a machine has one serial port, this one is left out");
        return 0; /* a <console> is the serial port once more */
    }
    if (strcmp(type, "pty") == 0 || strcmp(type, "stdio") == 0 || strcmp(type, "null") == 0)
        return domain_option(d, "--serial", strcmp(type, "null") == 0 ? "none" : type);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (strcmp(type, paths[i]) == 0 && *path)
            return domain_optionf(d, "--serial", "%s:%s", type, path);
    domain_warn(d, node, "a serial port of type '%.20s' is left out", type);
    return 0;
}

static int take_memballoon(struct domain *d, const xmlNode *node)
{
    return domain_is(node, "model", "none") ? domain_option(d, "--balloon", "off") : 0;
}

/* The first one; all of Intel's that speak HD Audio are the same to a guest. */
static int take_sound(struct domain *d, const xmlNode *node)
{
    static const char *const words[][2] = {{"ich6", "ich6"}, {"ich7", "ich6"}, {"ich9", "ich6"}, {"ac97", "ac97"}};
    const char *model = domain_attribute(node, "model");

    if (domain_says(d, "--sound")) {
        domain_warn(d, node, "a machine has one sound card, this one is left out");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(model, words[i][0]) == 0)
            return domain_option(d, "--sound", words[i][1]);
    domain_warn(d, node, "the card is an ich6, not '%.20s'", model);
    return domain_option(d, "--sound", "ich6");
}

static int take_watchdog(struct domain *d, const xmlNode *node)
{
    static const char *const words[][2] = {{"", "reset"}, {"reset", "reset"}, {"shutdown", "poweroff"},
                                           {"poweroff", "poweroff"}, {"pause", "pause"}, {"none", "none"}};
    const char *action = domain_attribute(node, "action");

    if (!domain_is(node, "model", "i6300esb")) {
        domain_warn(d, node, "the watchdog is an i6300esb, '%.20s' is left out", domain_attribute(node, "model"));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(action, words[i][0]) == 0)
            return domain_option(d, "--watchdog", words[i][1]);
    domain_warn(d, node, "there is no action '%.20s'; the guest is reset", action);
    return domain_option(d, "--watchdog", "reset");
}

/* Keyboard and mouse are PS/2's. */
static int take_input(struct domain *d, const xmlNode *node)
{
    if (domain_is(node, "type", "tablet") || domain_is(node, "bus", "usb") || domain_is(node, "bus", "virtio"))
        domain_warn(d, node, "keyboard and mouse are PS/2's; a %.20s on %.20s is left out",
                    domain_attribute(node, "type"), domain_attribute(node, "bus"));
    return 0;
}

int domain_take_devices(struct domain *d, const xmlNode *node)
{
    static const struct domain_element known[] = {
        {"disk", take_disk}, {"interface", take_interface}, {"serial", take_serial}, {"console", take_serial},
        {"graphics", domain_take_graphics}, {"video", domain_take_video}, {"memballoon", take_memballoon},
        {"watchdog", take_watchdog}, {"sound", take_sound}, {"input", take_input},
        {"emulator", NULL}, {"controller", NULL}, {"rng", NULL}, {"panic", NULL}, {"audio", NULL},
    };
    int err = domain_child(node, "sound") ? 0 : domain_option(d, "--sound", "none");

    if (!err)
        err = domain_children(d, node, known, ARRAY_SIZE(known));
    if (!err && !domain_child(node, "interface"))
        err = domain_option(d, "--net", "none");
    return err || domain_child(node, "video") ? err : domain_option(d, "--video", "none");
}

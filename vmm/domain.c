#include "vmm/domain_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <libxml/parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- words --- */

int domain_option(struct domain *d, const char *option, const char *value)
{
    char *words[2];

    if (d->count + 2 > DOMAIN_MAX_WORDS)
        return fail(-E2BIG, "'%s' describes too much", d->path);
    words[0] = strdup(option);
    words[1] = strdup(value);
    if (!words[0] || !words[1]) {
        free(words[0]);
        free(words[1]);
        return -ENOMEM;
    }
    memcpy(&d->words[d->count], words, sizeof(words));
    d->count += 2;
    return 0;
}

int domain_optionf(struct domain *d, const char *option, const char *fmt, ...)
{
    char value[1024];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(value))
        return fail(-EINVAL, "'%s': what is said for %s is too long", d->path, option);
    return domain_option(d, option, value);
}

bool domain_says(const struct domain *d, const char *begin)
{
    for (unsigned i = 0; i < d->count; i += 2)
        if (strncmp(d->words[i], begin, strlen(begin)) == 0)
            return true;
    return false;
}

void domain_warn(struct domain *d, const xmlNode *node, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    d->warnings++;
    if (d->quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_warn("%s:%ld: <%s>: %s", d->path, xmlGetLineNo(node), (const char *)node->name, text);
}

/* --- elements --- */

static bool is_named(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

const xmlNode *domain_child(const xmlNode *node, const char *name)
{
    const xmlNode *child = node ? node->children : NULL;

    while (child && !is_named(child, name))
        child = child->next;
    return child;
}

const char *domain_attribute(const xmlNode *node, const char *name)
{
    const xmlAttr *a = node && node->type == XML_ELEMENT_NODE ? node->properties : NULL;

    while (a && strcmp((const char *)a->name, name) != 0)
        a = a->next;
    return a && a->children && a->children->content ? (const char *)a->children->content : "";
}

const char *domain_child_attribute(const xmlNode *node, const char *child, const char *name)
{
    return domain_attribute(domain_child(node, child), name);
}

bool domain_is(const xmlNode *node, const char *attribute, const char *value)
{
    return strcmp(domain_attribute(node, attribute), value) == 0;
}

int domain_text(const xmlNode *node, char *text, size_t size)
{
    static const char space[] = " \t\r\n";
    const xmlNode *child = node->children;
    const char *from = child && !child->next && child->content ? (const char *)child->content : "";
    size_t length;

    from += strspn(from, space);
    length = strlen(from);
    while (length && strchr(space, from[length - 1]))
        length--;
    if (length >= size)
        return fail(-EINVAL, "<%s> in line %ld is too long", (const char *)node->name, xmlGetLineNo(node));
    memcpy(text, from, length);
    text[length] = 0;
    return 0;
}

int domain_children(struct domain *d, const xmlNode *node, const struct domain_element *known, size_t count)
{
    for (const xmlNode *child = node->children; child; child = child->next) {
        size_t i = 0;
        int err;

        if (child->type != XML_ELEMENT_NODE)
            continue;
        while (i < count && !is_named(child, known[i].name))
            i++;
        if (i == count)
            domain_warn(d, child, "not known here, and left out");
        err = i < count && known[i].take ? known[i].take(d, child) : 0;
        if (err)
            return err;
    }
    return 0;
}

void domain_check(struct domain *d, const xmlNode *node, const char *const *known)
{
    for (const xmlNode *child = node->children; child; child = child->next) {
        const char *const *name = known;

        if (child->type != XML_ELEMENT_NODE)
            continue;
        while (*name && !is_named(child, *name))
            name++;
        if (!*name)
            domain_warn(d, child, "not known here in <%s>, and left out", (const char *)node->name);
    }
}

/* --- what a machine is --- */

static int take_word(struct domain *d, const xmlNode *node, const char *option)
{
    char text[1024];
    int err = domain_text(node, text, sizeof(text));

    return err || !*text ? err : domain_option(d, option, text);
}

#define WORD(element, option)                                                                       \
    static int take_##element(struct domain *d, const xmlNode *node)                               \
    {                                                                                              \
        return take_word(d, node, option);                                                         \
    }

WORD(name, "--name")
WORD(uuid, "--uuid")
WORD(vcpu, "--cpus")
WORD(kernel, "--kernel")
WORD(initrd, "--initrd")
WORD(cmdline, "--append")
WORD(nvram, "--uefi-vars")

/* libvirt's units: KiB is the default, and a B makes thousands. */
static int take_memory(struct domain *d, const xmlNode *node)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", KIB(1)},     {"k", KIB(1)},       {"KiB", KIB(1)},        {"M", MIB(1)},   {"MiB", MIB(1)},
        {"G", GIB(1)},    {"GiB", GIB(1)},     {"T", GIB(1024)},       {"TiB", GIB(1024)}, {"b", 1},
        {"bytes", 1},     {"KB", 1000},        {"MB", 1000000},        {"GB", 1000000000}, {"TB", 1000000000000},
    };
    const char *unit = domain_attribute(node, "unit");
    char text[32], *end;
    uint64_t number;
    size_t i = 0;
    int err = domain_text(node, text, sizeof(text));

    if (err)
        return err;
    while (i < ARRAY_SIZE(units) && strcmp(unit, units[i].name) != 0)
        i++;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (i == ARRAY_SIZE(units) || text[0] < '0' || text[0] > '9' || *end || errno ||
        number > UINT64_MAX / units[i].bytes - MIB(1))
        return fail(-EINVAL, "'%s': '%s %s' is no size of memory", d->path, text, unit);
    return domain_optionf(d, "--memory", "%lluM", (unsigned long long)DIV_ROUND_UP(number * units[i].bytes, MIB(1)));
}

static int take_type(struct domain *d, const xmlNode *node)
{
    const char *arch = domain_attribute(node, "arch"), *machine = domain_attribute(node, "machine");

    if (*arch && strcmp(arch, "x86_64") != 0 && strcmp(arch, "i686") != 0)
        return fail(-EINVAL, "'%s' is for a computer of architecture %s; minivm has x86_64", d->path, arch);
    if (strstr(machine, "q35"))
        domain_warn(d, node, "the board is an i440FX with a PIIX3, not %s", machine);
    return 0;
}

static int take_loader(struct domain *d, const xmlNode *node)
{
    char path[1024];
    int err = domain_text(node, path, sizeof(path));

    if (err || !*path)
        return err;
    return domain_option(d, "--firmware", domain_is(node, "type", "pflash") ? "uefi" : path);
}

/* All <boot dev> together. */
static int boot_order(struct domain *d, const xmlNode *os)
{
    static const char *const words[][2] = {{"hd", "disk"}, {"cdrom", "cdrom"}, {"network", "network"}};
    char order[64] = "";

    for (const xmlNode *boot = os->children; boot; boot = boot->next) {
        size_t i = 0;

        if (!is_named(boot, "boot"))
            continue;
        while (i < ARRAY_SIZE(words) && !domain_is(boot, "dev", words[i][0]))
            i++;
        if (i == ARRAY_SIZE(words))
            domain_warn(d, boot, "nothing is booted from '%.20s'", domain_attribute(boot, "dev"));
        else if (!strstr(order, words[i][1]))
            snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s%s", *order ? "," : "", words[i][1]);
    }
    return *order && !domain_child(os, "kernel") ? domain_option(d, "--boot", order) : 0;
}

static int take_os(struct domain *d, const xmlNode *node)
{
    static const struct domain_element known[] = {
        {"type", take_type}, {"loader", take_loader}, {"nvram", take_nvram}, {"kernel", take_kernel},
        {"initrd", take_initrd}, {"cmdline", take_cmdline}, {"boot", NULL}, {"bootmenu", NULL}, {"firmware", NULL},
    };
    bool efi = domain_is(node, "firmware", "efi") && !domain_child(node, "loader");
    int err = efi ? domain_option(d, "--firmware", "uefi") : 0;

    if (!err)
        err = domain_children(d, node, known, ARRAY_SIZE(known));
    return err ? err : boot_order(d, node);
}

static int take_clock(struct domain *d, const xmlNode *node)
{
    const char *offset = domain_attribute(node, "offset");
    int err = 0;

    if (strcmp(offset, "localtime") == 0)
        err = domain_option(d, "--rtc", "localtime");
    else if (*offset && strcmp(offset, "utc") != 0)
        domain_warn(d, node, "the real-time clock shows UTC, not '%.20s'", offset);
    for (const xmlNode *timer = node->children; timer && !err; timer = timer->next)
        if (is_named(timer, "timer") && domain_is(timer, "name", "hpet") && domain_is(timer, "present", "no"))
            err = domain_option(d, "--hpet", "off");
    return err;
}

static int take_cpu(struct domain *d, const xmlNode *node)
{
    char model[64] = "";
    const xmlNode *child = domain_child(node, "model");
    int err = child ? domain_text(child, model, sizeof(model)) : 0;

    if (*model)
        domain_warn(d, node, "the guest sees this host's CPU, not a '%s'", model);
    return err;
}

static int take_action(struct domain *d, const xmlNode *node)
{
    static const char *const words[][2] = {
        {"destroy", "destroy"}, {"restart", "restart"}, {"preserve", "preserve"}, {"rename-restart", "restart"},
        {"coredump-destroy", "destroy"}, {"coredump-restart", "restart"},
    };
    char action[32], option[32];
    int err = domain_text(node, action, sizeof(action));

    snprintf(option, sizeof(option), "--%s", (const char *)node->name);
    option[4] = '-'; /* on_poweroff */
    for (size_t i = 0; i < ARRAY_SIZE(words) && !err; i++)
        if (strcmp(action, words[i][0]) == 0)
            return domain_option(d, option, words[i][1]);
    if (!err)
        domain_warn(d, node, "'%s' is none of destroy, restart, preserve", action);
    return err;
}

static int take_root(struct domain *d, const xmlNode *root)
{
    static const struct domain_element known[] = {
        {"name", take_name}, {"uuid", take_uuid}, {"memory", take_memory}, {"vcpu", take_vcpu}, {"cpu", take_cpu},
        {"os", take_os}, {"clock", take_clock}, {"on_poweroff", take_action}, {"on_reboot", take_action},
        {"on_crash", take_action}, {"devices", domain_take_devices},
        {"features", NULL}, /* ACPI, APIC, Hyper-V's interfaces: always there */
        {"title", NULL}, {"description", NULL}, {"metadata", NULL}, {"currentMemory", NULL}, {"resource", NULL},
        {"seclabel", NULL}, {"pm", NULL}, {"genid", NULL},
    };

    if (!is_named(root, "domain"))
        return fail(-EINVAL, "'%s' is no domain: it begins with <%.40s>", d->path, (const char *)root->name);
    return domain_children(d, root, known, ARRAY_SIZE(known));
}

/* --- reading --- */

static void no_error(void *opaque UNUSED, xmlErrorPtr error UNUSED)
{
}

static int take_document(struct domain *d, xmlDoc *doc)
{
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    const xmlError *e = xmlGetLastError();

    if (!root)
        return fail(-EINVAL, "'%s' is no XML: line %d: %.100s", d->path, e ? e->line : 0,
                    e && e->message ? e->message : "it is empty");
    if (doc->intSubset)
        return fail(-EINVAL, "'%s' has a document type, which no domain has", d->path);
    return take_root(d, root);
}

int domain_parse(struct domain *d, const char *path, const char *xml, size_t size, bool quiet)
{
    xmlDoc *doc;
    int err;

    *d = (struct domain){.path = path, .quiet = quiet};
    xmlSetStructuredErrorFunc(NULL, no_error);
    doc = xmlReadMemory(xml, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOBLANKS | XML_PARSE_NOCDATA);
    err = take_document(d, doc);
    xmlFreeDoc(doc);
    return err;
}

int domain_read(struct domain *d, const char *path, bool quiet)
{
    struct file file = {0};
    char *xml = NULL;
    int err = file_open(&file, "domain", path);

    *d = (struct domain){.path = path};
    if (!err && file.size > DOMAIN_MAX_SIZE)
        err = fail(-EFBIG, "domain '%s' is larger than %d MiB", path, (int)(DOMAIN_MAX_SIZE >> 20));
    if (!err && !(xml = malloc(file.size)))
        err = -ENOMEM;
    if (!err)
        err = file_read(&file, xml, file.size, 0);
    if (!err)
        err = domain_parse(d, path, xml, file.size, quiet);
    file_close(&file);
    free(xml);
    return err;
}

void domain_fini(struct domain *d)
{
    while (d->count)
        free(d->words[--d->count]);
    explicit_bzero(d->password, sizeof(d->password));
}

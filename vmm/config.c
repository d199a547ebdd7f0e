#include "vmm/config.h"

#include "base/error.h"
#include "base/options.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STRING(field)                                                                               \
    static int set_##field(void *opaque, const char *value)                                        \
    {                                                                                              \
        ((struct vm_config *)opaque)->field = value;                                               \
        return 0;                                                                                  \
    }

STRING(name)
STRING(kernel)
STRING(initrd)
STRING(append)
STRING(firmware)
STRING(serial)
STRING(debug_port)
STRING(spice_listen)
STRING(spice_unix)
STRING(spice_password_file)
STRING(screenshot)

static int choose(const char *value, const char *const *names, int *chosen)
{
    int n = parse_choice(value, names);

    if (n < 0)
        return n;
    *chosen = n;
    return 0;
}

static int set_memory(void *opaque, const char *value)
{
    struct vm_config *config = opaque;
    int err = parse_size(value, MIB(1), &config->memory);

    if (err)
        return err;
    if (config->memory < CONFIG_MIN_MEMORY || config->memory > CONFIG_MAX_MEMORY)
        return fail(-EINVAL, "%s is out of range: from %lluM to %lluG", value,
                    (unsigned long long)(CONFIG_MIN_MEMORY >> 20),
                    (unsigned long long)(CONFIG_MAX_MEMORY >> 30));
    config->memory = ALIGN_UP(config->memory, MIB(1));
    return 0;
}

static int set_cpus(void *opaque, const char *value)
{
    uint64_t n;
    int err = parse_unsigned(value, 1, CONFIG_MAX_CPUS, &n);

    if (!err)
        ((struct vm_config *)opaque)->cpus = (unsigned)n;
    return err;
}

static int set_accel(void *opaque, const char *value)
{
    static const char *const names[] = {"auto", "kvm", "nested", NULL};
    int chosen = 0, err = choose(value, names, &chosen);

    if (!err)
        ((struct vm_config *)opaque)->accel = (enum config_accel)chosen;
    return err;
}

/* The words of a suboption do not last. */
static void set_copy(const char **field, const char *value)
{
    free((void *)*field);
    *field = value ? strdup(value) : NULL;
}

static int disk_suboption(void *opaque, const char *key, const char *value)
{
    static const char *const caches[] = {"none", "writeback", "unsafe", NULL};
    static const char *const discards[] = {"unmap", "ignore", NULL};
    struct disk_options *disk = opaque;
    int chosen = 0, err;

    if (strcmp(key, "") == 0 || strcmp(key, "path") == 0) {
        set_copy(&disk->path, value);
    } else if (strcmp(key, "format") == 0 && value) {
        set_copy(&disk->format, value);
    } else if (strcmp(key, "readonly") == 0) {
        disk->read_only = !value || strcmp(value, "on") == 0;
    } else if (strcmp(key, "snapshot") == 0) {
        disk->snapshot = !value || strcmp(value, "on") == 0;
    } else if (strcmp(key, "backing") == 0 && value && strcmp(value, "any") == 0) {
        disk->no_backing_check = true;
    } else if (strcmp(key, "cache") == 0 && value) {
        err = choose(value, caches, &chosen);
        if (err)
            return fail_prefix(err, "cache");
        disk->cache = chosen;
    } else if (strcmp(key, "discard") == 0 && value) {
        err = choose(value, discards, &chosen);
        if (err)
            return fail_prefix(err, "discard");
        disk->ignore_discard = chosen;
    } else {
        return fail(-EINVAL, "unknown part '%s'; a disk is PATH[,format=raw|qcow2][,readonly=on][,snapshot=on]"
                             "[,cache=none|writeback|unsafe][,discard=unmap|ignore][,backing=any]",
                    key);
    }
    return 0;
}

static int new_disk(struct vm_config *config, struct disk_options **disk)
{
    if (config->disk_count == CONFIG_MAX_DISKS)
        return fail(-EINVAL, "more than %d disks", CONFIG_MAX_DISKS);
    *disk = &config->disks[config->disk_count++];
    **disk = (struct disk_options){0};
    return 0;
}

static int add_disk(void *opaque, const char *value)
{
    struct disk_options *disk = NULL;
    int err = new_disk(opaque, &disk);

    if (!err)
        err = parse_suboptions(value, disk_suboption, disk);
    if (!err && !disk->path)
        err = fail(-EINVAL, "'%s' names no file; a disk is PATH[,OPTION=VALUE...]", value);
    return err;
}

static int add_disk_path(void *opaque, const char *path)
{
    struct disk_options *disk = NULL;
    int err = new_disk(opaque, &disk);

    if (!err)
        disk->path = strdup(path);
    return err;
}

static int set_snapshot(void *opaque, const char *value UNUSED)
{
    ((struct vm_config *)opaque)->snapshot = true;
    return 0;
}

static int set_headless(void *opaque, const char *value UNUSED)
{
    ((struct vm_config *)opaque)->headless = true;
    return 0;
}

static int set_relayed(void *opaque, const char *value UNUSED)
{
    ((struct vm_config *)opaque)->relayed = true;
    return 0;
}

static int set_video(void *opaque, const char *value)
{
    static const char *const names[] = {"qxl", "vga", "none", NULL};
    int chosen = 0, err = choose(value, names, &chosen);

    if (!err)
        ((struct vm_config *)opaque)->video = (enum config_video)chosen;
    return err;
}

static int qxl_suboption(void *opaque, const char *key, const char *value)
{
    struct vm_config *config = opaque;
    uint64_t n, *size = strcmp(key, "ram") == 0      ? &config->qxl.ram
                        : strcmp(key, "vram") == 0   ? &config->qxl.vram
                        : strcmp(key, "vgamem") == 0 ? &config->qxl.vgamem
                                                     : NULL;
    int err;

    if (value && strcmp(key, "revision") == 0) {
        err = parse_unsigned(value, 2, 5, &n);
        config->qxl.revision = err ? 0 : (unsigned)n;
        return err;
    }
    if (!value || !size)
        return fail(-EINVAL, "unknown part '%s'; it is ram=SIZE,vram=SIZE,vgamem=SIZE,revision=2..5", key);
    err = parse_size(value, MIB(1), size);
    if (!err && (*size < MIB(8) || *size > MIB(256) || !IS_POWER_OF_2(*size)))
        err = fail(-EINVAL, "%s=%s: not a power of two from 8M to 256M", key, value);
    return err;
}

static int set_qxl(void *opaque, const char *value)
{
    return parse_suboptions(value, qxl_suboption, opaque);
}

static int set_net(void *opaque, const char *value)
{
    static const char *const names[] = {"user", "tap=IF", "none", NULL};
    struct vm_config *config = opaque;
    int chosen = 0, err;

    if (strncmp(value, "tap=", 4) == 0 && value[4]) {
        config->net = NET_TAP;
        config->tap = value + 4;
        return 0;
    }
    err = strcmp(value, "tap=IF") == 0 ? -EINVAL : choose(value, names, &chosen);
    if (!err)
        config->net = (enum config_net)chosen;
    return err;
}

static int add_forward(void *opaque, const char *value)
{
    struct vm_config *config = opaque;

    if (config->forward_count == CONFIG_MAX_FORWARDS)
        return fail(-EINVAL, "more than %d forwards", CONFIG_MAX_FORWARDS);
    return net_parse_forward(&config->forwards[config->forward_count++], value);
}

static int set_spice_port(void *opaque, const char *value)
{
    uint64_t port;
    int err = parse_unsigned(value, 0, 65535, &port);

    if (!err)
        ((struct vm_config *)opaque)->spice_port = (int)port;
    return err;
}

static int spice_suboption(void *opaque, const char *key, const char *value)
{
    static const char *const compressions[] = {"auto", "off", "lz", "quic", "lz4", NULL};
    struct vm_config *config = opaque;
    int chosen = 0, err;

    if (strcmp(key, "image-compression") != 0 || !value)
        return fail(-EINVAL, "unknown option '%s'; known: image-compression=auto|off|lz|quic|lz4", key);
    err = choose(value, compressions, &chosen);
    config->spice_compression = compressions[chosen];
    return err;
}

static int set_spice_option(void *opaque, const char *value)
{
    return parse_suboptions(value, spice_suboption, opaque);
}

static int set_expect(void *opaque, const char *value)
{
    regex_t regex;
    char reason[128];
    int err = regcomp(&regex, value, REG_EXTENDED | REG_NOSUB);

    if (err) {
        regerror(err, &regex, reason, sizeof(reason));
        return fail(-EINVAL, "'%s' is not a regular expression: %s", value, reason);
    }
    regfree(&regex);
    ((struct vm_config *)opaque)->expect = value;
    return 0;
}

static int set_timeout(void *opaque, const char *value)
{
    uint64_t seconds;
    int err = parse_unsigned(value, 1, 1000000, &seconds);

    if (!err)
        ((struct vm_config *)opaque)->timeout = (unsigned)seconds;
    return err;
}

#define ACTION(field)                                                                              \
    static int set_##field(void *opaque, const char *value)                                        \
    {                                                                                              \
        static const char *const names[] = {"destroy", "restart", "preserve", NULL};               \
        int chosen = 0, err = choose(value, names, &chosen);                                       \
                                                                                                   \
        if (!err)                                                                                  \
            ((struct vm_config *)opaque)->field = (enum config_action)chosen;                      \
        return err;                                                                                \
    }

ACTION(on_poweroff)
ACTION(on_reboot)
ACTION(on_crash)

static const struct option_def run_options[] = {
    {"name", "NAME", "the machine's name", set_name},
    {"memory", "SIZE", "guest memory, 64M to 1024G (default 2G)", set_memory},
    {"cpus", "N", "virtual CPUs, 1 to 16 (default 2)", set_cpus},
    {"accel", "auto|kvm|nested", "this host's KVM, or a software host (default auto)", set_accel},
    {"disk", "PATH[,OPTION=VALUE...]", "a disk: format=, readonly=on, snapshot=on, cache=, discard=, backing=any", add_disk},
    {"snapshot", NULL, "discard what the guest writes to its disks", set_snapshot},
    {"kernel", "FILE", "boot this Linux kernel directly", set_kernel},
    {"initrd", "FILE", "its initial RAM disk", set_initrd},
    {"append", "TEXT", "its command line", set_append},
    {"firmware", "FILE", "BIOS image instead of Debian's SeaBIOS", set_firmware},
    {"video", "qxl|vga|none", "the display device (default qxl)", set_video},
    {"qxl", "ram=..,vram=..,vgamem=..", "sizes of the display device's memory, and its revision", set_qxl},
    {"net", "user|tap=IF|none", "the network (default user)", set_net},
    {"forward", "tcp:HOST:PORT-:PORT", "a port of this host that leads into the guest; repeatable", add_forward},
    {"serial", "stdio|pty|unix:PATH|file:PATH|none", "where the first serial port goes", set_serial},
    {"debug-port", "stdio|file:PATH|none", "where the firmware's messages go", set_debug_port},
    {"spice", "PORT", "SPICE on this port of 127.0.0.1 (0: any free one)", set_spice_port},
    {"spice-listen", "ADDRESS", "listen here instead of 127.0.0.1", set_spice_listen},
    {"spice-unix", "PATH", "SPICE on a unix socket", set_spice_unix},
    {"spice-password-file", "FILE", "its first line is the password that viewers need", set_spice_password_file},
    {"spice-option", "KEY=VALUE", "image-compression=auto|off|lz|quic|lz4", set_spice_option},
    {"headless", NULL, "no viewer is meant; the serial port goes to standard output", set_headless},
    {"expect", "REGEX", "end with 0 when a line of the serial output matches", set_expect},
    {"timeout", "SECONDS", "end with 3 when it takes longer", set_timeout},
    {"screenshot", "FILE.png", "write the guest's screen there at the end", set_screenshot},
    {"on-poweroff", "destroy|restart|preserve", "what follows when the guest powers off", set_on_poweroff},
    {"on-reboot", "destroy|restart|preserve", "... reboots (default restart)", set_on_reboot},
    {"on-crash", "destroy|restart|preserve", "... crashes", set_on_crash},
    {"relayed", NULL, "used inside a software host, which holds locks and relays connections", set_relayed},
};

static const struct option_table run_table = {
    .usage = "minivm run [DISK...] [--spice PORT] [OPTION...]\n\n"
             "Boots a machine from a disk image (raw or qcow2) or a Linux kernel. READY is printed when it\n"
             "may be watched. Exit status: 0 expectation met or guest powered off, 1 could not start or\n"
             "failed, 2 usage, 3 time-out, 4 guest crashed or ended too early, 5 fault of the host.",
    .options = run_options,
    .count = ARRAY_SIZE(run_options),
    .positional = add_disk_path,
};

void config_init(struct vm_config *config)
{
    *config = (struct vm_config){
        .memory = GIB(2), .cpus = 2, .spice_port = -1, .on_reboot = ACTION_RESTART};
}

static int check_combination(const struct vm_config *config)
{
    if (!config->disk_count && !config->kernel)
        return fail(-EINVAL, "nothing to boot: name a disk image, or a kernel with --kernel");
    if (config->initrd && !config->kernel)
        return fail(-EINVAL, "--initrd needs --kernel");
    if (config->append && !config->kernel)
        return fail(-EINVAL, "--append needs --kernel");
    if (config->screenshot && config->video == VIDEO_NONE)
        return fail(-EINVAL, "--screenshot needs a display; drop --video none");
    if (config->forward_count && config->net != NET_USER)
        return fail(-EINVAL, "--forward needs --net user; with a tap the guest has an address of its own");
    if ((config->spice_listen || config->spice_password_file) && config->spice_port < 0 && !config->spice_unix)
        return fail(-EINVAL, "SPICE is not on: add --spice PORT or --spice-unix PATH");
    if (config->spice_listen && strcmp(config->spice_listen, "127.0.0.1") != 0 &&
        strcmp(config->spice_listen, "::1") != 0 && !config->spice_password_file)
        return fail(-EINVAL, "--spice-listen %s lets others in; protect it with --spice-password-file",
                    config->spice_listen);
    return 0;
}

static void fill_defaults(struct vm_config *config)
{
    unsigned i;

    if (config->snapshot)
        for (i = 0; i < config->disk_count; i++)
            config->disks[i].snapshot = true;
    if (config->relayed)
        for (i = 0; i < config->disk_count; i++)
            config->disks[i].no_lock = true;
    if (!config->name && config->disk_count) {
        const char *slash = strrchr(config->disks[0].path, '/');

        config->name = slash ? slash + 1 : config->disks[0].path;
    }
    if (!config->name)
        config->name = "minivm";
    if (!config->serial)
        config->serial = config->headless ? "stdio" : "none";
}

int config_parse(struct vm_config *config, int argc, char **argv)
{
    int err = options_parse(&run_table, argc, argv, config);

    if (!err)
        err = check_combination(config);
    if (!err)
        fill_defaults(config);
    return err;
}

void config_fini(struct vm_config *config)
{
    unsigned i;

    for (i = 0; i < config->disk_count; i++) {
        free((void *)config->disks[i].path);
        free((void *)config->disks[i].format);
    }
}

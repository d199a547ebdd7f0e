#include "vmm/config_private.h"

#include "base/error.h"
#include "base/options.h"
#include "devices/qxl/qxl.h"

#include <errno.h>
#include <pwd.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define STRING(field)                                                                               \
    static int set_##field(void *opaque, const char *value)                                        \
    {                                                                                              \
        ((struct vm_config *)opaque)->field = value;                                               \
        return 0;                                                                                  \
    }

STRING(name)
STRING(cloud_init)
STRING(kernel)
STRING(initrd)
STRING(append)
STRING(firmware)
STRING(uefi_variables)
STRING(serial)
STRING(debug_port)
STRING(spice_listen)
STRING(spice_unix)
STRING(spice_password_file)
STRING(screenshot)
STRING(control)
STRING(restore)

static int set_uuid(void *opaque, const char *value)
{
    return uuid_parse(((struct vm_config *)opaque)->uuid, value);
}

int config_choose(const char *value, const char *const *names, int *chosen)
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
    int chosen = 0, err = config_choose(value, names, &chosen);

    if (!err)
        ((struct vm_config *)opaque)->accel = (enum config_accel)chosen;
    return err;
}

/* One of two words, the first of which is the default; `field` says that it is the second. */
#define SECOND(option, field, ...)                                                                 \
    static int set_##option(void *opaque, const char *value)                                       \
    {                                                                                              \
        static const char *const names[] = {__VA_ARGS__, NULL};                                    \
        int chosen = 0, err = config_choose(value, names, &chosen);                                       \
                                                                                                   \
        ((struct vm_config *)opaque)->field = chosen == 1;                                         \
        return err;                                                                                \
    }

SECOND(hyperv, no_hyperv, "on", "off")
SECOND(hpet, no_hpet, "on", "off")
SECOND(agent, no_agent, "on", "off")
SECOND(rtc, rtc_local, "utc", "localtime")

static int set_sound(void *opaque, const char *value)
{
    static const char *const names[] = {"ich6", "ac97", "none", NULL};
    int chosen = 0, err = config_choose(value, names, &chosen);

    if (!err)
        ((struct vm_config *)opaque)->card = CARD_ICH6 + (enum config_card)chosen;
    return err;
}

static int set_watchdog(void *opaque, const char *value)
{
    static const char *const names[] = {"reset", "poweroff", "destroy", "pause", "none", NULL};
    int chosen = 0, err = config_choose(value, names, &chosen);

    if (!err)
        ((struct vm_config *)opaque)->watchdog = WATCHDOG_RESET + (enum config_watchdog)chosen;
    return err;
}

/* The words of a suboption do not last. */
void config_set_copy(const char **field, const char *value)
{
    free((void *)*field);
    *field = value ? strdup(value) : NULL;
}

static int boot_suboption(void *opaque, const char *key, const char *value)
{
    static const char *const names[] = {"disk", "cdrom", "network", NULL};
    struct vm_config *config = opaque;
    const char *word = *key ? key : value; /* the first comes as a value, the others as keys */
    int chosen = 0, err = *key && value ? fail(-EINVAL, "'%s' takes no value", key) : config_choose(word, names, &chosen);
    unsigned i;

    if (err)
        return err;
    for (i = 0; i < config->boot_count; i++)
        if (config->boot[i] == (enum config_boot)chosen)
            return fail(-EINVAL, "'%s' comes twice", word);
    config->boot[config->boot_count++] = (enum config_boot)chosen;
    return 0;
}

static int set_boot(void *opaque, const char *value)
{
    ((struct vm_config *)opaque)->boot_count = 0;
    return *value ? parse_suboptions(value, boot_suboption, opaque) : boot_suboption(opaque, "", value);
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
    int chosen = 0, err = config_choose(value, names, &chosen);

    if (!err)
        ((struct vm_config *)opaque)->video = (enum config_video)chosen;
    return err;
}

static const struct {
    const char *key;
    size_t offset; /* in struct config_qxl */
    uint64_t most;
} qxl_sizes[] = {
    {"ram", offsetof(struct config_qxl, ram), QXL_MAX_MEMORY},
    {"vram", offsetof(struct config_qxl, vram), QXL_MAX_MEMORY},
    {"vram64", offsetof(struct config_qxl, vram64), QXL_MAX_MEMORY},
    {"vgamem", offsetof(struct config_qxl, vgamem), QXL_MAX_VGAMEM},
};

static int set_qxl_size(struct config_qxl *qxl, unsigned i, const char *value)
{
    uint64_t *size = (uint64_t *)((uint8_t *)qxl + qxl_sizes[i].offset);
    int err = parse_size(value, MIB(1), size);

    if (!err && (*size < QXL_MIN_VGAMEM || *size > qxl_sizes[i].most || !IS_POWER_OF_2(*size)))
        err = fail(-EINVAL, "%s=%s: not a power of two from %lluM to %lluM", qxl_sizes[i].key, value,
                   (unsigned long long)QXL_MIN_VGAMEM >> 20, (unsigned long long)qxl_sizes[i].most >> 20);
    return err;
}

static int qxl_suboption(void *opaque, const char *key, const char *value)
{
    struct config_qxl *qxl = opaque;
    uint64_t n;
    int err;

    if (value && strcmp(key, "revision") == 0) {
        err = parse_unsigned(value, 2, 5, &n);
        qxl->revision = err ? 0 : (unsigned)n;
        return err;
    }
    for (unsigned i = 0; value && i < ARRAY_SIZE(qxl_sizes); i++)
        if (strcmp(key, qxl_sizes[i].key) == 0)
            return set_qxl_size(qxl, i, value);
    return fail(-EINVAL, "unknown part '%s'; it is ram=SIZE,vram=SIZE,vram64=SIZE,vgamem=SIZE,revision=2..5", key);
}

/* Each is a device. */
static int set_qxl(void *opaque, const char *value)
{
    struct vm_config *config = opaque;

    if (config->qxl_count == CONFIG_MAX_QXL)
        return fail(-EINVAL, "more than %d QXL devices", CONFIG_MAX_QXL);
    return parse_suboptions(value, qxl_suboption, &config->qxl[config->qxl_count++]);
}

static int set_heads(void *opaque, const char *value)
{
    uint64_t n;
    int err = parse_unsigned(value, 1, QXL_MAX_HEADS, &n);

    if (!err)
        ((struct vm_config *)opaque)->heads = (unsigned)n;
    return err;
}

static int set_net_kind(struct vm_config *config, const char *key, const char *value)
{
    static const char *const names[] = {"user", "tap=IF", "none", NULL};
    int chosen = 0, err;

    if (strcmp(key, "tap") == 0 && value && value[0]) {
        config->net = NET_TAP;
        config_set_copy(&config->tap, value);
        return 0;
    }
    err = config_choose(key[0] ? key : value, names, &chosen);
    if (err || chosen == NET_TAP)
        return fail(-EINVAL, "'%s' is no network; it is user, tap=INTERFACE or none", key[0] ? key : value);
    config->net = (enum config_net)chosen;
    return 0;
}

int config_set_switch(bool *on, const char *key, const char *value, bool meaning)
{
    bool given = true;

    if (value && !parse_on_off(value, &given))
        return fail(-EINVAL, "%s: '%s' is neither on nor off", key, value);
    *on = given == meaning;
    return 0;
}

static int set_net_queues(struct vm_config *config, const char *value)
{
    uint64_t n;
    int err = parse_unsigned(value, 1, NET_MAX_QUEUES, &n);

    if (err)
        return fail_prefix(err, "queues");
    config->net_queues = (unsigned)n;
    return 0;
}

static int net_suboption(void *opaque, const char *key, const char *value)
{
    struct vm_config *config = opaque;
    struct net_user_options *user = &config->net_user;
    const char **word = strcmp(key, "hostname") == 0   ? &user->hostname
                        : strcmp(key, "tftp") == 0     ? &user->tftp
                        : strcmp(key, "bootfile") == 0 ? &user->bootfile
                                                       : NULL;

    if (strcmp(key, "") == 0 || strcmp(key, "tap") == 0)
        return set_net_kind(config, key, value);
    if (strcmp(key, "restrict") == 0)
        return config_set_switch(&user->restricted, key, value, true);
    if (strcmp(key, "ipv6") == 0)
        return config_set_switch(&user->no_ipv6, key, value, false);
    if (strcmp(key, "mac") == 0 && value)
        return net_parse_mac(config->mac, value);
    if (strcmp(key, "queues") == 0 && value)
        return set_net_queues(config, value);
    if (!word || !value)
        return fail(-EINVAL,
                    "unknown part '%s'; a network is user|tap=INTERFACE|none[,mac=ADDRESS][,queues=N]"
                    "[,restrict=on][,ipv6=off][,hostname=NAME][,tftp=FOLDER][,bootfile=FILE]", key);
    config_set_copy(word, value);
    return 0;
}

static int set_net(void *opaque, const char *value)
{
    return parse_suboptions(value, net_suboption, opaque);
}

static int set_balloon(void *opaque, const char *value)
{
    bool on;

    if (!parse_on_off(value, &on))
        return fail(-EINVAL, "'%s' is neither on nor off", value);
    ((struct vm_config *)opaque)->no_balloon = !on;
    return 0;
}

static int add_forward(void *opaque, const char *value)
{
    struct vm_config *config = opaque;

    if (config->forward_count == CONFIG_MAX_FORWARDS)
        return fail(-EINVAL, "more than %d forwards", CONFIG_MAX_FORWARDS);
    return net_parse_forward(&config->forwards[config->forward_count++], value);
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
        int chosen = 0, err = config_choose(value, names, &chosen);                                       \
                                                                                                   \
        if (!err)                                                                                  \
            ((struct vm_config *)opaque)->field = (enum config_action)chosen;                      \
        return err;                                                                                \
    }

ACTION(on_poweroff)
ACTION(on_reboot)
ACTION(on_crash)

/* "on", "off", "on,user=NAME" */
static int set_sandbox(void *opaque, const char *value)
{
    static const char user[] = "on,user=";
    struct vm_config *config = opaque;

    if (strncmp(value, user, strlen(user)) == 0 && value[strlen(user)])
        config->sandbox_user = value + strlen(user);
    else if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return fail(-EINVAL, "expects on, off, or on,user=NAME");
    config->no_sandbox = strcmp(value, "off") == 0;
    return 0;
}

static const struct option_def run_options[] = {
    {"domain", "FILE.xml", "what a libvirt domain describes; options after it come before what it says", config_set_domain},
    {"name", "NAME", "the machine's name", set_name},
    {"uuid", "UUID", "its identity in SMBIOS (default: made from the name)", set_uuid},
    {"memory", "SIZE", "guest memory, 64M to 1024G (default 2G)", set_memory},
    {"cpus", "N", "virtual CPUs, 1 to 16 (default 2)", set_cpus},
    {"accel", "auto|kvm|nested", "this host's KVM, or a software host (default auto)", set_accel},
    {"hyperv", "on|off", "what Windows knows of Hyper-V, beside KVM's own (default on)", set_hyperv},
    {"hpet", "on|off", "the high precision event timer (default on)", set_hpet},
    {"rtc", "utc|localtime", "what the real-time clock shows (default utc; Windows wants localtime)", set_rtc},
    {"watchdog", "reset|poweroff|destroy|pause|none", "a watchdog timer, and what follows when nobody feeds it",
     set_watchdog},
    {"disk", "PATH[,OPTION=VALUE...]", "a disk: format=, readonly=on, snapshot=on, cache=, discard=, backing=any, bus=, serial=, queues=, werror=, rerror=", config_add_disk},
    {"cdrom", "ISO|none", "a CD-ROM drive with this image in it, or empty; repeatable", config_add_cdrom},
    {"boot", "disk|cdrom|network[,...]", "what firmware tries, in order (default disk,cdrom)", set_boot},
    {"snapshot", NULL, "discard what the guest writes to its disks", set_snapshot},
    {"cloud-init", "FILE|FOLDER", "user-data, or a folder with it: a seed for cloud images", set_cloud_init},
    {"kernel", "FILE", "boot this kernel directly: bzImage, ELF for PVH or Multiboot", set_kernel},
    {"initrd", "FILE", "its initial RAM disk", set_initrd},
    {"append", "TEXT", "its command line", set_append},
    {"firmware", "uefi|FILE", "Debian's OVMF, or an image, instead of Debian's SeaBIOS", set_firmware},
    {"uefi-vars", "FILE", "where UEFI keeps its variables (default ~/.local/share/minivm/NAME.vars.fd)",
     set_uefi_variables},
    {"video", "qxl|vga|none", "the display device (default qxl)", set_video},
    {"qxl", "ram=..,vram=..,vram64=..,vgamem=..,revision=..",
     "a QXL device's memory, and its revision; each further one is another device, 4 at most", set_qxl},
    {"heads", "N", "monitors that the guest may have on the QXL device, 1 to 4 (default 1)", set_heads},
    {"sound", "ich6|ac97|none", "the sound card, which SPICE's viewers hear (default ich6 with SPICE, else none)", set_sound},
    {"net", "user|tap=IF|none[,OPTION=VALUE...]",
     "the network (default user): mac=, queues= (tap), restrict=on, ipv6=off, hostname=, tftp=, bootfile=", set_net},
    {"forward", "tcp|udp:HOST:PORT-:PORT", "a port of this host that leads into the guest; repeatable", add_forward},
    {"balloon", "on|off", "take memory back that the guest does not use (default on)", set_balloon},
    {"serial", "stdio|pty|unix:PATH|file:PATH|none", "where the first serial port goes", set_serial},
    {"port", "NAME=unix:PATH|file:PATH|spice",
     "a port of virtio-serial: /dev/virtio-ports/NAME in the guest; spice: viewers have the other end; repeatable",
     config_add_port},
    {"agent", "on|off", "with SPICE, a port for spice-vdagent in the guest (default on)", set_agent},
    {"debug-port", "stdio|file:PATH|none", "where the firmware's messages go", set_debug_port},
    {"spice", "PORT", "SPICE on this port of 127.0.0.1 (0: any free one)", config_set_spice_port},
    {"spice-tls", "PORT", "SPICE with TLS on this port; viewers without it are turned away", config_set_spice_tls},
    {"web", "PORT", "a page on this port that shows the machine in a browser (package spice-html5)", config_set_web},
    {"spice-listen", "ADDRESS", "listen here instead of 127.0.0.1", set_spice_listen},
    {"spice-unix", "PATH", "SPICE on a unix socket", set_spice_unix},
    {"spice-password-file", "FILE", "its first line is the password that viewers need", set_spice_password_file},
    {"spice-option", "KEY=VALUE", SPICE_OPTIONS, config_set_spice_option},
    {"headless", NULL, "no viewer is meant; the serial port goes to standard output", set_headless},
    {"expect", "REGEX", "end with 0 when a line of the serial output matches", set_expect},
    {"timeout", "SECONDS", "end with 3 when it takes longer", set_timeout},
    {"screenshot", "FILE.png", "write the guest's screen there at the end", set_screenshot},
    {"control", "PATH", "a unix socket that takes QMP commands", set_control},
    {"restore", "FILE", "go on from where a machine was saved, instead of booting", set_restore},
    {"on-poweroff", "destroy|restart|preserve", "what follows when the guest powers off", set_on_poweroff},
    {"on-reboot", "destroy|restart|preserve", "... reboots (default restart)", set_on_reboot},
    {"on-crash", "destroy|restart|preserve", "... crashes", set_on_crash},
    {"sandbox", "on|off[,user=NAME]", "what the machine may do to this computer once it is set up (default on); whom root becomes (default nobody)",
     set_sandbox},
    {"relayed", NULL, "used inside a software host, which holds locks and relays connections", set_relayed},
};

static const struct option_table run_table = {
    .usage = "minivm run [DISK...] [--spice PORT] [OPTION...]\n\n"
             "Boots a machine from a disk image (raw or qcow2), a CD or a Linux kernel. READY is printed when it\n"
             "may be watched. Exit status: 0 expectation met or guest powered off, 1 could not start or\n"
             "failed, 2 usage, 3 time-out, 4 guest crashed or ended too early, 5 fault of the host.",
    .options = run_options,
    .count = ARRAY_SIZE(run_options),
    .positional = config_add_disk_path,
};

int config_parse_words(struct vm_config *config, char **words, unsigned count)
{
    return options_parse_words(&run_table, (int)count, words, config);
}

void config_init(struct vm_config *config)
{
    *config = (struct vm_config){
        .memory = GIB(2), .spice_port = -1, .spice_tls_port = -1, .web_port = -1, .on_reboot = ACTION_RESTART};
}

bool config_boots_from(const struct vm_config *config, enum config_boot what)
{
    unsigned i;

    for (i = 0; i < config->boot_count; i++)
        if (config->boot[i] == what)
            return true;
    return false;
}

static unsigned ide_units(const struct vm_config *config)
{
    unsigned i, units = config->cdrom_count;

    for (i = 0; i < config->disk_count; i++)
        units += config->drives[i].bus == BUS_IDE;
    return units;
}

static int check_boot(const struct vm_config *config)
{
    unsigned i;

    if (!config->disk_count && !config->cdrom_count && !config->kernel && !config_boots_from(config, BOOT_NETWORK))
        return fail(-EINVAL, "nothing to boot: name a disk image, a CD with --cdrom, or a kernel with --kernel");
    if (config->boot_count && config->kernel)
        return fail(-EINVAL, "--boot is for firmware; --kernel boots without it");
    if (config_boots_from(config, BOOT_CDROM) && !config->cdrom_count)
        return fail(-EINVAL, "--boot cdrom needs a CD: name its image with --cdrom");
    if (config_boots_from(config, BOOT_NETWORK) && config->net == NET_NONE)
        return fail(-EINVAL, "--boot network needs a network; drop --net none");
    for (i = 0; i < config->disk_count; i++)
        if (config->drives[i].bus == BUS_IDE && config->disks[i].read_only)
            return fail(-EINVAL, "disk '%s': an IDE disk cannot be read-only; use snapshot=on or bus=virtio",
                        config->disks[i].path);
    if (ide_units(config) > CONFIG_MAX_IDE)
        return fail(-EINVAL, "more than %d IDE disks and CD-ROM drives together; use bus=virtio", CONFIG_MAX_IDE);
    return 0;
}

static int check_qxl_sizes(const struct config_qxl *qxl)
{
    uint64_t vgamem = qxl->vgamem ? qxl->vgamem : QXL_DEFAULT_VGAMEM, vram = qxl->vram ? qxl->vram : QXL_DEFAULT_MEMORY;

    if (qxl->ram && qxl->ram < 2 * vgamem)
        return fail(-EINVAL, "--qxl: ram=%lluM must be at least twice vgamem=%lluM", (unsigned long long)qxl->ram >> 20,
                    (unsigned long long)vgamem >> 20);
    if (qxl->vram64 && qxl->vram64 < vram)
        return fail(-EINVAL, "--qxl: vram64=%lluM has vram=%lluM in it, and must not be smaller",
                    (unsigned long long)qxl->vram64 >> 20, (unsigned long long)vram >> 20);
    return 0;
}

static int check_displays(const struct vm_config *config)
{
    int err = 0;

    if ((config->qxl_count || config->heads) && config->video != VIDEO_QXL)
        return fail(-EINVAL, "--%s is about QXL devices; drop --video", config->heads ? "heads" : "qxl");
    if (config->heads > 1 && config->qxl_count > 1)
        return fail(-EINVAL, "--heads: each of several QXL devices has one monitor, since viewers cannot name more; "
                             "use --heads or a second --qxl");
    for (unsigned i = 0; i < config->qxl_count && !err; i++)
        err = check_qxl_sizes(&config->qxl[i]);
    return err;
}

static int check_combination(const struct vm_config *config)
{
    int err = check_boot(config);

    if (!err)
        err = check_displays(config);
    if (err)
        return err;
    if (config->initrd && !config->kernel)
        return fail(-EINVAL, "--initrd needs --kernel");
    if (config->append && !config->kernel)
        return fail(-EINVAL, "--append needs --kernel");
    if (config->watchdog == WATCHDOG_DESTROY && config->on_crash != ACTION_DESTROY)
        return fail(-EINVAL, "--watchdog destroy ends the machine as a crash does, and --on-crash says otherwise");
    if (config->firmware && config->kernel)
        return fail(-EINVAL, "--kernel boots without firmware; drop --firmware");
    if (config->uefi_variables && !config->firmware)
        return fail(-EINVAL, "--uefi-vars needs --firmware uefi");
    if (config->spice_record && config->video != VIDEO_QXL)
        return fail(-EINVAL, "--spice-option record= writes what a QXL device is asked for; drop --video");
    if (config->screenshot && config->video == VIDEO_NONE)
        return fail(-EINVAL, "--screenshot needs a display; drop --video none");
    if (config->net_queues > 1 && config->net != NET_TAP)
        return fail(-EINVAL, "--net queues= needs a tap; the user network has one pair of queues");
    if (config->net != NET_USER && (config->net_user.restricted || config->net_user.no_ipv6 ||
                                    config->net_user.hostname || config->net_user.tftp || config->net_user.bootfile))
        return fail(-EINVAL, "--net: restrict=, ipv6=, hostname=, tftp= and bootfile= are the user network's");
    if (config->forward_count && config->net != NET_USER)
        return fail(-EINVAL, "--forward needs --net user; with a tap the guest has an address of its own");
    if (config->sandbox_user && !config->relayed && !getpwnam(config->sandbox_user))
        return fail(-EINVAL, "--sandbox user=%s: there is no such user", config->sandbox_user);
    err = config_check_ports(config);
    return err ? err : config_check_spice(config);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void fill_net_defaults(struct vm_config *config)
{
    static const uint8_t none[6];

    if (memcmp(config->mac, none, sizeof(none)) == 0)
        net_default_mac(config->mac, config->name);
}

static void fill_defaults(struct vm_config *config)
{
    unsigned i;

    if (!config->cpus)
        config->cpus = 2;
    if (config->snapshot)
        for (i = 0; i < config->disk_count; i++)
            config->disks[i].snapshot = true;
    for (i = 0; i < config->disk_count; i++)
        config->disks[i].no_lock = config->relayed;
    for (i = 0; i < config->cdrom_count; i++)
        config->cdroms[i].no_lock = config->relayed;
    if (!config->boot_count) {
        config->boot[config->boot_count++] = BOOT_DISK;
        config->boot[config->boot_count++] = BOOT_CDROM;
    }
    if (!config->name && config->disk_count)
        config->name = file_name(config->disks[0].path);
    else if (!config->name && config->cdrom_count && config->cdroms[0].path)
        config->name = file_name(config->cdroms[0].path);
    if (!config->name)
        config->name = "minivm";
    if (memcmp(config->uuid, (uint8_t[UUID_SIZE]){0}, UUID_SIZE) == 0)
        uuid_from_name(config->uuid, config->name);
    fill_net_defaults(config);
    if (config->card == CARD_AUTO)
        config->card = config_has_spice(config) ? CARD_ICH6 : CARD_NONE;
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
    if (!err)
        err = config_fill_ports(config);
    if (!err && config->firmware)
        err = uefi_find(&config->uefi, config->firmware, config->uefi_variables, config->name);
    if (!err && config->spice_tls_port >= 0)
        err = certificate_find(&config->certificate, config->tls_folder);
    return err ? err : config_fill_password(config);
}

void config_fini(struct vm_config *config)
{
    unsigned i;

    for (i = 0; i < config->disk_count; i++) {
        free((void *)config->disks[i].path);
        free((void *)config->disks[i].format);
        free((void *)config->drives[i].serial);
    }
    for (i = 0; i < config->port_count; i++)
        free(config->ports[i].name);
    config_drop_domain(config);
    free((void *)config->tap);
    free((void *)config->net_user.hostname);
    free((void *)config->net_user.tftp);
    free((void *)config->net_user.bootfile);
    free((void *)config->spice_record);
    free((void *)config->spice_codecs);
    free((void *)config->tls_folder);
    free((void *)config->view_password_file);
    free((void *)config->sasl_database);
}

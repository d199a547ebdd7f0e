/*
 * config.h - what a user asked for: the command line of `minivm run` as data.
 *
 * Strings belong to argv, but for those of suboptions, which are copies. config_parse() checks each value by itself, and at
 * the end what must fit together.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include "backend/disk.h"
#include "backend/net.h"
#include "spice/server/server.h"
#include "vmm/certificate.h"
#include "vmm/uefi.h"
#include "vmm/uuid.h"

#define CONFIG_MAX_DISKS 8
#define CONFIG_MAX_CDROMS 2
#define CONFIG_MAX_IDE 4 /* disks with bus=ide and CD-ROM drives together */
#define CONFIG_MAX_BOOT 3
#define CONFIG_MAX_SERIAL 20 /* bytes */
#define CONFIG_MAX_FORWARDS 16
#define CONFIG_MAX_QXL 4
#define CONFIG_MAX_CPUS 16
#define CONFIG_MAX_PORTS 15 /* of virtio-serial; the first number is a console's */
#define CONFIG_MIN_MEMORY MIB(64)
#define CONFIG_MAX_MEMORY GIB(1024)

/* The exit status of `minivm run`. */
enum run_status {
    RUN_OK = 0,      /* the expectation was met, or the guest powered off and nothing was expected */
    RUN_FAILED = 1,  /* the machine could not start, or failed */
    RUN_USAGE = 2,
    RUN_TIMEOUT = 3,
    RUN_GUEST = 4,   /* the guest crashed, or ended before the expectation was met */
    RUN_HOST = 5,    /* a fault of the host, such as a full disk */
};

enum config_accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_NESTED };
enum config_video { VIDEO_QXL, VIDEO_VGA, VIDEO_NONE };
/* The sound card; by default there is one if a viewer can hear it. */
enum config_card { CARD_AUTO, CARD_ICH6, CARD_AC97, CARD_NONE };
enum config_net { NET_USER, NET_TAP, NET_NONE };
enum config_watchdog {
    WATCHDOG_ABSENT, WATCHDOG_RESET, WATCHDOG_POWEROFF, WATCHDOG_DESTROY, WATCHDOG_PAUSE, WATCHDOG_NONE
};
enum config_bus { BUS_VIRTIO, BUS_IDE };
enum config_boot { BOOT_DISK, BOOT_CDROM, BOOT_NETWORK };
#define CONFIG_MAX_PASSWORD 60 /* what SPICE's ticket can carry */
#define CONFIG_WEB_FOLDER "/usr/share/spice-html5" /* as Debian installs it */

enum config_action { ACTION_DESTROY, ACTION_RESTART, ACTION_PRESERVE };

/* How a disk is attached. */
struct config_drive {
    enum config_bus bus;
    const char *serial; /* NULL: the device's own */
};

/* A QXL device; 0 is the default. */
struct config_qxl {
    uint64_t ram, vram, vram64, vgamem; /* bytes */
    unsigned revision;
};

/* A port of virtio-serial. */
struct config_port {
    char *name;       /* the guest finds it as /dev/virtio-ports/NAME */
    const char *spec; /* of the other end, see chardev_create(); NULL: it is the SPICE server's */
    char inside[32];  /* spec points here in a software host, where what is outside is relayed to */
};

struct domain;

struct vm_config {
    struct domain *domain; /* whose words some options are; NULL: none */
    const char *name; /* NULL: after the first disk */
    uint8_t uuid[UUID_SIZE]; /* all 0: after the name */
    uint64_t memory;  /* bytes */
    unsigned cpus;
    enum config_accel accel;
    bool no_hyperv, no_hpet;
    enum config_watchdog watchdog; /* what happens when it expires; ABSENT: there is none */
    bool rtc_local; /* the real-time clock shows local time */

    struct disk_options disks[CONFIG_MAX_DISKS];
    struct config_drive drives[CONFIG_MAX_DISKS]; /* of the same disks */
    unsigned disk_count;
    struct disk_options cdroms[CONFIG_MAX_CDROMS]; /* path NULL: an empty drive */
    unsigned cdrom_count;
    enum config_boot boot[CONFIG_MAX_BOOT]; /* what firmware tries, in order */
    unsigned boot_count;
    bool snapshot;

    const char *cloud_init; /* user-data, or a folder with it; NULL: no seed */

    const char *kernel, *initrd, *append;
    const char *firmware; /* NULL: SeaBIOS as Debian installs it */
    const char *uefi_variables; /* as asked for, or NULL */
    struct uefi_files uefi;     /* found for the firmware */

    bool no_balloon;

    enum config_video video;
    struct config_qxl qxl[CONFIG_MAX_QXL]; /* the first is the VGA-compatible one */
    unsigned qxl_count;                    /* as given; there is one if none is */
    unsigned heads;                        /* monitors of the only QXL device */

    enum config_card card;

    enum config_net net;
    const char *tap;
    uint8_t mac[6];
    unsigned net_queues;              /* pairs, of a tap */
    struct net_user_options net_user; /* but for the forwards */
    struct net_forward forwards[CONFIG_MAX_FORWARDS];
    unsigned forward_count;

    const char *serial;      /* chardev spec; NULL: stdio when headless, else none */
    struct config_port ports[CONFIG_MAX_PORTS];
    unsigned port_count;
    bool no_agent; /* no port for the guest's agent */
    const char *debug_port;  /* chardev spec for port 0x402; NULL: none */

    int spice_port; /* -1: no SPICE over TCP, 0: any free port */
    int spice_tls_port; /* the same; TLS is on unless it is -1 */
    int web_port; /* the same, of a page for browsers */
    const char *spice_listen, *spice_unix, *spice_password_file, *spice_compression, *spice_record, *spice_codecs;
    const char *tls_folder;        /* as asked for, or NULL */
    struct certificate certificate; /* found there, when TLS is on */
    uint32_t plain_channels;       /* 1 << SPICE_CHANNEL_*: these need no TLS */
    char domain_password[CONFIG_MAX_PASSWORD + 1]; /* given in a domain; a file's comes before it */
    char made_password[CONFIG_MAX_PASSWORD + 1]; /* since nobody asked for one, and strangers can come; "": it was not */
    const char *view_password_file; /* of those who may only look; NULL: nobody */
    bool sasl;                 /* viewers may authenticate by SASL */
    const char *sasl_database; /* NULL: as libsasl2 is configured */
    bool spice_open; /* no password is asked for, wherever clients come from */
    enum wan spice_jpeg, spice_zlib;
    enum streaming spice_streaming;
    struct agent_filter agent_filter; /* what the guest's agent is not wanted for */
    bool raw_sound;
    bool no_agent_mouse;

    bool headless;
    const char *expect, *screenshot;
    const char *control; /* QMP's socket; NULL: none */
    bool no_sandbox; /* --sandbox off */
    const char *sandbox_user; /* who root becomes; NULL: nobody */
    const char *restore; /* a saved machine; NULL: boot */
    unsigned timeout; /* seconds; 0: none */
    enum config_action on_poweroff, on_reboot, on_crash;

    bool relayed; /* inside a software host: it holds the image locks and relays connections */
};

void config_init(struct vm_config *config);
/* argv[0] is "run". 0; OPTIONS_HELP after help was printed; -EINVAL with fail_text(). */
int config_parse(struct vm_config *config, int argc, char **argv);
void config_fini(struct vm_config *config);
bool config_has_spice(const struct vm_config *config);
/* SPICE listens on more than loopback. */
bool config_lets_strangers_in(const struct vm_config *config);
/* The password that viewers need, "": none; password[CONFIG_MAX_PASSWORD + 1]. */
int config_password(const struct vm_config *config, char *password);
bool config_boots_from(const struct vm_config *config, enum config_boot what);

#endif

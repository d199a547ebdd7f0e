/*
 * config_private.h - the parts of the command line of `minivm run`: a file for disks, one for SPICE, config.c for the rest and
 * the table of all options. Setters are those of base/options.h; `opaque` is the struct vm_config.
 */
#ifndef VMM_CONFIG_PRIVATE_H
#define VMM_CONFIG_PRIVATE_H

#include "vmm/config.h"

/* --- config.c --- */

/* The words of a suboption do not last. */
void config_set_copy(const char **field, const char *value);
/* Which of `names`, ended by NULL; errors come with fail_text(). */
int config_choose(const char *value, const char *const *names, int *chosen);
/* "on", "off" or nothing, which is on; *on says whether that was `meaning`. */
int config_set_switch(bool *on, const char *key, const char *value, bool meaning);
/* Options from somewhere else than the command line; the words must last as long as the config. */
int config_parse_words(struct vm_config *config, char **words, unsigned count);

/* --- config_port.c --- */

int config_add_port(void *opaque, const char *value);
/* -EINVAL with fail_text(): there is nobody at the other end of one. */
int config_check_ports(const struct vm_config *config);
/* The port of the guest's agent. */
int config_fill_ports(struct vm_config *config);

/* --- config_domain.c --- */

int config_set_domain(void *opaque, const char *path);
void config_drop_domain(struct vm_config *config);

/* --- config_disk.c --- */

int config_add_disk(void *opaque, const char *value);
int config_add_disk_path(void *opaque, const char *path);
int config_add_cdrom(void *opaque, const char *value);

/* --- config_spice.c --- */

#define SPICE_OPTIONS                                                                              \
    "image-compression=auto_glz|auto_lz|glz|lz|quic|lz4|off, jpeg-wan-compression=auto|always|never, "      \
    "zlib-glz-wan-compression=auto|always|never, streaming-video=auto|off|filter|all, "                     \
    "video-codecs=vp8;h264;mjpeg, record=FILE, x509-dir=FOLDER, plaintext-channel=NAME, disable-ticketing=on|off, "   \
    "sasl=on|off, sasl-db=FILE, view-password-file=FILE, "                                                      \
    "disable-copy-paste=on|off, disable-agent-file-xfer=on|off, agent-mouse=on|off, "      \
    "playback-compression=on|off"

int config_set_spice_port(void *opaque, const char *value);
int config_set_spice_tls(void *opaque, const char *value);
int config_set_web(void *opaque, const char *value);
int config_set_spice_option(void *opaque, const char *value);
/* What does not go together; -EINVAL with fail_text(). */
int config_check_spice(const struct vm_config *config);
/* Whoever can come without being known is asked for a password, unless that was waived. */
int config_fill_password(struct vm_config *config);

#endif

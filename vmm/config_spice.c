/* config_spice.c - the command line's SPICE: where, by which means, for whom. */
#include "vmm/config_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/options.h"
#include "spice/protocol/messages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define MADE_PASSWORD 16 /* letters */

/* --- options --- */

static int parse_port(const char *value, int *port)
{
    uint64_t number;
    int err = parse_unsigned(value, 0, 65535, &number);

    if (!err)
        *port = (int)number;
    return err;
}

int config_set_spice_port(void *opaque, const char *value)
{
    return parse_port(value, &((struct vm_config *)opaque)->spice_port);
}

int config_set_spice_tls(void *opaque, const char *value)
{
    return parse_port(value, &((struct vm_config *)opaque)->spice_tls_port);
}

static int set_wan(enum wan *wan, const char *value)
{
    static const char *const names[] = {"auto", "always", "never", NULL};
    int chosen = (int)*wan, err = config_choose(value, names, &chosen);

    *wan = (enum wan)chosen;
    return err;
}

static int set_streaming(enum streaming *streaming, const char *value)
{
    static const char *const names[] = {"auto", "off", "filter", "all", NULL};
    int chosen = (int)*streaming, err = config_choose(value, names, &chosen);

    *streaming = (enum streaming)chosen;
    return err;
}

int config_set_web(void *opaque, const char *value)
{
    return parse_port(value, &((struct vm_config *)opaque)->web_port);
}

static int add_plain_channel(uint32_t *channels, const char *name)
{
    unsigned type = spice_channel_type(name);

    if (!type)
        return fail(-EINVAL, "there is no SPICE channel '%s'; there are main, display, inputs and cursor", name);
    *channels |= 1u << type;
    return 0;
}

static int spice_suboption(void *opaque, const char *key, const char *value)
{
    static const char *const compressions[] = {"auto_glz", "auto_lz", "glz", "lz",
                                               "quic", "lz4", "off", "auto", NULL};
    struct vm_config *config = opaque;
    int chosen = 0, err;

    if (strcmp(key, "record") == 0 && value && *value) {
        config_set_copy(&config->spice_record, value);
        return 0;
    }
    if (strcmp(key, "video-codecs") == 0 && value && *value) { /* the server looks at it */
        config_set_copy(&config->spice_codecs, value);
        return 0;
    }
    if (strcmp(key, "x509-dir") == 0 && value && *value) {
        config_set_copy(&config->tls_folder, value);
        return 0;
    }
    if (strcmp(key, "made-password") == 0 && value && config->relayed) { /* outside, by the same program */
        snprintf(config->made_password, sizeof(config->made_password), "%s", value);
        return 0;
    }
    if (strcmp(key, "view-password-file") == 0 && value && *value) {
        config_set_copy(&config->view_password_file, value);
        return 0;
    }
    if (strcmp(key, "sasl-db") == 0 && value && *value) {
        config_set_copy(&config->sasl_database, value);
        config->sasl = true;
        return 0;
    }
    if (strcmp(key, "disable-copy-paste") == 0 && value)
        return config_set_switch(&config->agent_filter.no_clipboard, key, value, true);
    if (strcmp(key, "disable-agent-file-xfer") == 0 && value)
        return config_set_switch(&config->agent_filter.no_files, key, value, true);
    if (strcmp(key, "agent-mouse") == 0 && value)
        return config_set_switch(&config->no_agent_mouse, key, value, false);
    if (strcmp(key, "playback-compression") == 0 && value)
        return config_set_switch(&config->raw_sound, key, value, false);
    if (strcmp(key, "sasl") == 0 && value)
        return config_set_switch(&config->sasl, key, value, true);
    if (strcmp(key, "plaintext-channel") == 0 && value)
        return add_plain_channel(&config->plain_channels, value);
    if (strcmp(key, "disable-ticketing") == 0 && value)
        return config_set_switch(&config->spice_open, key, value, true);
    if (strcmp(key, "streaming-video") == 0 && value)
        return set_streaming(&config->spice_streaming, value);
    if (strcmp(key, "jpeg-wan-compression") == 0 && value)
        return set_wan(&config->spice_jpeg, value);
    if (strcmp(key, "zlib-glz-wan-compression") == 0 && value)
        return set_wan(&config->spice_zlib, value);
    if (strcmp(key, "image-compression") != 0 || !value)
        return fail(-EINVAL, "unknown option '%s'; known: " SPICE_OPTIONS, key);
    err = config_choose(value, compressions, &chosen);
    config->spice_compression = compressions[chosen];
    return err;
}

int config_set_spice_option(void *opaque, const char *value)
{
    return parse_suboptions(value, spice_suboption, opaque);
}

/* --- what goes together --- */

static bool has_password(const struct vm_config *config)
{
    return config->spice_password_file || *config->domain_password;
}

int config_check_spice(const struct vm_config *config)
{
    if ((config->spice_listen || config->spice_password_file) && !config_has_spice(config))
        return fail(-EINVAL, "SPICE is not on: add --spice PORT, --spice-tls PORT, --web PORT or --spice-unix PATH");
    if ((config->tls_folder || config->plain_channels) && config->spice_tls_port < 0)
        return fail(-EINVAL, "--spice-option x509-dir= and plaintext-channel= need --spice-tls PORT");
    if (config->spice_open && (has_password(config) || config->sasl))
        return fail(-EINVAL, "--spice-option disable-ticketing=on lets everybody in; drop it, or the password and sasl=");
    if (config->view_password_file && !has_password(config))
        return fail(-EINVAL, "--spice-option view-password-file= is for those who only look; --spice-password-file for "
                             "those who do more");
    if (config->sasl && config->spice_tls_port < 0 && !config->spice_unix)
        return fail(-EINVAL, "--spice-option sasl=on needs --spice-tls PORT: it is for encrypted connections only");
    return 0;
}

bool config_has_spice(const struct vm_config *config)
{
    return config->spice_port >= 0 || config->spice_tls_port >= 0 || config->web_port >= 0 || config->spice_unix;
}

bool config_lets_strangers_in(const struct vm_config *config)
{
    const char *address = config->spice_listen;

    return address && strncmp(address, "127.", 4) != 0 && strcmp(address, "::1") != 0;
}

/* 80 bits in letters that are not mistaken for others. */
static int make_password(char *password)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t random[MADE_PASSWORD];

    static_assert(sizeof(letters) == 32 + 1, "5 bits each");
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -errno;
    for (size_t i = 0; i < sizeof(random); i++)
        *password++ = letters[random[i] % 32];
    *password = 0;
    return 0;
}

int config_fill_password(struct vm_config *config)
{
    if (!config_has_spice(config) || !config_lets_strangers_in(config) || has_password(config) || config->sasl ||
        *config->made_password)
        return 0;
    if (!config->spice_open)
        return make_password(config->made_password);
    if (!config->relayed)
        log_warn("SPICE on %s asks nobody for a password, as you wished: whoever reaches it has the machine",
                 config->spice_listen);
    return 0;
}

int config_password(const struct vm_config *config, char *password)
{
    strcpy(password, *config->domain_password ? config->domain_password : config->made_password);
    if (!config->spice_password_file)
        return 0;
    return file_first_line("password file", config->spice_password_file, password, CONFIG_MAX_PASSWORD + 1);
}

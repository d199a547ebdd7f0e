#include "client/vv.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vv {
    struct client_options *o;
    bool is_spice, delete_it;
};

/* --- values; what the command line has said holds --- */

static int keep_text(char *to, size_t size, const char *value, const char *key)
{
    if (*to || !*value)
        return 0;
    return client_options_copy(to, size, value, strlen(value), key);
}

static int keep_port(char port[8], const char *value)
{
    /* Some write -1 for none. */
    if (*port || !*value || strcmp(value, "-1") == 0 || strcmp(value, "0") == 0)
        return 0;
    return client_options_parse_port(value, port);
}

static int parse_bool(const char *value, bool *on)
{
    *on = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
    return *on || strcmp(value, "0") == 0 || strcmp(value, "false") == 0 ? 0
                                                                         : fail(-EINVAL, "'%s' is not 0 or 1", value);
}

static int set_type(struct vv *vv, const char *value)
{
    vv->is_spice = strcmp(value, "spice") == 0;
    return vv->is_spice ? 0 : fail(-EINVAL, "type '%s' is not supported, only spice", value);
}

#define TEXT_KEY(key, member)                                                                                          \
    static int set_##member(struct vv *vv, const char *value)                                                          \
    {                                                                                                                  \
        return keep_text(vv->o->member, sizeof(vv->o->member), value, key);                                            \
    }

TEXT_KEY("host", host)
TEXT_KEY("unix-path", unix_path)
TEXT_KEY("username", user)
TEXT_KEY("password", password)
TEXT_KEY("host-subject", host_subject)
TEXT_KEY("tls-ciphers", tls_ciphers)

/* What the command line says of hotkeys counts; one that cannot be is no reason not to connect. */
#define HOTKEY(member, key)                                                                                            \
    static int set_##member(struct vv *vv, const char *value)                                                          \
    {                                                                                                                  \
        if (!vv->o->window.chooses_hotkeys && hotkeys_set(&vv->o->window.hotkeys, key, value))                         \
            log_warn("%s", fail_text());                                                               \
        return 0;                                                                                                      \
    }

HOTKEY(key_fullscreen, "toggle-fullscreen")
HOTKEY(key_release, "release-cursor")
HOTKEY(key_secure_attention, "secure-attention")
HOTKEY(key_zoom_in, "zoom-in")
HOTKEY(key_zoom_out, "zoom-out")
HOTKEY(key_zoom_reset, "zoom-reset")

static int set_title(struct vv *vv, const char *value)
{
    return keep_text(vv->o->window.title, sizeof(vv->o->window.title), value, "title");
}

static int set_port(struct vv *vv, const char *value)
{
    return keep_port(vv->o->port, value);
}

static int set_tls_port(struct vv *vv, const char *value)
{
    return keep_port(vv->o->tls_port, value);
}

static int set_ca(struct vv *vv, const char *value)
{
    if (vv->o->ca || vv->o->ca_file || !*value)
        return 0;
    vv->o->ca = strdup(value);
    return vv->o->ca ? 0 : -ENOMEM;
}

static int set_secure_channels(struct vv *vv, const char *value)
{
    if (vv->o->chooses_secure || !*value)
        return 0;
    vv->o->chooses_secure = true;
    return client_options_parse_channels(value, &vv->o->secure_channels);
}

static int set_disable_channels(struct vv *vv, const char *value)
{
    return client_options_parse_channels(value, &vv->o->disabled_channels);
}

static int set_fullscreen(struct vv *vv, const char *value)
{
    bool on;
    int err = parse_bool(value, &on);

    vv->o->window.full_screen |= on;
    return err;
}

static int set_proxy(struct vv *vv, const char *value)
{
    return vv->o->proxy.host[0] || !*value ? 0 : proxy_parse(&vv->o->proxy, value);
}

static int set_delete(struct vv *vv, const char *value)
{
    return parse_bool(value, &vv->delete_it);
}

static int ignore(struct vv *vv UNUSED, const char *value UNUSED)
{
    return 0;
}

/* Ignored are: what is about remote-viewer itself, and what needs parts that this client has not. */
static const struct vv_key {
    const char *name;
    int (*set)(struct vv *vv, const char *value);
} keys[] = {
    {"type", set_type},
    {"host", set_host},
    {"port", set_port},
    {"tls-port", set_tls_port},
    {"unix-path", set_unix_path},
    {"username", set_user},
    {"password", set_password},
    {"ca", set_ca},
    {"host-subject", set_host_subject},
    {"tls-ciphers", set_tls_ciphers},
    {"secure-channels", set_secure_channels},
    {"disable-channels", set_disable_channels},
    {"proxy", set_proxy},
    {"title", set_title},
    {"fullscreen", set_fullscreen},
    {"toggle-fullscreen", set_key_fullscreen},
    {"release-cursor", set_key_release},
    {"secure-attention", set_key_secure_attention},
    {"delete-this-file", set_delete},
    {"version", ignore},
    {"versions", ignore},
    {"newer-version-url", ignore},
    {"color-depth", ignore},
    {"disable-effects", ignore},
    {"enable-smartcard", ignore},
    {"enable-usbredir", ignore},
    {"enable-usb-autoshare", ignore},
    {"usb-filter", ignore},
    {"smartcard-insert", ignore},
    {"smartcard-remove", ignore},
    {"usb-device-reset", ignore},
    {"zoom-in", set_key_zoom_in},
    {"zoom-out", set_key_zoom_out},
    {"zoom-reset", set_key_zoom_reset},
};

/* --- lines --- */

static void unescape(char *text)
{
    static const char from[] = "ntsr\\", values[] = "\n\t \r\\";
    char *to = text;

    for (; *text; text++) {
        const char *which = *text == '\\' && text[1] ? strchr(from, text[1]) : NULL;

        *to++ = which ? values[which - from] : *text;
        text += which != NULL;
    }
    *to = '\0';
}

static char *trim(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r", end[-1]))
        end--;
    *end = '\0';
    return text;
}

static int take_pair(struct vv *vv, char *line)
{
    char *value = strchr(line, '=');
    const char *name;

    if (!value)
        return fail(-EINVAL, "'%.60s' is no KEY=VALUE", line);
    *value++ = '\0';
    name = trim(line);
    /* Blanks behind a value are part of it, as a password's may be. */
    value += strspn(value, " \t");
    value[strcspn(value, "\r")] = '\0';
    unescape(value);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(keys[i].name, name) == 0) {
            int err = keys[i].set(vv, value);

            return err ? fail_prefix(err, "%s", name) : 0;
        }
    log_debug("key '%s' is not known", name);
    return 0;
}

static int take_lines(struct vv *vv, char *text)
{
    bool ours = false;
    char *line, *rest = text;
    int err = 0;

    while (!err && (line = strsep(&rest, "\n"))) {
        char *start = line + strspn(line, " \t\r");

        if (*start == '[')
            ours = strncmp(start, "[virt-viewer]", 13) == 0;
        else if (ours && *start && *start != '#')
            err = take_pair(vv, start);
    }
    return err;
}

int vv_parse(struct client_options *o, const char *text, size_t size, bool *delete_it)
{
    struct vv vv = {.o = o};
    char *copy = size <= VV_MAX_SIZE && !memchr(text, '\0', size) ? strndup(text, size) : NULL;
    int err;

    *delete_it = false;
    if (!copy)
        return fail(-EINVAL, "it is no text of at most %d KiB", VV_MAX_SIZE / 1024);
    err = take_lines(&vv, copy);
    explicit_bzero(copy, size);
    free(copy);
    if (!err && !vv.is_spice)
        err = fail(-EINVAL, "it has no type=spice below [virt-viewer]");
    *delete_it = vv.delete_it;
    return err;
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    size_t done = 0;

    if (fd < 0)
        return fail(-errno, "'%s': %s", path, strerror(errno));
    while (done < size && (n = read(fd, text + done, size - done)) > 0)
        done += (size_t)n;
    if (n < 0)
        n = fail(-errno, "'%s': %s", path, strerror(errno));
    close(fd);
    return n < 0 ? n : (ssize_t)done;
}

int vv_read(struct client_options *o, const char *path)
{
    char *text = malloc(VV_MAX_SIZE + 1);
    bool delete_it = false;
    ssize_t n = text ? read_file(path, text, VV_MAX_SIZE + 1) : -ENOMEM;
    int err = (int)n;

    if (n >= 0) {
        err = vv_parse(o, text, (size_t)n, &delete_it);
        if (err)
            fail_prefix(err, "file '%s'", path);
        explicit_bzero(text, (size_t)n);
    }
    free(text);
    if (delete_it && strcmp(path, "-") != 0 && unlink(path))
        log_debug("'%s' could not be removed: %s", path, strerror(errno));
    return err;
}

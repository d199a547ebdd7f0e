#include "vmm/broker_rules.h"

#include "base/bytes.h"
#include "base/host_file.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESYNC      0xff /* vmm/qmp.c */
#define SUFFIX_SIZE 9    /* vmm/savefile.c: a dot and eight digits */

/* What may be asked for in an open(). */
#define FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_PATH | O_TMPFILE)

/* --- names --- */

static void add(struct broker_rules *rules, const char *path, bool backing)
{
    struct broker_name *name = &rules->names[rules->next];
    char absolute[PATH_MAX];

    if (!*path || host_absolute(path, absolute))
        return;
    free(name->path);
    *name = (struct broker_name){strdup(absolute), backing};
    rules->next = (rules->next + 1) % BROKER_MAX_NAMES;
}

static bool same(const char *absolute, const char *path)
{
    char other[PATH_MAX];

    return path && host_absolute(path, other) == 0 && strcmp(absolute, other) == 0;
}

static bool known(const struct broker_rules *rules, const char *absolute)
{
    for (size_t i = 0; i < rules->known_count; i++)
        if (same(absolute, rules->known[i]))
            return true;
    return false;
}

static bool named(const struct broker_rules *rules, const char *absolute, bool backing)
{
    for (size_t i = 0; i < BROKER_MAX_NAMES; i++)
        if (rules->names[i].path && rules->names[i].backing == backing && strcmp(rules->names[i].path, absolute) == 0)
            return true;
    return false;
}

static bool may(const struct broker_rules *rules, const char *path, int flags)
{
    char absolute[PATH_MAX];

    return host_absolute(path, absolute) == 0 &&
           (named(rules, absolute, false) || same(absolute, rules->config->screenshot) ||
            (flags & O_PATH && known(rules, absolute)));
}

/* What becomes a file that was named, when it is complete. */
static bool may_become(const struct broker_rules *rules, const char *path)
{
    size_t size = strlen(path);
    char of[PATH_MAX];

    if (size <= SUFFIX_SIZE || size >= PATH_MAX)
        return false;
    snprintf(of, sizeof(of), "%.*s", (int)(size - SUFFIX_SIZE), path);
    return path[size - SUFFIX_SIZE] == '.' && strspn(path + size - SUFFIX_SIZE + 1, "0123456789abcdef") == SUFFIX_SIZE - 1 &&
           may(rules, of, 0);
}

void broker_rules_init(struct broker_rules *rules, const struct vm_config *config)
{
    *rules = (struct broker_rules){.config = config};
}

void broker_rules_fini(struct broker_rules *rules)
{
    while (rules->known_count)
        free(rules->known[--rules->known_count]);
    for (size_t i = 0; i < BROKER_MAX_NAMES; i++)
        free(rules->names[i].path);
}

void broker_rules_know(struct broker_rules *rules, const char *path)
{
    if (rules->known_count < BROKER_MAX_KNOWN)
        rules->known[rules->known_count++] = strdup(path);
}

/* --- what is said at --control --- */

static void take_string(struct broker_rules *rules, const struct broker_strings *s)
{
    char quoted[PATH_MAX + 2];
    json_t *string;

    if (s->size == PATH_MAX)
        return;
    quoted[0] = '"';
    memcpy(quoted + 1, s->text, s->size);
    quoted[s->size + 1] = '"';
    string = json_loadb(quoted, s->size + 2, JSON_DECODE_ANY, NULL);
    if (string)
        add(rules, json_string_value(string), false);
    json_decref(string);
}

static void take_byte(struct broker_rules *rules, struct broker_strings *s, char byte)
{
    if ((uint8_t)byte == RESYNC) {
        *s = (struct broker_strings){0};
    } else if (!s->inside) {
        s->inside = byte == '"';
        s->size = 0;
    } else if (byte == '"' && !s->escaped) {
        s->inside = false;
        take_string(rules, s);
    } else {
        s->escaped = byte == '\\' && !s->escaped;
        if (s->size < PATH_MAX)
            s->text[s->size++] = byte;
    }
}

void broker_rules_listen(struct broker_rules *rules, struct broker_strings *strings, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        take_byte(rules, strings, data[i]);
}

/* --- what is asked for --- */

static bool is_backing(const struct broker_rules *rules, const char *folder, const char *name, int flags)
{
    char path[PATH_MAX];

    return (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC)) &&
           snprintf(path, sizeof(path), "%s/%s", folder, name) < PATH_MAX && named(rules, path, true);
}

/* --snapshot's: a file without a name. */
static bool is_scratch(const struct broker_rules *rules, int flags)
{
    return rules->config->snapshot && (flags & O_TMPFILE) == O_TMPFILE;
}

bool broker_may_open(const struct broker_rules *rules, const char *folder, const char *name, int flags)
{
    if (flags & ~FLAGS)
        return false;
    if (rules->config->relayed || is_scratch(rules, flags))
        return true;
    if (folder)
        return is_backing(rules, folder, name, flags);
    return may(rules, name, flags) || (flags & O_EXCL && may_become(rules, name));
}

/* Where QCOW2 has it: an offset and a size, big-endian, after magic and version. */
static bool read_backing_name(int fd, char name[1024])
{
    uint8_t head[20];
    uint64_t offset;
    uint32_t size;

    if (pread(fd, head, sizeof(head), 0) != sizeof(head) || memcmp(head, "QFI\xfb", 4) != 0)
        return false;
    offset = load_be64(head + 8);
    size = load_be32(head + 16);
    if (!offset || !size || size >= 1024 || offset > MIB(2) || pread(fd, name, size, (off_t)offset) != size)
        return false;
    name[size] = 0;
    return true;
}

void broker_opened(struct broker_rules *rules, const char *folder, const char *name, int flags, int fd)
{
    char backing[1024], path[PATH_MAX], real[PATH_MAX];

    if (flags & (O_PATH | O_CREAT | O_TMPFILE) || !read_backing_name(fd, backing))
        return;
    snprintf(path, sizeof(path), "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    if (backing[0] == '/')
        add(rules, backing, true);
    else if (host_folder(path, real) == 0 && snprintf(path, sizeof(path), "%s/%s", real, backing) < PATH_MAX)
        add(rules, path, true);
}

bool broker_may_find_folder(const struct broker_rules *rules, const char *path)
{
    return rules->config->relayed || may(rules, path, 0) || named(rules, path, true);
}

bool broker_may_rename(const struct broker_rules *rules, const char *from, const char *to)
{
    return rules->config->relayed || (may_become(rules, from) && may(rules, to, 0));
}

bool broker_may_unlink(const struct broker_rules *rules, const char *path)
{
    return rules->config->relayed || may_become(rules, path);
}

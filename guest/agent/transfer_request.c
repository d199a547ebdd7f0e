#include "guest/agent/transfer_request.h"

#include "base/error.h"
#include "base/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GROUP "[vdagent-file-xfer]"

/* --- the key file --- */

/* Of "key=value" the value, or NULL. */
static const char *value_of(const char *line, const char *key)
{
    size_t length = strlen(key);

    return strncmp(line, key, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

static char unescaped(char c)
{
    static const char from[] = "sntr\\", to[] = " \n\t\r\\";
    const char *at = c ? strchr(from, c) : NULL;

    return at ? to[at - from] : 0;
}

static int copy_name(const char *value, char name[NAME_MAX + 1])
{
    size_t n = 0;

    for (; *value; value++) {
        char c = *value;

        if (c == '\\' && !(c = unescaped(*++value)))
            return fail(-EINVAL, "a file's name has a backslash that means nothing");
        if (n == NAME_MAX)
            return fail(-EINVAL, "a file's name is longer than %d bytes", NAME_MAX);
        name[n++] = c;
    }
    name[n] = 0;
    return 0;
}

static bool has_control(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < ' ' || *name == 0x7f)
            return true;
    return false;
}

static int check_name(const char *name)
{
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') || has_control(name))
        return fail(-EINVAL, "the name of a file is none, or leads to another folder");
    return 0;
}

static int take_line(const char *line, struct transfer_request *request, bool *sized)
{
    const char *name = value_of(line, "name"), *size = value_of(line, "size");

    if (name)
        return copy_name(name, request->name);
    if (!size)
        return 0;
    *sized = true;
    return parse_unsigned(size, 0, INT64_MAX, &request->size);
}

int transfer_request_read(const uint8_t *text, size_t length, struct transfer_request *request)
{
    const uint8_t *p = text, *end = text + length;
    bool in_group = false, sized = false;
    int err = 0;

    *request = (struct transfer_request){0};
    if (length && end[-1] == 0) /* some send the end of the string too */
        end--;
    if (p && memchr(p, 0, (size_t)(end - p)))
        return fail(-EINVAL, "what is said of a file has a NUL in it");
    while (p < end && !err) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        char line[4 * NAME_MAX];

        if (n >= sizeof(line))
            return fail(-EINVAL, "what is said of a file has a line of %zu bytes", n);
        snprintf(line, sizeof(line), "%.*s", (int)n, (const char *)p);
        if (line[0] == '[')
            in_group = strcmp(line, GROUP) == 0;
        else if (in_group)
            err = take_line(line, request, &sized);
        p += n + 1;
    }
    if (!err && !sized)
        err = fail(-EINVAL, "a file has no size");
    return err ? err : check_name(request->name);
}

/* --- names --- */

bool transfer_name(const char *name, unsigned n, char to[NAME_MAX + 1])
{
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    int length = n ? snprintf(to, NAME_MAX + 1, "%.*s (%u)%s", (int)stem, name, n, name + stem)
                   : snprintf(to, NAME_MAX + 1, "%s", name);

    return length <= NAME_MAX;
}

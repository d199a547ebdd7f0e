#include "base/user_files.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int path_join(char *to, const char *a, const char *b)
{
    int n = snprintf(to, PATH_MAX, "%s%s", a, b);

    return n < PATH_MAX ? 0 : fail(-ENAMETOOLONG, "'%s': the name is too long", to);
}

/* A folder of the specification's, named by a variable, or where it is by default. */
static int file_in(char *path, const char *variable, const char *by_default, const char *name)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    bool is_set = base && base[0] == '/';
    char parent[PATH_MAX], folder[PATH_MAX];
    int err = path_join(parent, is_set ? base : home ? home : "", is_set ? "" : by_default);

    if (!err)
        err = path_join(folder, parent, "/minivm/");
    return err ? err : path_join(path, folder, name);
}

int user_file(char *path, const char *name)
{
    return file_in(path, "XDG_DATA_HOME", "/.local/share", name);
}

int user_state_file(char *path, const char *name)
{
    return file_in(path, "XDG_STATE_HOME", "/.local/state", name);
}

void user_file_name(char *name)
{
    while ((name = strchr(name, '/')))
        *name = '_';
}

void user_folders_make(const char *file)
{
    char part[PATH_MAX];
    const char *slash = file;

    while ((slash = strchr(slash + 1, '/'))) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - file), file);
        mkdir(part, 0700);
    }
}

#include "vmm/user_files.h"

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

int user_file(char *path, const char *name)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char folder[PATH_MAX];
    int err;

    if (data && data[0] == '/')
        err = path_join(folder, data, "/minivm/");
    else
        err = path_join(folder, home ? home : "", "/.local/share/minivm/");
    return err ? err : path_join(path, folder, name);
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

#include "guest/agent/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY "XDG_DOWNLOAD_DIR=\""

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* XDG_DOWNLOAD_DIR="$HOME/..." or "/..." */
static bool take_line(char *line, const char *home, char *folder)
{
    char *value = line + strlen(KEY), *end;
    bool relative;

    if (strncmp(line, KEY, strlen(KEY)) || !(end = strchr(value, '"')))
        return false;
    *end = 0;
    relative = strncmp(value, "$HOME/", 6) == 0;
    if (!relative && value[0] != '/')
        return false;
    return snprintf(folder, PATH_MAX, "%s%s", relative ? home : "", relative ? value + 5 : value) < PATH_MAX;
}

static bool read_user_dirs(const char *home, char *folder)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    char path[PATH_MAX], line[PATH_MAX + 64];
    bool set = config && config[0] == '/', found = false;
    FILE *f;

    snprintf(path, sizeof(path), "%s%s/user-dirs.dirs", set ? config : home, set ? "" : "/.config");
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f))
        found = take_line(line, home, folder);
    if (f)
        fclose(f);
    return found && is_folder(folder);
}

void download_folder(char *folder)
{
    const char *home = getenv("HOME") ? getenv("HOME") : "/";

    if (read_user_dirs(home, folder))
        return;
    snprintf(folder, PATH_MAX, "%s/Downloads", home);
    if (!is_folder(folder))
        snprintf(folder, PATH_MAX, "%s", home);
}

#include "client/known_servers.h"

#include "base/error.h"
#include "base/user_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINE  512
#define MAX_LINES 10000

const char *known_servers_path(char path[PATH_MAX])
{
    if (user_state_file(path, "known-servers"))
        snprintf(path, PATH_MAX, "known-servers");
    return path;
}

/* Whoever else could write it could have any server trusted. */
static int check_owner(int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st))
        return fail(-errno, "'%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
        return fail(-EPERM, "'%s' is not a file that only you can write; remove it", path);
    return 0;
}

static int open_file(int flags)
{
    char path[PATH_MAX];
    int fd, err = user_state_file(path, "known-servers");

    if (err)
        return err;
    if (flags & O_CREAT)
        user_folders_make(path);
    fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(-errno, "'%s': %s", path, strerror(errno));
    err = check_owner(fd, path);
    if (err)
        close(fd);
    return err ? err : fd;
}

/* What a line says of the server. */
static enum known_server look_at(const char *line, const char *server, const char *fingerprint)
{
    size_t size = strlen(server);

    if (strncmp(line, server, size) != 0 || strncmp(line + size, " SHA256:", 8) != 0)
        return KNOWN_SERVER_NO;
    return strcmp(line + size + 8, fingerprint) ? KNOWN_SERVER_OTHER : KNOWN_SERVER_YES;
}

int known_servers_find(const char *server, const char *fingerprint)
{
    enum known_server found = KNOWN_SERVER_NO;
    int fd = open_file(O_RDONLY);
    char line[MAX_LINE];
    FILE *file;

    if (fd < 0)
        return fd == -ENOENT ? KNOWN_SERVER_NO : fd;
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return fail(-ENOMEM, "no memory for the known servers");
    }
    for (int i = 0; i < MAX_LINES && found != KNOWN_SERVER_YES && fgets(line, sizeof(line), file); i++) {
        enum known_server is;

        line[strcspn(line, "\r\n")] = '\0';
        is = look_at(line, server, fingerprint);
        found = is == KNOWN_SERVER_NO ? found : is;
    }
    fclose(file);
    return found;
}

int known_servers_add(const char *server, const char *fingerprint)
{
    char line[MAX_LINE];
    int fd = open_file(O_WRONLY | O_CREAT | O_APPEND), err = 0;
    int size = snprintf(line, sizeof(line), "%s SHA256:%s\n", server, fingerprint);

    if (fd < 0)
        return fd;
    /* In one write, so that clients that run at the same time do not mix theirs. */
    if (size >= (int)sizeof(line) || write(fd, line, (size_t)size) != size)
        err = fail(-EIO, "the known servers could not be written: %s", strerror(errno));
    close(fd);
    return err;
}

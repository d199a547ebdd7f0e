/*
 * view.c - minivm view: the client, for a machine that runs.
 *
 * It is given the machine's .vv file by name, which only this user can read: a password is never on a command line.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "base/user_files.h"
#include "vmm/registry.h"
#include "vmm/run.h"
#include "vmm/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENT "minivm-client"

/* The one that was installed, or built, with this program; else the user's. */
static void find_client(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *slash;

    path[MAX(n, 0)] = '\0';
    slash = strrchr(path, '/');
    if (slash && slash + 1 + sizeof(CLIENT) <= path + PATH_MAX) {
        strcpy(slash + 1, CLIENT);
        if (access(path, X_OK) == 0)
            return;
    }
    strcpy(path, CLIENT);
}

/* What comes behind the machine's name is the client's. */
static int start_client(const char *file, int argc, char **argv)
{
    char **words = calloc((size_t)argc + 3, sizeof(*words));
    char client[PATH_MAX];
    int n = 0;

    if (!words)
        return -ENOMEM;
    find_client(client);
    words[n++] = CLIENT;
    for (int i = 0; i < argc; i++)
        words[n++] = argv[i];
    words[n] = (char *)file;
    execvp(client, words);
    free(words);
    return fail(-errno, "'%s' cannot be started: %s; it is in the same package", client, strerror(errno));
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int view_main(int argc, char **argv)
{
    static const struct option_table table = {
        .usage = "minivm view NAME [OPTION...]\n\n"
                 "Opens a window on a machine that runs, by " CLIENT ", whose OPTIONs these are.",
    };
    const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    char path[PATH_MAX];
    int fd, err;

    if (argc > 1 && asks_for_help(argv[1])) {
        options_print_help(&table);
        return RUN_OK;
    }
    fd = registry_open(name, path);
    if (fd >= 0)
        close(fd);
    err = fd < 0 ? fd : start_client(path, argc - 2, argv + 2);
    log_error("%s", fail_text());
    return err == -EINVAL ? RUN_USAGE : RUN_FAILED;
}

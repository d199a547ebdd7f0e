#include "vmm/registry.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host_file.h"
#include "base/log.h"
#include "base/options.h"
#include "vmm/run.h"
#include "base/user_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX   ".vv"
#define MAX_FILE (64 * 1024)
#define MAX_CA   (16 * 1024)

struct registry {
    int fd; /* holds the lock */
    char path[PATH_MAX];
};

/* --- the folder --- */

/* Somebody else's in a common place would be a trap. */
static int check_folder(const char *folder)
{
    struct stat st;

    if (lstat(folder, &st))
        return fail(-errno, "'%s': %s", folder, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
        return fail(-EPERM, "'%s' is not a folder for you alone; remove it", folder);
    return 0;
}

static int find_folder(char folder[PATH_MAX])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int err;

    if (runtime && runtime[0] == '/')
        err = path_join(folder, runtime, "/minivm");
    else
        err = snprintf(folder, PATH_MAX, "/tmp/minivm-%u", geteuid()) < PATH_MAX ? 0 : -ENAMETOOLONG;
    if (!err && mkdir(folder, 0700) && errno != EEXIST)
        err = fail(-errno, "'%s': %s", folder, strerror(errno));
    return err ? err : check_folder(folder);
}

static int find_file(char path[PATH_MAX], const char *name)
{
    char folder[PATH_MAX];
    int err = find_folder(folder), n;

    if (err)
        return err;
    n = snprintf(path, PATH_MAX, "%s/%s%s", folder, name, SUFFIX);
    if (n >= PATH_MAX)
        return fail(-ENAMETOOLONG, "'%s': the name is too long", name);
    user_file_name(path + strlen(folder) + 1);
    return 0;
}

/* --- the file --- */

static void PRINTF_LIKE(2, 3) put(struct writer *w, const char *fmt, ...)
{
    char line[PATH_MAX + 80];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    writer_bytes(w, line, (size_t)CLAMP(n, 0, (int)sizeof(line) - 1));
}

/* In one line, as the file's format wants it. */
static int put_authority(struct writer *w, const struct certificate *c)
{
    struct file file;
    char *pem;
    int err = file_open(&file, "certificate", c->authority);

    if (err)
        return err;
    pem = file.size <= MAX_CA ? malloc(file.size) : NULL;
    err = pem ? file_read(&file, pem, file.size, 0) : -ENOMEM;
    put(w, "ca=");
    for (size_t i = 0; !err && i < file.size; i++)
        writer_bytes(w, pem[i] == '\n' ? "\\n" : &pem[i], pem[i] == '\n' ? 2 : 1);
    put(w, "\n");
    free(pem);
    file_close(&file);
    return err;
}

static const char *reachable(const char *address)
{
    if (!address || strcmp(address, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(address, "::") == 0 ? "::1" : address;
}

static int compose(struct writer *w, const struct vm_config *config, int port, int tls_port, const char *password)
{
    char subject[CERTIFICATE_SUBJECT];
    int err = 0;

    put(w, "[virt-viewer]\ntype=spice\n");
    if (port >= 0 || tls_port >= 0)
        put(w, "host=%s\n", reachable(config->spice_listen));
    if (port >= 0)
        put(w, "port=%d\n", port);
    if (tls_port >= 0)
        put(w, "tls-port=%d\n", tls_port);
    if (port < 0 && tls_port < 0)
        put(w, "unix-path=%s\n", config->spice_unix);
    if (*password)
        put(w, "password=%s\n", password);
    put(w, "title=%s\n", config->name);
    if (tls_port >= 0) {
        err = certificate_subject(&config->certificate, subject);
        put(w, "host-subject=%s\n", subject);
    }
    return err || tls_port < 0 ? err : put_authority(w, &config->certificate);
}

static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

static int create(struct registry *r, const struct writer *w, const char *name)
{
    struct flock lock = whole_file(F_WRLCK);

    r->fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        return fail(-errno, "'%s': %s", r->path, strerror(errno));
    if (fcntl(r->fd, F_OFD_SETLK, &lock))
        return fail(-EBUSY, "a machine named '%s' runs already; `minivm vv` and `list` know that one (--name gives others)", name);
    if (fchmod(r->fd, 0600) || ftruncate(r->fd, 0) || write(r->fd, w->data, w->size) != (ssize_t)w->size)
        return fail(-errno, "'%s': %s", r->path, strerror(errno));
    return 0;
}

int registry_enter(struct registry **entry, const struct vm_config *config, int port, int tls_port, const char *password)
{
    struct registry *r = calloc(1, sizeof(*r));
    struct writer w;
    int err;

    if (!r)
        return -ENOMEM;
    r->fd = -1;
    writer_init(&w, MAX_FILE);
    err = find_file(r->path, config->name);
    if (!err)
        err = compose(&w, config, port, tls_port, password);
    if (!err)
        err = w.bad ? -ENOMEM : create(r, &w, config->name);
    writer_fini(&w);
    if (err) {
        if (r->fd >= 0)
            close(r->fd);
        free(r);
        return err;
    }
    *entry = r;
    host_leave(r->path);
    return 0;
}

void registry_leave(struct registry *r)
{
    if (!r)
        return;
    unlink(r->path);
    close(r->fd);
    free(r);
}

/* --- the commands --- */

/* Whether a machine holds it; a file that was left behind is removed. */
static bool is_alive(int fd, const char *path)
{
    struct flock lock = whole_file(F_WRLCK);

    if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK) {
        unlink(path);
        return false;
    }
    return true;
}

/* The machine's file, or -1. */
static int open_alive(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0 && !is_alive(fd, path)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

struct vv {
    const char *name, *host;
};

static int take_word(void *opaque, const char *word)
{
    struct vv *vv = opaque;

    if (vv->host)
        return fail(-EINVAL, "'%s' is one word too many; minivm vv NAME [HOST]", word);
    *(vv->name ? &vv->host : &vv->name) = word;
    return 0;
}

static int print_file(const struct vv *vv, int fd)
{
    FILE *file = fdopen(fd, "r");
    char *line = NULL;
    size_t size = 0;

    if (!file)
        return -errno;
    while (getline(&line, &size, file) > 0)
        if (vv->host && strncmp(line, "host=", 5) == 0)
            printf("host=%s\n", vv->host);
        else
            fputs(line, stdout);
    free(line);
    fclose(file);
    return fflush(stdout) ? -errno : 0;
}

int registry_open(const char *name, char path[PATH_MAX])
{
    int err = name ? find_file(path, name) : fail(-EINVAL, "which machine? minivm list tells their names"), fd;

    if (err)
        return err;
    fd = open_alive(path);
    return fd >= 0 ? fd : fail(-ENOENT, "no machine named '%s' runs; minivm list tells the names", name);
}

static int print_vv(const struct vv *vv)
{
    char path[PATH_MAX];
    int fd = registry_open(vv->name, path);

    return fd < 0 ? fd : print_file(vv, fd);
}

static int finish(int err)
{
    if (err)
        log_error("%s", fail_text()[0] ? fail_text() : strerror(-err));
    return !err ? RUN_OK : err == -EINVAL ? RUN_USAGE : RUN_FAILED;
}

int vv_main(int argc, char **argv)
{
    static const struct option_table table = {
        .usage = "minivm vv NAME [HOST]\n\n"
                 "Prints what viewers must know of a running machine, its password too:\n"
                 "    minivm vv NAME >x.vv; remote-viewer x.vv\n"
                 "HOST: how this computer is called where the viewer is.",
        .positional = take_word,
    };
    struct vv vv = {0};
    int err = options_parse(&table, argc, argv, &vv);

    if (err == OPTIONS_HELP)
        return RUN_OK;
    return finish(err ? err : print_vv(&vv));
}

/* One that runs, without the suffix; one that does not is removed. */
static void print_name(const char *folder, char *file)
{
    char path[PATH_MAX];
    size_t size = strlen(file);
    int fd;

    if (size <= strlen(SUFFIX) || strcmp(file + size - strlen(SUFFIX), SUFFIX) != 0 ||
        snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
        return;
    fd = open_alive(path);
    if (fd < 0)
        return;
    close(fd);
    printf("%.*s\n", (int)(size - strlen(SUFFIX)), file);
}

static int print_names(void)
{
    char folder[PATH_MAX];
    int err = find_folder(folder), count;
    struct dirent **entries;

    if (err)
        return err;
    count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0)
        return fail(-errno, "'%s': %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        print_name(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int list_main(int argc, char **argv)
{
    static const struct option_table table = {
        .usage = "minivm list\n\nNames the machines with a screen that you run, one a line.",
    };
    int err = options_parse(&table, argc, argv, NULL);

    if (err == OPTIONS_HELP)
        return RUN_OK;
    return finish(err ? err : print_names());
}

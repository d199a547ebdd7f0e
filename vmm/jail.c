#include "vmm/jail.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY    65534 /* by every distribution, and where there is no list of users */
#define NEW_ROOT  "/tmp" /* anything that is there: the empty file system is laid over it, in our name space alone */
#define OUR_SPACES (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* --- users --- */

#define NO_CAPABILITY (-1)

/* Nothing that is run later could get them back, but for one. Who has no right to let go of it has none of them either. */
static void drop_bounds(int but)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (cap != but)
            prctl(PR_CAPBSET_DROP, cap);
}

/* What a process could inherit is not bounded. */
static void drop_inheritable(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &header, data))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(data); i++)
        data[i].inheritable = 0;
    syscall(SYS_capset, &header, data);
}

void jail_before_exec(bool opens_others_files)
{
    drop_bounds(opens_others_files ? CAP_DAC_OVERRIDE : NO_CAPABILITY);
    drop_inheritable();
}

int jail_init(struct jail *jail, const char *user)
{
    const struct passwd *entry;

    drop_bounds(NO_CAPABILITY);
    *jail = (struct jail){.drops_user = geteuid() == 0, .uid = NOBODY, .gid = NOBODY};
    jail->also = jail->gid;
    if (!user)
        return 0;
    entry = getpwnam(user);
    if (!entry)
        return fail(-ENOENT, "--sandbox user=%s: there is no such user", user);
    if (!jail->drops_user && entry->pw_uid != geteuid())
        return fail(-EPERM, "--sandbox user=%s: only root can become another user", user);
    jail->uid = entry->pw_uid;
    jail->gid = jail->also = entry->pw_gid;
    return 0;
}

void jail_keep_root(struct jail *jail, const char *file)
{
    struct stat st;

    jail->keeps_root = true;
    if (file && stat(file, &st) == 0)
        jail->also = st.st_gid;
}

int jail_become_user(const struct jail *jail)
{
    if (setgroups(jail->also != jail->gid, &jail->also) || setresgid(jail->gid, jail->gid, jail->gid) ||
        setresuid(jail->uid, jail->uid, jail->uid))
        return fail(-errno, "sandbox: cannot become user %u: %s; --sandbox off does without", jail->uid, strerror(errno));
    return 0;
}

/* --- name spaces --- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* We are in it who we are outside. */
static bool own_users(uid_t uid, gid_t gid)
{
    char users[64], groups[64];

    snprintf(users, sizeof(users), "%u %u 1\n", uid, uid);
    snprintf(groups, sizeof(groups), "%u %u 1\n", gid, gid);
    return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", users) &&
           write_file("/proc/self/gid_map", groups);
}

/*
 * Without a right to make name spaces, one of users gives it, where the kernel lets everybody have that. Root, who is to become
 * somebody else, could not in one.
 */
void jail_before_fork(struct jail *jail)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (unshare(CLONE_NEWPID) == 0) {
        jail->own_pids = true;
    } else if (!jail->drops_user && unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0) {
        jail->own_pids = true;
        own_users(uid, gid);
        drop_bounds(NO_CAPABILITY);
    }
}

void jail_after_fork(struct jail *jail)
{
    jail->own_mounts = unshare(OUR_SPACES) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* --- the root --- */

/* In the first file system of all, where an initramfs lives, a root can only be moved. */
static bool swap_root(void)
{
    if (syscall(SYS_pivot_root, ".", ".") == 0)
        return umount2(".", MNT_DETACH) == 0;
    return mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0;
}

static bool empty_root(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    return mount("none", NEW_ROOT, "tmpfs", flags, "size=4k,mode=555") == 0 && chdir(NEW_ROOT) == 0 && swap_root() &&
           chdir("/") == 0 && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) == 0;
}

int jail_close(struct jail *jail)
{
    jail->root_is_empty = jail->own_mounts && !jail->keeps_root && empty_root();
    if (jail->drops_user) {
        int err = jail_become_user(jail);

        if (err)
            return err;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* which another user forgets */
    }
    return 0;
}

/* One that it forks has to find itself in it. */
static bool try_jail(void)
{
    struct jail jail;
    int status;
    pid_t pid;

    if (jail_init(&jail, NULL))
        return false;
    jail_before_fork(&jail);
    pid = fork();
    if (pid == 0) {
        jail_after_fork(&jail);
        _exit(jail_close(&jail) == 0 && jail.own_pids && jail.root_is_empty ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool jail_is_permitted(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(try_jail() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

#include "base/sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

static const int common_calls[] = {
    /* memory */
    SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
    /* locks, time, rest */
    SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(restart_syscall), SCMP_SYS(getrandom), SCMP_SYS(membarrier),
    /* descriptors that it has */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fcntl), SCMP_SYS(lseek),
    /* signals, of this process alone */
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(prctl),
    /* a thread's beginning and end */
    SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(exit), SCMP_SYS(exit_group), SANDBOX_END};

const struct sandbox_calls sandbox_common = {.name = "every thread", .calls = common_calls};

/* Of these calls only those with the bits of `mask` in an argument as `value` has them; our_pid: that is this process. */
static const struct condition {
    int call;
    unsigned argument;
    uint64_t mask, value;
    bool our_pid;
} conditions[] = {
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    {SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
    {SCMP_SYS(tgkill), 0, UINT64_MAX, 0, true},
    {SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_NAME},
};

/* Into a string, where nothing else may be called; returns its end. */
static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static void report_number(const char *thread, int call, unsigned second UNUSED)
{
    char text[128], digits[8] = "", *end = append(text, "minivm: sandbox: '"), *digit = digits + sizeof(digits) - 1;

    for (; call > 0 && digit > digits; call /= 10)
        *--digit = (char)('0' + call % 10);
    end = append(append(append(end, thread), "' made the system call "), digit);
    end = append(end, ", which it may not: it was ended\n");
    if (write(STDERR_FILENO, text, (size_t)(end - text)) < 0)
        return;
}

static sandbox_report *report;
static bool started;
static __thread const char *confined_as = "main";

bool sandbox_started(void)
{
    return started;
}

/*
 * The handler has been reset, so that a call which nobody may make has the kernel end the process, even where it is the first
 * of its name space, which other signals of its own do not reach.
 */
static void forbidden(int number UNUSED, siginfo_t *info, void *context)
{
    const ucontext_t *was = context;

    report(confined_as, info->si_syscall, (unsigned)was->uc_mcontext.gregs[REG_RSI]);
    syscall(SYS_ptrace, 0, 0, 0, 0);
}

void sandbox_start(sandbox_report *to)
{
    struct sigaction action = {.sa_sigaction = forbidden, .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        die("sandbox: no_new_privs: %s; use a newer kernel, or --sandbox off", strerror(errno));
    if (SANITIZED) {
        log_warn("sandbox: this build has a sanitizer, which it would not let work: there is none");
        return;
    }
    report = to ? to : report_number;
    started = true;
    sigaction(SIGSYS, &action, NULL);
}

/* --- capabilities --- */

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) ? -errno : 0;
}

/* --- Landlock --- */

/* As newer kernels' headers have it. */
struct ruleset {
    uint64_t files, net;
};

/* By the version of the interface: the rights that there are, so that all can be taken away. */
static size_t all_rights(int version, bool connects, struct ruleset *rules)
{
    static const unsigned file_bits[] = {0, 13, 14, 15, 15, 16};

    rules->files = (UINT64_C(1) << file_bits[MIN(version, (int)ARRAY_SIZE(file_bits) - 1)]) - 1;
    rules->net = connects ? 0 : 3; /* to bind and to connect TCP */
    return version < 4 ? sizeof(rules->files) : sizeof(*rules);
}

/* One that is not there cannot be read either. */
static int let_read(int ruleset, const char *path)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE};
    struct stat st;
    int err = 0;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return 0;
    if (fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode))
        rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        err = -errno;
    close(rule.parent_fd);
    return err;
}

static int landlock_version(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool sandbox_has_landlock(void)
{
    return landlock_version() >= 1;
}

/* A kernel without Landlock leaves it to the other fences. */
static int forbid_files(const struct sandbox_calls *list)
{
    int version = landlock_version();
    long fd;
    struct ruleset rules;
    int err = 0;

    if (version < 1)
        return 0;
    fd = syscall(SYS_landlock_create_ruleset, &rules, all_rights(version, list->connects, &rules), 0);
    if (fd < 0)
        return -errno;
    for (const char *const *reads = list->reads; reads && *reads && !err; reads++)
        err = let_read((int)fd, *reads);
    if (!err && syscall(SYS_landlock_restrict_self, fd, 0))
        err = -errno;
    close((int)fd);
    return err;
}

/* --- system calls --- */

/* A call may be in two lists. */
static int allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
    int err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, condition);

    return err == -EEXIST ? 0 : err;
}

static int allow(scmp_filter_ctx filter, int call)
{
    int err;

    for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
        const struct condition *c = &conditions[i];
        uint64_t value = c->our_pid ? (uint64_t)getpid() : c->value;

        if (c->call == call)
            return allow_if(filter, call, SCMP_CMP(c->argument, SCMP_CMP_MASKED_EQ, c->mask, value));
    }
    err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    return err == -EEXIST ? 0 : err;
}

static int allow_all(scmp_filter_ctx filter, const struct sandbox_calls *list)
{
    int err = 0;

    for (const int *call = list->calls; call && *call != SANDBOX_END && !err; call++)
        err = allow(filter, *call);
    /* The kernel looks at 32 bits of it. */
    for (const struct sandbox_ioctl *io = list->ioctls; io && io->name && !err; io++)
        err = allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, io->request));
    for (const struct sandbox_calls *const *also = list->also; *also && !err; also++)
        err = allow_all(filter, *also);
    return err;
}

/*
 * clone3: its flags lie in memory, where a filter cannot look; the C library then takes clone(). Files: libraries look for
 * hints in /proc and /sys now and then, and do without.
 */
static int refuse(scmp_filter_ctx filter, const struct sandbox_calls *list)
{
    int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    if (!err && !list->opens_files && !list->reads)
        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
    return err;
}

static int forbid_calls(const struct sandbox_calls *list)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    int err = filter ? 0 : -ENOMEM;

    if (!err)
        err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!err)
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; older libraries have lists only */
    if (!err)
        err = allow_all(filter, &sandbox_common);
    if (!err)
        err = allow_all(filter, list);
    if (!err)
        err = refuse(filter, list);
    if (!err)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err;
}

void sandbox_confine(void *calls)
{
    const struct sandbox_calls *list = calls;
    const char *what = "capabilities";
    sigset_t reports;
    int err;

    if (!started)
        return;
    sigemptyset(&reports);
    sigaddset(&reports, SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &reports, NULL);
    confined_as = list->name;
    err = drop_capabilities();
    if (!err && !list->opens_files) {
        what = "Landlock";
        err = forbid_files(list);
    }
    if (!err) {
        what = "seccomp";
        err = forbid_calls(list);
    }
    if (err)
        die("sandbox: thread '%s': %s: %s; --sandbox off does without", list->name, what, strerror(-err));
}

#include "base/error.h"
#include "vmm/jail.h"
#include "vmm/nested.h"
#include "vmm/nested_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QEMU "qemu-system-x86_64"
#define OVERHEAD                                                                                   \
    MIB(320) /* what the software host needs beside the guest's memory and the files it unpacks */
#define SCRATCH                                                                                    \
    GIB(2) /* for what --snapshot discards: it is memory inside (guest/host/init mounts it) */
#define WORDS_MAX 128

struct command {
    char *words[WORDS_MAX];
    unsigned count;
    bool failed;
};

static void PRINTF_LIKE(2, 3) word(struct command *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (c->count + 1 == WORDS_MAX || vasprintf(&c->words[c->count], fmt, args) < 0)
        c->failed = true;
    else
        c->count++;
    va_end(args);
}

static void command_fini(struct command *c)
{
    while (c->count)
        free(c->words[--c->count]);
}

/* QEMU's options are separated by commas; two of them stand for one. */
static void double_commas(char *to, const char *from)
{
    while (*from) {
        if (*from == ',')
            *to++ = ',';
        *to++ = *from++;
    }
    *to = 0;
}

static void add_shares(struct command *c, const struct nested_shares *shares)
{
    char path[2 * PATH_MAX];
    unsigned i;

    for (i = 0; i < shares->count; i++) {
        double_commas(path, shares->share[i].path);
        word(c, "-fsdev");
        word(c, "local,id=share%u,path=%s,security_model=none,multidevs=remap%s", i, path,
             shares->share[i].writable ? "" : ",readonly=on");
        word(c, "-device");
        word(c, "virtio-9p-pci,fsdev=share%u,mount_tag=share%u", i, i);
    }
}

static uint64_t host_memory(const struct vm_config *config, uint64_t initrd_size)
{
    uint64_t size = config->memory + OVERHEAD + 2 * initrd_size;
    unsigned i;

    for (i = 0; i < config->disk_count; i++)
        if (config->disks[i].snapshot)
            return size + SCRATCH;
    return size;
}

/* A time stamp and the moment it was taken, in nanoseconds; of several tries the least disturbed. */
static uint64_t time_stamp(uint64_t *moment)
{
    uint64_t stamp = 0, best = UINT64_MAX;
    int i;

    for (i = 0; i < 8; i++) {
        struct timespec a, b;
        uint64_t now, length;

        clock_gettime(CLOCK_MONOTONIC_RAW, &a);
        now = __builtin_ia32_rdtsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &b);
        length = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (uint64_t)(b.tv_nsec - a.tv_nsec);
        if (length < best) {
            best = length;
            stamp = now;
            *moment = (uint64_t)a.tv_sec * 1000000000 + (uint64_t)a.tv_nsec + length / 2;
        }
    }
    return stamp;
}

/*
 * The frequency of the time stamp counter, which QEMU hands to what it emulates. A kernel that measures it on a busy
 * computer gets it wrong, and then its clock runs at another speed than the world's.
 */
static unsigned tsc_khz(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    uint64_t from, to, start = time_stamp(&from), stop;

    nanosleep(&pause, NULL);
    stop = time_stamp(&to);
    return (unsigned)((stop - start) * 1000000 / (to - from));
}

/*
 * TCG ends QEMU ("tcg_handle_interrupt: assertion failed") when a guest writes CR8 while KVM waits for the moment to give it
 * an interrupt. OVMF does so at the end of each timer tick, so no tick may come before the last one is dealt with: its
 * timer, of 10 ms, is slowed down. (Counting time in instructions makes ticks come late enough too. But then QEMU gives
 * some interrupts twice, as in wait_for_turns(), at the end of each count.)
 */
#define UEFI_TICK_US "100000"

static void add_kernel_options(struct command *c, bool uefi)
{
    word(c, "-append");
    word(c,
         "console=ttyS0 quiet panic=-1 mitigations=off nowatchdog audit=0 cryptomgr.notests "
         "tsc=reliable tsc_early_khz=%u%s",
         tsc_khz(), uefi ? " kvm.min_timer_period_us=" UEFI_TICK_US : "");
}

/* One word a line; values with spaces are given by format. */
static void build_command(struct command *c, const char *folder, const struct vm_config *config,
                          uint64_t initrd_size, const int *fds)
{
    const char *const fixed[] = {
        QEMU,
        "-nodefaults",
        "-sandbox",
        config->no_sandbox ? "off" : "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "pc",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        /* TCG does not intercept XSETBV: a guest that used it would see wrong sizes. Five levels of page tables would
           only be longer to walk. And copies byte by byte, which are to be fast, are slower there than by words. */
        "max,+svm,+npt,-xsave,-la57,-erms,-fsrm",
        "-netdev",
        "user,id=net",
        "-device",
        "virtio-net-pci,netdev=net,romfile=",
        "-device",
        "virtio-serial-pci",
        "-device",
        "virtserialport,chardev=port,nr=1",
        "-serial",
        "chardev:console",
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(fixed); i++)
        word(c, "%s", fixed[i]);
    add_kernel_options(c, config->uefi.present);
    word(c, "-m");
    word(c, "%lluM", (unsigned long long)(host_memory(config, initrd_size) >> 20));
    word(c, "-kernel");
    word(c, "%s/vmlinux", folder);
    word(c, "-initrd");
    word(c, "/dev/fd/%d", fds[1]);
    word(c, "-chardev");
    word(c, "socket,id=port,fd=%d", fds[0]);
    word(c, "-chardev");
    word(c, "file,id=console,path=/dev/fd/%d", fds[2]);
}

/* Whether no other software host has this CPU. A bound name is the claim; it lasts as long as the process, over exec. */
static bool claim_cpu(int cpu)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX}; /* an abstract one: no file */
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    bool mine;

    snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "minivm-software-host-cpu-%d", cpu);
    mine = fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    if (!mine && fd >= 0)
        close(fd);
    return mine;
}

/* The one where the scheduler has put this process, unless another software host is there and not everywhere. */
static int choose_cpu(void)
{
    int cpu, current = MAX(sched_getcpu(), 0);
    cpu_set_t allowed;

    if (claim_cpu(current) || sched_getaffinity(0, sizeof(allowed), &allowed))
        return current;
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (cpu != current && CPU_ISSET(cpu, &allowed) && claim_cpu(cpu))
            return cpu;
    return current;
}

/*
 * All of QEMU's threads share one CPU. TCG's VMRUN sets a bit of the pending interrupts without QEMU's lock; it is one
 * instruction, but not a locked one, and a thread on another CPU that raises an interrupt in that moment loses it,
 * mostly the timer's: kernels hang, or worse. On one CPU that cannot be. More than one CPU inside would then only wait
 * for each other.
 */
static void stay_on_one_cpu(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(choose_cpu(), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

/*
 * No thread takes the CPU from another the moment that it wakes. VMRUN leaves the vector of an interrupt that it injected in
 * exception_index; if the CPU's thread is asked to pause just between its looks at interrupt_request and exit_request, that
 * vector is delivered again, into the handler: of that, it seems, a boot in a hundred died. It costs less time, too.
 */
static void wait_for_turns(void)
{
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}

static bool has_others_files(const struct nested_shares *shares)
{
    for (unsigned i = 0; i < shares->count; i++)
        if (shares->share[i].others)
            return true;
    return false;
}

/* In the child: keep these descriptors over exec, die with the parent, and leave the terminal's signals to it. */
static void become_qemu(struct command *c, const int *fds, size_t fd_count, int messages)
{
    size_t i;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    stay_on_one_cpu();
    wait_for_turns();
    dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
    dup2(messages, STDOUT_FILENO);
    dup2(messages, STDERR_FILENO);
    for (i = 0; i < fd_count; i++)
        fcntl(fds[i], F_SETFD, 0);
    execvp(QEMU, c->words);
    dprintf(STDERR_FILENO, "%s: %s; install the package 'qemu-system-x86'\n", QEMU,
            strerror(errno));
    _exit(127);
}

static int start(struct nested_host *host, const char *folder, const struct vm_config *config,
                 const struct nested_shares *shares, int initrd, uint64_t initrd_size)
{
    struct command c = {0};
    int ends[2], err = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -errno;
    build_command(&c, folder, config, initrd_size, (int[]){ends[1], initrd, host->console});
    add_shares(&c, shares);
    host->pid = c.failed ? -1 : fork();
    if (host->pid == 0 && !config->no_sandbox)
        jail_before_exec(has_others_files(shares));
    if (host->pid == 0)
        become_qemu(&c, (int[]){ends[1], initrd, host->console}, 3, host->messages);
    if (host->pid < 0)
        err = fail(-ENOMEM, "the software host cannot be started: %s", strerror(errno));
    command_fini(&c);
    close(ends[1]);
    host->port = ends[0];
    return err;
}

int nested_host_start(struct nested_host *host, const struct vm_config *config,
                      const struct nested_shares *shares)
{
    char folder[PATH_MAX];
    uint64_t size = 0;
    int initrd, err;

    *host = (struct nested_host){.pid = -1, .port = -1, .console = -1, .messages = -1};
    if (!nested_host_folder(folder, sizeof(folder)))
        return fail(-ENOENT, "the software host is not built; 'make host' builds it");
    initrd = nested_initrd_make(folder, config, &size);
    if (initrd < 0)
        return initrd;
    host->console = memfd_create("console", MFD_CLOEXEC);
    host->messages = memfd_create("messages", MFD_CLOEXEC);
    err = start(host, folder, config, shares, initrd, size);
    close(initrd);
    return err;
}

/* The line that says why the kernel panicked, or else the last one, but for the kernel's good-bye. */
static void last_line(int fd, char *line, size_t size)
{
    static const char goodbye[] = "] reboot: ", panic[] = "Kernel panic";
    char text[KIB(64)], *next, *one;
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, text, sizeof(text) - 1, MAX(end - (off_t)sizeof(text) + 1, 0));

    text[MAX(n, 0)] = 0;
    line[0] = 0;
    for (next = text; (one = strtok_r(next, "\r\n", &next)) && !strstr(line, panic);)
        if (!strstr(one, goodbye))
            snprintf(line, size, "%s", one);
}

/* The signal that ended QEMU, if one did; it gets a second to be gone. */
static int death_signal(struct nested_host *host)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int i, status;

    for (i = 0; i < 100 && host->pid > 0; i++) {
        if (waitpid(host->pid, &status, WNOHANG) == host->pid) {
            host->pid = -1;
            return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

const char *nested_host_last_words(struct nested_host *host, char *line, size_t size)
{
    int signum = host->pid > 0 ? death_signal(host) : 0;

    last_line(host->messages, line, size);
    if (!line[0] && signum)
        snprintf(line, size, "%s was ended by signal %d (%s)", QEMU, signum, strsignal(signum));
    if (!line[0])
        last_line(host->console, line, size);
    return line;
}

void nested_host_stop(struct nested_host *host)
{
    /* All that was written went through 9p to the files: there is nothing to wait for. */
    if (host->pid > 0) {
        kill(host->pid, SIGKILL);
        waitpid(host->pid, NULL, 0);
    }
    if (host->port >= 0)
        close(host->port);
    if (host->console >= 0)
        close(host->console);
    if (host->messages >= 0)
        close(host->messages);
}

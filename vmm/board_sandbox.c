#include "vmm/board_sandbox.h"

#include "spice/server/server.h"
#include "vmm/board_private.h"
#include "vmm/broker.h"
#include "vmm/nested.h"
#include "vmm/net_process.h"

#include <stdlib.h>
#include <sys/ioctl.h>

/* --- what devices do in whichever thread finds them --- */

static const int device_calls[] = {SCMP_SYS(writev), SCMP_SYS(readv), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(pwrite64),
                                   SCMP_SYS(pread64), SCMP_SYS(sync_file_range), SCMP_SYS(fdatasync), SANDBOX_END};
static const struct sandbox_calls devices = {
    .name = "devices", .calls = device_calls, .also = {&loop_sandbox, &kvm_sandbox}};

/* --- threads --- */

const struct sandbox_calls vcpu_sandbox = {.name = "vcpu", .also = {&vcpu_run_sandbox, &devices}};

const struct sandbox_calls display_sandbox = {.name = "display", .also = {&spice_channel_sandbox, &devices}};

const struct sandbox_calls worker_sandbox = {.name = "worker"};

/* Files are opened by the broker, asked over a socket. */
static const int asking_calls[] = {SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SANDBOX_END};
static const struct sandbox_calls asking = {.name = "asking the broker", .calls = asking_calls};

const struct sandbox_calls disk_sandbox = {.name = "disk", .also = {&disk_io_sandbox, &asking, &devices}};

const struct sandbox_calls io_sandbox = {.name = "io", .also = {&net_sandbox, &devices}};

/* It also makes the writers of a saved machine. */
static const int main_calls[] = {
    SCMP_SYS(clone), SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
    SCMP_SYS(rt_sigaction), SCMP_SYS(unlink), SANDBOX_END};
/* The terminal of --serial stdio is given back as it was. */
static const struct sandbox_ioctl main_ioctls[] = {SANDBOX_IOCTL(TCGETS), SANDBOX_IOCTL(TCSETS), SANDBOX_IOCTL(TCSETSW),
                                                   SANDBOX_IOCTL(TCSETSF), {0}};
const struct sandbox_calls main_sandbox = {
    .name = "main",
    .calls = main_calls,
    .ioctls = main_ioctls,
    .also = {&spice_channel_sandbox, &spice_link_sandbox, &disk_io_sandbox, &net_sandbox, &vcpu_state_sandbox, &asking,
             &devices}};

static const int sasl_calls[] = {
    SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(getdents64), SCMP_SYS(umask), SCMP_SYS(rename), SCMP_SYS(mkdir), SCMP_SYS(flock), SCMP_SYS(statfs),
    SCMP_SYS(fstatfs), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(getppid), SCMP_SYS(getcwd), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(dup),
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(sendmmsg), SANDBOX_END};
const struct sandbox_calls main_sasl_sandbox = {
    .name = "main, with SASL", .calls = sasl_calls, .also = {&main_sandbox}, .connects = true};

/* --- the board's --- */

static void confine_loop(struct loop *loop, const struct sandbox_calls *calls)
{
    loop_call_wait(loop, sandbox_confine, (void *)calls);
}

void board_confine(struct board *board)
{
    if (!sandbox_started())
        return;
    for (unsigned i = 0; i < BOARD_MAX_DISPLAYS; i++)
        if (board_display(board, i))
            confine_loop(board_display(board, i)->loop, &display_sandbox);
    if (board->io_thread)
        confine_loop(&board->io_loop, &io_sandbox);
    if (board->disk_thread)
        confine_loop(&board->disk_loop, &disk_sandbox);
    loop_confine_workers(board->machine.loop, &worker_sandbox);
}

/* --- for people --- */

static void print_calls(FILE *out, const struct sandbox_calls *list)
{
    for (const int *call = list->calls; call && *call != SANDBOX_END; call++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, *call);

        fprintf(out, " %s", name ? name : "?");
        free(name);
    }
    for (const struct sandbox_ioctl *io = list->ioctls; io && io->name; io++)
        fprintf(out, " %s", io->name);
}

/* A part is said once, and named where it is used. */
static void print_list(FILE *out, const struct sandbox_calls *list, const struct sandbox_calls **said, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (said[i] == list)
            return;
    said[(*count)++] = list;
    fprintf(out, "- **%s**:", list->name);
    print_calls(out, list);
    for (const struct sandbox_calls *const *also = list->also; *also; also++)
        fprintf(out, " *%s*", (*also)->name);
    fprintf(out, "\n");
    for (const struct sandbox_calls *const *also = list->also; *also; also++)
        print_list(out, *also, said, count);
}

void sandbox_print(FILE *out)
{
    static const struct sandbox_calls *const threads[] = {&main_sandbox, &main_sasl_sandbox, &vcpu_sandbox, &display_sandbox,
                                                          &disk_sandbox, &io_sandbox, &worker_sandbox, &net_process_sandbox,
                                                          &broker_sandbox, &nested_sandbox, &sandbox_common};
    const struct sandbox_calls *said[32];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        print_list(out, threads[i], said, &count);
}

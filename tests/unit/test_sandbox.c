/* test_sandbox.c - a confined thread: what it may, what ends it, how that is told. Sanitized builds have none of it. */
#include "base/loop.h"
#include "spice/codec/video.h"
#include "vmm/board_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail

/* --- threads --- */

static const int few[] = {SCMP_SYS(pread64), SCMP_SYS(clone), SANDBOX_END};
static const struct sandbox_ioctl ioctls[] = {SANDBOX_IOCTL(FIONREAD), {0}};
static const struct sandbox_calls few_sandbox = {.name = "tested", .calls = few, .ioctls = ioctls};
static struct sandbox_calls calls;

struct told {
    int call;
    unsigned second;
    char thread[16];
};

static int told_to;

static void tell(const char *thread, int call, unsigned second)
{
    struct told told = {call, second, ""};

    memcpy(told.thread, thread, strlen(thread));
    if (write(told_to, &told, sizeof(told)) < 0)
        return;
}

static void *nothing(void *arg)
{
    return arg;
}

static void make_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        _exit(1);
}

/* What `act` does is done by a confined child -> its status by waitpid(), and what was told. */
static int confined(void (*act)(void), struct told *told)
{
    int pipes[2], status;
    pid_t pid;

    *told = (struct told){0};
    assert_int_equal(pipe(pipes), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        told_to = pipes[1];
        sandbox_start(tell);
        make_thread(); /* the first one has the C library prepare itself */
        sandbox_confine((void *)&calls);
        act();
        _exit(0);
    }
    close(pipes[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (read(pipes[0], told, sizeof(*told)) < 0)
        abort();
    close(pipes[0]);
    return status;
}

static void permitted(void)
{
    char byte;
    int waiting;

    make_thread();
    free(malloc(MIB(1)));
    if (open("/dev/null", O_RDONLY) >= 0 || errno != EACCES)
        _exit(3);
    if (pread(0, &byte, 1, 0) > 1 || (ioctl(0, FIONREAD, &waiting) && errno == ENOSYS))
        _exit(2);
}

static void test_permitted(void **state UNUSED)
{
    struct told told;

    confined(permitted, &told);
    assert_int_equal(told.call, 0);
    assert_int_equal(confined(permitted, &told), 0);
}

static void asks_terminal(void)
{
    char byte = 'x';

    ioctl(0, TIOCSTI, &byte);
}

static void runs_data(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void makes_process(void)
{
    syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void kills_another(void)
{
    syscall(SYS_tgkill, 1, 1, 0);
}

static void makes_socket(void)
{
    syscall(SYS_socket, 2, 1, 0);
}

static void test_forbidden(void **state UNUSED)
{
    static const struct {
        void (*act)(void);
        int call;
    } acts[] = {{asks_terminal, SYS_ioctl},  {runs_data, SYS_mmap},
                {makes_process, SYS_clone},   {makes_socket, SYS_socket},  {kills_another, SYS_tgkill}};

    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        struct told told;
        int status = confined(acts[i].act, &told);

        assert_int_equal(told.call, acts[i].call);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
        assert_string_equal(told.thread, "tested");
        if (acts[i].call == SYS_ioctl)
            assert_int_equal(told.second, TIOCSTI);
    }
}

/* --- the workers of libuv's pool: each one --- */

static void show_status(uv_work_t *work)
{
    char line[128];
    FILE *status = fopen("/proc/thread-self/status", "r");

    *(int *)work->data = -1;
    while (status && fgets(line, sizeof(line), status))
        sscanf(line, "Seccomp: %d", (int *)work->data);
    if (status)
        fclose(status);
}

static void seen(uv_work_t *work UNUSED, int status UNUSED)
{
}

static void confine_pool(void)
{
    static const int reading[] = {SCMP_SYS(openat), SANDBOX_END};
    static const struct sandbox_calls workers = {.name = "worker", .calls = reading, .opens_files = true};
    struct loop loop;
    uv_work_t work[16];
    int mode[ARRAY_SIZE(work)];

    loop_init(&loop);
    loop_confine_workers(&loop, &workers);
    for (size_t i = 0; i < ARRAY_SIZE(work); i++) {
        work[i].data = &mode[i];
        uv_queue_work(&loop.uv, &work[i], show_status, seen);
    }
    for (int i = 0; i < 200; i++) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
    for (size_t i = 0; i < ARRAY_SIZE(work); i++)
        if (mode[i] != SECCOMP_MODE_FILTER)
            _exit(1);
}

static void test_workers(void **state UNUSED)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        sandbox_start(tell);
        confine_pool();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- what workers and displays do: pictures, films, keys --- */

static void encode_film(uint8_t codec)
{
    static uint32_t pixels[320 * 240];
    const struct image from = {.format = SPICE_BITMAP_FMT_32BIT, .width = 320, .height = 240, .stride = 320 * 4,
                               .data = (uint8_t *)pixels};
    struct video_encoder *e = video_encoder_create(codec, 320, 240);
    struct writer w;

    writer_init(&w, MIB(4));
    for (uint32_t i = 0; e && i < 20; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(pixels); k++)
            pixels[k] = (uint32_t)(k * 2654435761u >> (i % 8));
        if (video_encode(e, &w, &from, &(struct video_wish){.bits_per_s = 1000000, .ms = i * 40, .key = i == 0}))
            _exit(1);
    }
    video_encoder_destroy(e);
    writer_fini(&w);
}

static void make_key(void)
{
    EVP_PKEY *key = EVP_RSA_gen(1024);

    if (!key)
        _exit(2);
    EVP_PKEY_free(key);
}

/* Under the strictest of lists. */
static void work(void)
{
    encode_film(SPICE_VIDEO_CODEC_TYPE_MJPEG);
    encode_film(SPICE_VIDEO_CODEC_TYPE_VP8);
    encode_film(SPICE_VIDEO_CODEC_TYPE_H264);
    make_key();
}

static void test_work(void **state UNUSED)
{
    struct told told;

    if (!video_can_encode(SPICE_VIDEO_CODEC_TYPE_H264))
        print_message("H.264 is not tried: libopenh264 is missing\n");
    make_key(); /* OpenSSL reads its configuration once; the server's first key is made before there is a sandbox */
    calls = worker_sandbox;
    confined(work, &told);
    assert_int_equal(told.call, 0);
    assert_int_equal(confined(work, &told), 0);
    calls = few_sandbox;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permitted),
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_work),
    };

    calls = few_sandbox;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

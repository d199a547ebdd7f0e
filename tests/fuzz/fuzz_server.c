/*
 * What a client may send: the first byte chooses the link stage or a channel that was linked, the rest is its bytes. The
 * server and its display share the loop.
 */
#include "spice/server/private.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 4

static struct loop loop;
static struct input input;
static struct display display;
static struct spice_server *server;
static uint8_t pixels[64 * 48 * 4];

static void set_up(void)
{
    const struct spice_config config = {.port = -1};
    const struct display_surface surface = {64, 48, 64 * 4, pixels};
    struct ticket_key *key;

    loop_init(&loop);
    input_init(&input);
    display_init(&display, &loop, 0, NULL, NULL);
    display_set_surface(&display, &surface);
    display_set_takes_heads(&display, true);
    if (spice_server_create(&server, &loop, &config, &input) ||
        spice_server_add_display(server, &display))
        abort();
    while (!(key = ticket_keys_take(server->keys, false)))
        uv_run(&loop.uv, UV_RUN_ONCE);
    ticket_key_put(key);
}

static void adopt(uint8_t type, uint32_t session, bool mini, int fd)
{
    struct channel_params params = {
        .stream = stream_create_socket(fd, "unix"), .session = session, .type = type};

    params.common_caps[0] = mini ? 1u << SPICE_COMMON_CAP_MINI_HEADER : 0;
    server_adopt(server, &params, "");
}

/* A session for the channel to belong to, and its peer's end. */
static uint32_t start_session(int *main_fd)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        abort();
    adopt(SPICE_CHANNEL_MAIN, 0, true, ends[0]);
    *main_fd = ends[1];
    return LIST_FIRST(&server->sessions)->id;
}

static void run_rounds(void)
{
    for (int i = 0; i < ROUNDS; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY, SPICE_CHANNEL_INPUTS,
                                    SPICE_CHANNEL_CURSOR};
    int ends[2], main_fd = -1;

    if (!server)
        set_up();
    if (!size || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        return 0;
    if (data[0] % 5 == 4)
        spice_server_accept(server, ends[0], "unix");
    else
        adopt(types[data[0] % 5], data[0] % 5 ? start_session(&main_fd) : 0, data[0] & 0x80,
              ends[0]);
    if (write(ends[1], data + 1, size - 1) < 0)
        abort();
    run_rounds();
    close(ends[1]);
    if (main_fd >= 0)
        close(main_fd);
    run_rounds();
    if (!LIST_EMPTY(&server->sessions) || server->link_count)
        abort();
    return 0;
}

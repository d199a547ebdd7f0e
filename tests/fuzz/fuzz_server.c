/*
 * What a client may send: the first byte chooses the link stage or a channel that was linked, its headers, and whether it can
 * do everything or nothing; the rest is its bytes. Then the display, which shares the loop, changes in all ways, so that the
 * channel has something to send in the state that it is in.
 */
#include "spice/server/private.h"

#include <stdlib.h>
#include <string.h>
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
    const struct spice_config config = {.port = -1, .name = "fuzz"};
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

enum { MINI_HEADERS = 0x80, CAN_EVERYTHING = 0x40 }; /* in the first byte */

static void adopt(uint8_t type, uint32_t session, uint8_t flags, int fd)
{
    struct channel_params params = {
        .stream = stream_create_socket(fd, "unix"), .session = session, .type = type};

    params.common_caps[0] = flags & MINI_HEADERS ? 1u << SPICE_COMMON_CAP_MINI_HEADER : 0;
    if (flags & CAN_EVERYTHING)
        memset(params.caps, 0xff, sizeof(params.caps));
    server_adopt(server, &params);
}

/* A session for the channel to belong to, and its peer's end. */
static uint32_t start_session(int *main_fd)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        abort();
    adopt(SPICE_CHANNEL_MAIN, 0, MINI_HEADERS, ends[0]);
    *main_fd = ends[1];
    return LIST_FIRST(&server->sessions)->id;
}

static void run_rounds(void)
{
    for (int i = 0; i < ROUNDS; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void change_display(void)
{
    static const struct rect rects[] = {{10, 12, 30, 20}, {0, 0, 64, 48}};
    static const struct display_head heads[] = {{0, 0, 0, 32, 48}, {1, 32, 0, 32, 48}};
    static const uint8_t shape[8 * 8 * 4];
    static const struct display_cursor cursors[] = {{DISPLAY_CURSOR_ALPHA, 8, 8, 1, 1, shape, 8 * 8 * 4},
                                                    {DISPLAY_CURSOR_MONO, 8, 8, 0, 0, shape, 2 * 8}};
    static unsigned turn;

    turn++;
    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (uint8_t)(i * turn);
    display_damage(&display, rects, 1 + turn % 2);
    display_moved(&display, &rects[0], 5, 6);
    display_set_cursor(&display, turn % 3 ? &cursors[turn % 2] : NULL);
    display_move_cursor(&display, (int32_t)(turn % 64), 5, turn % 4);
    display_set_heads(&display, heads, 1 + turn % 2, 2);
    server_set_heads(server, heads, 1 + turn % 2);
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
        adopt(types[data[0] % 5], data[0] % 5 ? start_session(&main_fd) : 0, data[0], ends[0]);
    if (write(ends[1], data + 1, size - 1) < 0)
        abort();
    run_rounds();
    change_display();
    run_rounds();
    close(ends[1]);
    if (main_fd >= 0)
        close(main_fd);
    run_rounds();
    if (!LIST_EMPTY(&server->sessions) || server->link_count)
        abort();
    return 0;
}

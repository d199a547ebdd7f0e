/*
 * What a client may send: the first byte chooses the link stage or a channel that was linked, its headers, whether it can do
 * everything or nothing, and where its session stands; the rest is its bytes, or what it brings of another server. Then the
 * display, which shares the loop, changes in all ways, so that the channel has something to send in the state that it is in.
 */
#include "spice/server/private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS    4
#define UPDATE_US 3000

/* Of the first byte; the lowest three bits are the channel. */
#define CAN_EVERYTHING 0x08
#define ARRIVES  0x10 /* the session comes from another server */
#define BRINGS   0x20 /* and the bytes are the state that it has */
#define LEAVES   0x40 /* it goes to another server */
#define MINI     0x80
#define FOREIGN  77   /* a session's number at another server */

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
    spice_server_migrate_expect(server, true);
    while (!(key = ticket_keys_take(server->keys, false)))
        uv_run(&loop.uv, UV_RUN_ONCE);
    ticket_key_put(key);
}

static void adopt(uint8_t type, uint32_t session, uint8_t flags, int fd)
{
    struct channel_params params = {
        .stream = stream_create_socket(fd, "unix"), .session = session, .type = type};

    params.common_caps[0] = flags & MINI ? 1u << SPICE_COMMON_CAP_MINI_HEADER : 0;
    if (flags & CAN_EVERYTHING)
        memset(params.caps, 0xff, sizeof(params.caps));
    server_adopt(server, &params, "");
}

/* A session for the channel to belong to, and its peer's end. */
static uint32_t start_session(int *main_fd, bool arrives)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        abort();
    adopt(SPICE_CHANNEL_MAIN, arrives ? FOREIGN : 0, MINI, ends[0]);
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

/* The header of one message around all that follows. */
static void begin_state(int fd, bool mini, size_t size)
{
    const struct spice_header header = {.serial = 1, .type = SPICE_MSGC_MIGRATE_DATA, .size = (uint32_t)size};
    struct writer w;

    writer_init(&w, SPICE_HEADER_SIZE);
    if (msg_encode(mini ? &spice_mini_header_type : &spice_header_type, &header, &w) ||
        write(fd, w.data, w.size) != (ssize_t)w.size)
        abort();
    writer_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY, SPICE_CHANNEL_INPUTS,
                                    SPICE_CHANNEL_CURSOR};
    int ends[2], main_fd = -1;
    unsigned type = size ? (data[0] & 7) % 5 : 0;
    bool arrives = size && data[0] & ARRIVES;

    if (!server)
        set_up();
    if (!size || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        return 0;
    if (type == 4)
        spice_server_accept(server, ends[0], "unix");
    else
        adopt(types[type], type ? start_session(&main_fd, arrives) : arrives ? FOREIGN : 0, data[0], ends[0]);
    run_rounds();
    if (data[0] & LEAVES && !LIST_EMPTY(&server->sessions))
        session_leave(LIST_FIRST(&server->sessions));
    if (data[0] & BRINGS && type != 4)
        begin_state(ends[1], data[0] & MINI, size - 1);
    if (write(ends[1], data + 1, size - 1) < 0)
        abort();
    run_rounds();
    if (data[0] & BRINGS && types[type % 4] == SPICE_CHANNEL_DISPLAY) {
        usleep(UPDATE_US); /* what it shows is compared when there is an update */
        run_rounds();
    }
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

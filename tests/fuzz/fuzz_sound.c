/*
 * What a client may send on its channels of sound, and what the card does meanwhile: the first byte chooses the channel, what the
 * client can do and where its session stands; the rest is its bytes, cut in two by a change of the card's streams.
 */
#include "spice/server/private.h"
#include "spice/server/sound_port.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 4

/* Of the first byte. */
#define SPEAKS  0x01 /* it is the channel RECORD */
#define ABLE    0x02
#define MONO    0x04
#define ODD     0x08 /* rate */
#define LEAVES  0x10
#define STOPS   0x20
#define MINI    0x80

static struct loop loop;
static struct input input;
static struct sound card;
static struct spice_server *server;

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    loop_init(&loop);
    input_init(&input);
    sound_init(&card, &loop);
    if (spice_server_create(&server, &loop, &(struct spice_config){.port = -1, .name = "fuzz"}, &input) ||
        spice_server_add_sound(server, &card))
        abort();
}

static int adopt(uint8_t type, uint32_t session, uint8_t flags)
{
    struct channel_params params = {.session = session, .type = type};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        abort();
    params.stream = stream_create_socket(ends[0], "unix");
    params.common_caps[0] = flags & MINI ? 1u << SPICE_COMMON_CAP_MINI_HEADER : 0;
    if (flags & ABLE)
        memset(params.caps, 0xff, sizeof(params.caps));
    server_adopt(server, &params, "");
    return ends[1];
}

static void run_rounds(void)
{
    for (int i = 0; i < ROUNDS; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void use_card(void)
{
    static int16_t samples[1000 * SOUND_MAX_CHANNELS];
    static unsigned turn;

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        samples[i] = (int16_t)(i * ++turn);
    if (card.format[SOUND_PLAYBACK].rate)
        sound_play(&card, samples, 1000);
    if (card.format[SOUND_RECORD].rate)
        sound_record(&card, samples, 1000);
    sound_set_volume(&card, turn & 1, &(struct sound_volume){.level = {(uint16_t)turn, 7}, .mute = turn & 2});
    run_rounds();
}

static void run_card(const struct sound_format *format)
{
    sound_run(&card, SOUND_PLAYBACK, format);
    sound_run(&card, SOUND_RECORD, format);
    run_rounds();
}

static void say(int fd, const uint8_t *data, size_t size)
{
    if (size && write(fd, data, size) < 0 && errno != EPIPE && errno != ECONNRESET)
        abort();
    run_rounds();
    use_card();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t flags = size ? data[0] : 0;
    struct sound_format format = {flags & ODD ? 44100 : 48000, flags & MONO ? 1 : 2};
    int main_fd, fd;

    if (!server)
        set_up();
    if (!size)
        return 0;
    main_fd = adopt(SPICE_CHANNEL_MAIN, 0, MINI);
    run_card(&format);
    fd = adopt(flags & SPEAKS ? SPICE_CHANNEL_RECORD : SPICE_CHANNEL_PLAYBACK, LIST_FIRST(&server->sessions)->id, flags);
    run_rounds();
    if (flags & LEAVES)
        session_leave(LIST_FIRST(&server->sessions));
    say(fd, data + 1, (size - 1) / 2);
    if (flags & STOPS)
        run_card(NULL);
    say(fd, data + 1 + (size - 1) / 2, size - 1 - (size - 1) / 2);
    run_card(NULL);
    close(fd);
    close(main_fd);
    run_rounds();
    if (!LIST_EMPTY(&server->sessions))
        abort();
    return 0;
}

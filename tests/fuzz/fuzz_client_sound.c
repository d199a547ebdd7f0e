/*
 * A hostile server on the client's channels of sound, and whatever times and sizes its buffer may meet.
 *
 * The first byte of the input chooses: the playback channel, the record channel with a user who has allowed it and speaks, or
 * the buffer alone. The rest is messages with mini headers, which come through a real socket and the client's own loop; or
 * steps of the buffer, four bytes each.
 */
#include "base/error.h"
#include "client/audio.h"
#include "client/playback_channel.h"
#include "client/record_channel.h"
#include "client/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the buffer --- */

static const uint32_t rates[] = {JITTER_LOWEST_RATE, 8000, 11025, 44100, 48000, 96000, JITTER_HIGHEST_RATE, 48000};

static void step(struct jitter *j, const uint8_t *s, uint64_t *now)
{
    static int16_t out[2048][2], in[2 * 4096];
    unsigned n = s[1] | (unsigned)s[2] << 8;

    *now += (uint64_t)s[3] * s[3] * 20000; /* up to 1.3 s */
    for (unsigned i = 0; i < 64; i++)
        in[(n + i * 61) % ARRAY_SIZE(in)] = (int16_t)(n * (i + 1) * 257);
    switch (s[0] % 8) {
    case 0:
        if (jitter_start(j, rates[n % 8], rates[n / 8 % 8]))
            abort();
        break;
    case 1:
        jitter_end(j);
        break;
    case 2:
        jitter_set_least(j, n);
        break;
    case 3:
        jitter_set_rate_out(j, rates[n % 8]);
        break;
    case 4:
    case 5:
        jitter_push(j, in, 1 + n % 2, n % 4096, *now);
        break;
    default:
        jitter_pull(j, out, n % ARRAY_SIZE(out), *now);
        break;
    }
    if (j->rate && (jitter_delay(j, *now) > 2 * JITTER_LONGEST_MS / 1000.0 || j->end > j->size || j->at > j->end))
        abort();
}

static void run_buffer(const uint8_t *data, size_t size)
{
    struct jitter j;
    uint64_t now = 1000000000;

    jitter_init(&j);
    for (; size >= 4 && size < 1500; data += 4, size -= 4)
        step(&j, data, &now);
    jitter_fini(&j);
}

/* --- the channels --- */

/* An address of the kernel's choice, for the channel to connect to. */
static int listen_anywhere(struct session *s)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    s->address_size = sizeof(s->address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&s->address, &s->address_size) < 0)
        abort();
    return fd;
}

static void stop(void *opaque)
{
    *(bool *)opaque = true;
}

/* What devices do meanwhile. */
static void use_devices(struct audio *a)
{
    static int16_t frames[480][2];

    speaker_pull(&a->speaker, frames, ARRAY_SIZE(frames), now_ns());
    microphone_hear(&a->microphone, (const int16_t(*)[2])frames, ARRAY_SIZE(frames));
}

static void serve(struct session *s, bool records, const uint8_t *data, size_t size)
{
    int listener = listen_anywhere(s), peer;
    struct channel *c;

    if ((records ? record_channel_open : playback_channel_open)(s, 0, &c))
        abort();
    TAILQ_INSERT_TAIL(&s->channels, c, entry);
    peer = accept(listener, NULL, NULL);
    if (peer < 0)
        abort();
    while (c->stream.connecting)
        uv_run(&s->loop->uv, UV_RUN_NOWAIT);
    c->link.state = LINK_DONE;
    c->link.mini_header = true;
    c->link.channel_caps = size % 2 ? 1u << SPICE_RECORD_CAP_OPUS : 0;
    for (size_t n; size; data += n, size -= n) {
        n = MIN(size, 700);
        (void)!send(peer, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        use_devices(s->audio);
        uv_run(&s->loop->uv, UV_RUN_NOWAIT);
    }
    shutdown(peer, SHUT_WR);
    while (!*(bool *)s->opaque)
        uv_run(&s->loop->uv, UV_RUN_ONCE);
    if (s->result && !s->reason[0])
        abort(); /* an end without words */
    close(peer);
    close(listener);
}

static void run_channel(bool records, const uint8_t *data, size_t size)
{
    static struct client_options options;
    struct loop loop;
    struct screen screen;
    struct audio audio;
    bool gone = false;
    struct session s = {.loop = &loop, .options = &options, .screen = &screen, .audio = &audio, .opaque = &gone,
                        .on_gone = stop, .linked = true};

    loop_init(&loop);
    screen_init(&screen);
    if (audio_init(&audio, NULL, MICROPHONE_ALLOWED))
        abort();
    audio.mute = true;
    TAILQ_INIT(&s.channels);
    uv_timer_init(&loop.uv, &s.timeout);
    s.timeout.data = &s;
    serve(&s, records, data, size);
    loop_fini(&loop);
    session_fini(&s);
    audio_fini(&audio);
    screen_fini(&screen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 20000)
        return 0;
    if (data[0] % 3 == 2)
        run_buffer(data + 1, size - 1);
    else
        run_channel(data[0] % 3, data + 1, size - 1);
    return 0;
}

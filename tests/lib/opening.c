#include "tests/lib/opening.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <spice/vd_agent.h>

#include <cmocka.h>

#define QUIET_MS 200 /* who says nothing for so long has said all */

const unsigned opening_channels[4] = {SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY, SPICE_CHANNEL_INPUTS, SPICE_CHANNEL_CURSOR};

/* What stock clients say first. */
static const struct spice_msgc_ack_sync sync = {1};
static const struct spice_msgc_main_mouse_mode_request mouse = {SPICE_MOUSE_MODE_SERVER};
static const struct spice_msg_main_agent_tokens tokens = {10};
static const VDAgentMessage question = {.protocol = VD_AGENT_PROTOCOL, .type = VD_AGENT_ANNOUNCE_CAPABILITIES};
static const struct spice_data agent = {sizeof(question), (const uint8_t *)&question};
static const struct spice_msgc_display_init init = {1, PEER_CACHE_PIXELS, 1, PEER_GLZ_PIXELS};
static const struct spice_msgc_display_preferred_compression compression = {SPICE_IMAGE_COMPRESSION_LZ4};
static const struct spice_msgc_inputs_key key = {0x1e};
static const struct spice_msgc_inputs_mouse_motion motion = {1, 1, 0};

static const struct first {
    unsigned channel, id;
    const void *message;
} firsts[] = {
    {SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_ATTACH_CHANNELS, NULL},
    {SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &mouse},
    {SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_START, &tokens},
    {SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_DATA, &agent},
    {SPICE_CHANNEL_DISPLAY, SPICE_MSGC_DISPLAY_INIT, &init},
    {SPICE_CHANNEL_DISPLAY, SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION, &compression},
    {SPICE_CHANNEL_DISPLAY, SPICE_MSGC_ACK_SYNC, &sync},
    {SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_DOWN, &key},
    {SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_UP, &key},
    {SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion},
    {SPICE_CHANNEL_CURSOR, SPICE_MSGC_ACK_SYNC, &sync},
    {SPICE_CHANNEL_CURSOR, SPICE_MSGC_ACK, NULL},
};

struct said {
    int fd;
    size_t left;
};

static bool say(struct said *s, const void *data, size_t size)
{
    size_t n = MIN(size, s->left);

    s->left -= n;
    return peer_write(s->fd, data, n) && n == size;
}

static bool say_link(struct said *s, const struct peer *p, uint32_t session)
{
    struct writer w;
    bool ok;

    writer_init(&w, 1000);
    peer_link_message(p, 0, p->channel == SPICE_CHANNEL_MAIN ? 0 : session, &w);
    ok = say(s, w.data, w.size);
    writer_fini(&w);
    return ok;
}

static bool say_ticket(struct said *s, const char *password)
{
    static const uint8_t way[4] = {SPICE_COMMON_CAP_AUTH_SPICE};
    struct spice_link_reply reply;
    uint8_t ticket[128], result[4];

    if (!peer_hear_reply(s->fd, &reply) || !say(s, way, sizeof(way)))
        return false;
    peer_encrypt(&reply, password, ticket);
    return say(s, ticket, sizeof(ticket)) && peer_read_bytes(s->fd, result, sizeof(result)) &&
           load_le32(result) == SPICE_LINK_ERR_OK;
}

static bool say_first(struct said *s, struct peer *p)
{
    struct writer w;
    bool ok = true;

    for (size_t i = 0; i < ARRAY_SIZE(firsts) && ok; i++)
        if (firsts[i].channel == p->channel) {
            writer_init(&w, 1000);
            peer_message(p, firsts[i].id, firsts[i].message, &w);
            ok = say(s, w.data, w.size);
            writer_fini(&w);
        }
    return ok;
}

bool opening_say(struct peer *p, uint32_t session, const char *password, size_t limit)
{
    struct said s = {p->fd, limit};

    return say_link(&s, p, session) && say_ticket(&s, password) && say_first(&s, p);
}

bool opening_hear(struct peer *p, size_t count)
{
    struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
    uint8_t bytes[256];

    while (count) {
        ssize_t n = poll(&poll_fd, 1, QUIET_MS) == 1 ? recv(p->fd, bytes, MIN(count, sizeof(bytes)), 0) : 0;

        if (n <= 0)
            return false;
        count -= (size_t)n;
    }
    return true;
}

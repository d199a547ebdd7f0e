/* The server as the rest of the machine sees it (server.h), and where linked streams become channels. */
#include "base/error.h"
#include "base/listener.h"
#include "base/log.h"
#include "spice/server/agent_port.h"
#include "spice/server/auth_sasl.h"
#include "spice/server/port_channel.h"
#include "spice/server/private.h"
#include "spice/server/sound_port.h"
#include "spice/server/tls.h"
#include "spice/server/web.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

uint32_t server_mm_time(void)
{
    return uv_hrtime() / 1000000;
}

/* --- sandbox --- */

static const int channel_calls[] = {SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom),
                                    SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
                                    SCMP_SYS(shutdown), SANDBOX_END};
static const struct sandbox_ioctl channel_ioctls[] = {SANDBOX_IOCTL(SIOCOUTQ), SANDBOX_IOCTL(FIONREAD), {0}};
const struct sandbox_calls spice_channel_sandbox = {
    .name = "SPICE channels", .calls = channel_calls, .ioctls = channel_ioctls};

static const int link_calls[] = {SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
                                 SANDBOX_END};
const struct sandbox_calls spice_link_sandbox = {.name = "SPICE clients that come", .calls = link_calls};

/* --- channels --- */

/* Who answers later is not on this host: a tunnel has its address. A busy one takes milliseconds to make its ticket. */
#define LOCAL_NS 20000000

/* Unless the configuration has others. */
#define PATIENCE_MS  30000
#define MOVE_TIME_MS 10000

/* Whether a session with a number of another server's may come; once more, if it was about to: its first try was called off. */
static bool may_arrive(const struct spice_server *server, const struct session *session)
{
    return server->expects && (!session || session->arriving);
}

/* The port that is a channel's, NULL: there is none. */
static struct guest_port *find_port(const struct spice_server *server, const struct channel_params *p)
{
    for (size_t i = 0; i < SERVER_MAX_PORTS && server->guest_ports[i]; i++) {
        struct spice_channel_id c = guest_port_channel(server->guest_ports[i]);

        if (c.type == p->type && c.id == p->id)
            return server->guest_ports[i];
    }
    return NULL;
}

unsigned server_check_channel(struct spice_server *server, const struct channel_params *p)
{
    const struct session *session = session_find(server, p->session);
    bool here;

    if (p->type == SPICE_CHANNEL_MAIN) {
        if (p->session && !may_arrive(server, session))
            return SPICE_LINK_ERR_BAD_CONNECTION_ID;
        return server->session_count < SERVER_MAX_SESSIONS ? SPICE_LINK_ERR_OK
                                                           : SPICE_LINK_ERR_ERROR;
    }
    if (!session || session->view_only != p->view_only)
        return SPICE_LINK_ERR_BAD_CONNECTION_ID;
    if (p->type == SPICE_CHANNEL_DISPLAY || p->type == SPICE_CHANNEL_CURSOR)
        here = p->id < SERVER_MAX_DISPLAYS && server->ports[p->id];
    else if (p->type == SPICE_CHANNEL_PORT || p->type == SPICE_CHANNEL_WEBDAV)
        here = find_port(server, p) && session == session_owner(server);
    else if (p->type == SPICE_CHANNEL_PLAYBACK || p->type == SPICE_CHANNEL_RECORD)
        here = server->sound && p->id == 0 && (p->type == SPICE_CHANNEL_PLAYBACK || !p->view_only);
    else
        here = p->type == SPICE_CHANNEL_INPUTS && p->id == 0;
    return here ? SPICE_LINK_ERR_OK : SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE;
}

static void adopt_inputs(struct session *session, const struct channel_params *params)
{
    if (session->inputs)
        channel_close(session->inputs);
    inputs_channel_create(session, params);
}

/* The check was made when the link's last reply was queued, just before: little has changed since. */
void server_adopt(struct spice_server *server, const struct channel_params *params, const char *password)
{
    struct session *session = session_find(server, params->session);
    struct channel_params p = *params;

    p.patience = server->patience;
    p.arriving = session ? session->arriving : p.session != 0;
    if (session && session->round_trip > LOCAL_NS)
        params->stream->local = false;
    if (params->type == SPICE_CHANNEL_MAIN && session && session->arriving) {
        channel_close(session->main);
        session = NULL;
        p.arriving = true;
    }
    if ((params->type == SPICE_CHANNEL_MAIN) == (session != NULL))
        stream_close(params->stream);
    else if (params->type == SPICE_CHANNEL_MAIN)
        session_start(server, &p, password);
    else if (params->type == SPICE_CHANNEL_INPUTS)
        adopt_inputs(session, &p);
    else if (find_port(server, params))
        guest_port_adopt(find_port(server, params), &p);
    else if (params->type == SPICE_CHANNEL_PLAYBACK || params->type == SPICE_CHANNEL_RECORD)
        sound_port_adopt(server->sound, &p);
    else {
        p.first = params->type == SPICE_CHANNEL_DISPLAY && !session->has_display;
        session->has_display |= p.first;
        display_port_adopt(server->ports[params->id], &p);
    }
}

void spice_server_accept(struct spice_server *server, int fd, const char *peer)
{
    struct stream *stream = stream_create_socket(fd, peer);

    if (stream)
        link_start(server, stream);
}

/* --- what input devices say --- */

/* Of each session's main channel. Sending may end the connection, and the session with it. */
static void for_each_main(struct spice_server *server, void (*fn)(struct channel *ch))
{
    struct session *session, *next;

    for (session = LIST_FIRST(&server->sessions); session; session = next) {
        next = LIST_NEXT(session, entry);
        if (session->main)
            fn(session->main);
    }
}

/* An absolute pointer is one display's: it cannot reach others. The guest's agent knows where each is. */
bool server_can_point(const struct spice_server *server)
{
    return agent_port_can_point(server->agent) ||
           (input_has_absolute(server->input) && server_display_count(server) <= 1);
}

void server_pointing_changed(struct spice_server *server)
{
    server_set_mouse_mode(server, server_can_point(server));
}

void server_set_mouse_mode(struct spice_server *server, bool client)
{
    server->client_mouse = client;
    for_each_main(server, main_channel_send_mouse_mode);
}

static void absolute_changed(struct input_listener *listener, bool present UNUSED)
{
    server_pointing_changed(container_of(listener, struct spice_server, input_listener));
}

/* --- the agent --- */

bool server_has_agent(const struct spice_server *server)
{
    return server->takes_heads || agent_port_is_open(server->agent);
}

void server_agent_changed(struct spice_server *server)
{
    struct session *owner = session_owner(server);

    if (owner && owner->main)
        main_channel_send_agent(owner->main);
}

void server_layout_changed(struct spice_server *server)
{
    bool takes = server_takes_heads(server);

    if (server->takes_heads == takes)
        return;
    server->takes_heads = takes;
    if (!agent_port_is_open(server->agent)) /* that one stays, whatever it is told of monitors */
        server_agent_changed(server);
}

static void leds_changed(struct input_listener *listener, unsigned leds)
{
    struct spice_server *server = container_of(listener, struct spice_server, input_listener);
    struct session *session;

    LIST_FOREACH (session, &server->sessions, entry)
        if (session->inputs)
            inputs_channel_send_leds(session->inputs, leds);
}

/* --- life --- */

static int parse_compression(const char *text, uint8_t *compression)
{
    static const struct {
        const char *name;
        uint8_t value;
    } names[] = {{"auto", SPICE_IMAGE_COMPRESSION_AUTO_GLZ},
                 {"auto_glz", SPICE_IMAGE_COMPRESSION_AUTO_GLZ},
                 {"auto_lz", SPICE_IMAGE_COMPRESSION_AUTO_LZ},
                 {"off", SPICE_IMAGE_COMPRESSION_OFF},
                 {"glz", SPICE_IMAGE_COMPRESSION_GLZ},
                 {"lz", SPICE_IMAGE_COMPRESSION_LZ},
                 {"quic", SPICE_IMAGE_COMPRESSION_QUIC},
                 {"lz4", SPICE_IMAGE_COMPRESSION_LZ4}};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(text ? text : "auto", names[i].name)) {
            *compression = names[i].value;
            return 0;
        }
    return fail(-EINVAL, "SPICE image compression '%s' is unknown; use auto_glz, auto_lz, glz, lz, quic, lz4 or off",
                text);
}

static uint8_t codec_named(const char *name, size_t size)
{
    static const struct {
        const char *name;
        uint8_t codec;
    } names[] = {{"vp8", SPICE_VIDEO_CODEC_TYPE_VP8},
                 {"h264", SPICE_VIDEO_CODEC_TYPE_H264},
                 {"mjpeg", SPICE_VIDEO_CODEC_TYPE_MJPEG}};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i].name) == size && !memcmp(names[i].name, name, size))
            return names[i].codec;
    return 0;
}

/* Names with commas or semicolons between them. */
static int parse_codecs(const char *text, uint8_t codecs[SERVER_MAX_CODECS])
{
    size_t count = 0;

    for (const char *at = text ? text : "vp8,h264,mjpeg"; *at; count++) {
        size_t size = strcspn(at, ",;");
        uint8_t codec = codec_named(at, size);

        if (!codec || count == SERVER_MAX_CODECS)
            return fail(-EINVAL, "'%s' is no list of video codecs; there are vp8, h264 and mjpeg", text);
        codecs[count] = codec;
        at += size + (at[size] != '\0');
    }
    return 0;
}

static int copy_text(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

static int copy_password(char to[SPICE_MAX_PASSWORD_LENGTH + 1], const char *password)
{
    if (strlen(password) > SPICE_MAX_PASSWORD_LENGTH || !*password)
        return fail(-EINVAL, "a SPICE password must have 1 to %d bytes", SPICE_MAX_PASSWORD_LENGTH);
    explicit_bzero(to, SPICE_MAX_PASSWORD_LENGTH + 1);
    strcpy(to, password);
    return 0;
}

static int set_password(struct spice_server *server, const char *password)
{
    int err = copy_password(server->password, password);

    if (!err) {
        server->asks = true;
        server->expires = INT64_MAX;
    }
    return err;
}

static int configure(struct spice_server *server, const struct spice_config *config)
{
    int err = parse_compression(config->image_compression, &server->compression);

    server->jpeg = config->jpeg;
    server->zlib = config->zlib;
    server->streaming = config->streaming;
    server->patience = config->patience < 0 ? 0 : config->patience ? (unsigned)config->patience : PATIENCE_MS;
    server->move_time = config->move_time ? config->move_time : MOVE_TIME_MS;
    if (!err)
        err = parse_codecs(config->video_codecs, server->video_codecs);
    if (err)
        return err;
    memcpy(server->uuid, config->uuid, sizeof(server->uuid));
    server->plain_channels = config->plain_channels;
    server->agent_filter = config->agent_filter;
    server->compress_sound = !config->raw_sound;
    server->agent_mouse = !config->no_agent_mouse;
    server->expires = INT64_MAX;
    err = config->password ? set_password(server, config->password) : 0;
    if (!err && config->view_password && !config->password)
        err = fail(-EINVAL, "SPICE has a password for those who look; it needs one for those who do more");
    if (!err && config->view_password)
        err = copy_password(server->view_password, config->view_password);
    if (!err)
        err = copy_text(&server->name, config->name);
    server->sasl = config->sasl;
    if (!err && config->sasl)
        err = auth_sasl_init(config->sasl_database);
    if (!err && config->tls_certificate)
        err = tls_create(&server->tls, config->tls_certificate, config->tls_key);
    server->state = config->state;
    server->state_opaque = config->state_opaque;
    if (!err && config->web_folder)
        err = web_site_create(&server->site, config->web_folder, config->name);
    return err;
}

static void on_connection(void *opaque, int fd, const char *peer)
{
    spice_server_accept(opaque, fd, peer);
}

/* port: as in struct spice_config; becomes the one that is listened on. */
static int listen_tcp(struct spice_server *server, const struct spice_config *config, unsigned number, int *port)
{
    const char *address = config->listen ? config->listen : "127.0.0.1";
    int err;

    if (*port < 0)
        return 0;
    err = listener_create_tcp(&server->listeners[number], server->loop, "SPICE", address, port, on_connection, server);
    *port = err ? -1 : *port;
    return err;
}

static int listen_all(struct spice_server *server, const struct spice_config *config)
{
    int err;

    server->port = config->port;
    server->tls_port = server->tls ? config->tls_port : -1;
    server->web_port = server->site ? config->web_port : -1;
    err = listen_tcp(server, config, 0, &server->port);
    if (!err)
        err = listen_tcp(server, config, 1, &server->tls_port);
    if (!err)
        err = listen_tcp(server, config, 2, &server->web_port);
    if (!err && config->unix_path)
        err = listener_create_unix(&server->listeners[3], server->loop, "SPICE", config->unix_path, on_connection,
                                   server);
    return err;
}

int spice_server_create(struct spice_server **out, struct loop *loop,
                        const struct spice_config *config, struct input *input)
{
    struct spice_server *server = calloc(1, sizeof(*server));
    int err;

    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->input = input;
    TAILQ_INIT(&server->links);
    server->input_listener =
        (struct input_listener){.leds = leds_changed, .absolute = absolute_changed};
    input_add_listener(input, &server->input_listener);
    err = configure(server, config);
    if (!err)
        server->keys = ticket_keys_create(loop, link_keys_ready, server);
    if (!err)
        err = server->keys ? listen_all(server, config) : -ENOMEM;
    if (err) {
        spice_server_destroy(server);
        return err;
    }
    *out = server;
    return 0;
}

int spice_server_add_display(struct spice_server *server, struct display *display)
{
    if (display->id >= SERVER_MAX_DISPLAYS)
        return fail(-E2BIG, "SPICE serves at most %d displays", SERVER_MAX_DISPLAYS);
    if (server->ports[display->id])
        return fail(-EEXIST, "SPICE already serves a display %u", display->id);
    server->ports[display->id] = display_port_create(server, display);
    if (!server->ports[display->id])
        return -ENOMEM;
    server->client_mouse = server_can_point(server);
    return 0;
}

static int add_agent(struct spice_server *server, struct chardev **port)
{
    if (server->agent)
        return fail(-EEXIST, "SPICE has a port '%s' already", SPICE_AGENT_PORT);
    server->agent = agent_port_create(server);
    if (!server->agent)
        return -ENOMEM;
    *port = agent_port_chardev(server->agent);
    return 0;
}

int spice_server_add_port(struct spice_server *server, const char *name, struct chardev **port)
{
    unsigned i = 0;

    if (strcmp(name, SPICE_AGENT_PORT) == 0)
        return add_agent(server, port);
    for (; i < SERVER_MAX_PORTS && server->guest_ports[i]; i++)
        if (strcmp(name, guest_port_name(server->guest_ports[i])) == 0)
            return fail(-EEXIST, "SPICE has a port '%s' already", name);
    if (i == SERVER_MAX_PORTS)
        return fail(-ENOSPC, "SPICE serves at most %d ports", SERVER_MAX_PORTS);
    server->guest_ports[i] = guest_port_create(server->loop, name, (uint8_t)i);
    if (!server->guest_ports[i])
        return -ENOMEM;
    *port = guest_port_chardev(server->guest_ports[i]);
    return 0;
}

int spice_server_add_sound(struct spice_server *server, struct sound *sound)
{
    if (server->sound)
        return fail(-EEXIST, "SPICE serves one sound card, and has it");
    server->sound = sound_port_create(server->loop, sound, server->compress_sound);
    return server->sound ? 0 : -ENOMEM;
}

int spice_server_set_password(struct spice_server *server, const char *password, enum ticket_connected connected)
{
    int err;

    if (connected == TICKET_FAIL && server->session_count)
        return fail(-EBUSY, "a viewer is connected");
    err = set_password(server, password);
    if (!err && connected == TICKET_DISCONNECT)
        session_close_all(server);
    if (!err)
        grace_clear(&server->grace);
    if (!err && connected != TICKET_KEEP)
        session_forget_passwords(server);
    return err;
}

int spice_server_expire_password(struct spice_server *server, int64_t when)
{
    if (!server->asks)
        return fail(-EINVAL, "there is no password that could expire");
    server->expires = when;
    if (when <= time(NULL))
        session_forget_passwords(server);
    return 0;
}

int spice_server_port(const struct spice_server *server)
{
    return server->port;
}

int spice_server_tls_port(const struct spice_server *server)
{
    return server->tls_port;
}

int spice_server_web_port(const struct spice_server *server)
{
    return server->web_port;
}

void spice_server_destroy(struct spice_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(server->listeners); i++)
        listener_destroy(server->listeners[i]);
    link_close_all(server);
    migrate_destroy(server->migration);
    session_close_all(server);
    for (size_t i = 0; i < ARRAY_SIZE(server->ports); i++)
        display_port_destroy(server->ports[i]);
    agent_port_destroy(server->agent);
    sound_port_destroy(server->sound);
    for (size_t i = 0; i < ARRAY_SIZE(server->guest_ports); i++)
        guest_port_destroy(server->guest_ports[i]);
    ticket_keys_destroy(server->keys);
    tls_destroy(server->tls);
    web_site_destroy(server->site);
    input_remove_listener(server->input, &server->input_listener);
    explicit_bzero(server->password, sizeof(server->password));
    explicit_bzero(server->view_password, sizeof(server->view_password));
    grace_clear(&server->grace);
    free(server->name);
    free(server);
}

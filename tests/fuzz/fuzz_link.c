/*
 * What strangers may say before they are known: the first byte chooses how they come, the rest is what they say. The server
 * asks for a password or SASL, has TLS and pages.
 */
#include "base/log.h"
#include "spice/server/private.h"
#include "tests/lib/websocket_tunnel.h"
#include "vmm/config.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS   6
#define MAX_SIZE 8192

enum way { CLEAR, UNIX, INSIDE_TLS, WEBSOCKET_FRAMES, INSIDE_WEBSOCKET, REQUEST, WAYS };

static struct loop loop;
static struct input input;
static struct display display;
static struct spice_server *server;
static SSL_CTX *client;

/* One user, who is "user", so that SASL has something to ask; nobody where saslpasswd2 is not installed. */
static const char *make_database(const char *folder)
{
    static char path[64], command[sizeof(path) + 80];
    int fd;

    snprintf(path, sizeof(path), "%s/users", folder);
    snprintf(command, sizeof(command), "echo password | saslpasswd2 -f %s -p -a minivm -c user 2>/dev/null", path);
    if (system(command) || (fd = open(path, O_RDONLY)) < 0)
        return "/dev/null";
    unlink(path);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

static void set_up(void)
{
    char folder[] = "/tmp/fuzz-link-XXXXXX", web[sizeof(folder) + 16];
    static struct certificate certificate;
    struct ticket_key *key;
    struct spice_config config = {.port = -1, .tls_port = -1, .web_port = -1, .password = "password", .sasl = true,
                                  .tls_certificate = certificate.server, .tls_key = certificate.key, .web_folder = web};

    log_set_level(LOG_ERROR);
    if (!mkdtemp(folder) || setenv("XDG_DATA_HOME", folder, 1) || certificate_find(&certificate, NULL))
        abort();
    config.sasl_database = make_database(folder);
    snprintf(web, sizeof(web), "%s/minivm", folder); /* any folder: there are no pages but the first */
    loop_init(&loop);
    input_init(&input);
    display_init(&display, &loop, 0, NULL, NULL);
    if (spice_server_create(&server, &loop, &config, &input) || spice_server_add_display(server, &display))
        abort();
    while (!(key = ticket_keys_take(server->keys, false)))
        uv_run(&loop.uv, UV_RUN_ONCE);
    ticket_key_put(key);
    client = SSL_CTX_new(TLS_client_method());
    unlink(certificate.authority);
    unlink(certificate.server);
    unlink(certificate.key);
    snprintf(web, sizeof(web), "%s/minivm/tls", folder);
    rmdir(web);
    *strrchr(web, '/') = 0;
    rmdir(web);
    rmdir(folder);
}

static void run_rounds(void)
{
    for (int i = 0; i < ROUNDS; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void say(int fd, const void *data, size_t size)
{
    if (size && send(fd, data, size, MSG_NOSIGNAL) < 0) /* the server may have hung up */
        return;
    run_rounds();
}

static void say_inside_tls(int fd, const void *data, size_t size)
{
    SSL *ssl = SSL_new(client);

    SSL_set_fd(ssl, fd);
    for (int i = 0; i < 10 && SSL_connect(ssl) != 1; i++)
        run_rounds();
    if (size && SSL_is_init_finished(ssl))
        SSL_write(ssl, data, (int)size);
    run_rounds();
    SSL_free(ssl);
}

static void begin_websocket(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    say(fd, request, sizeof(request) - 1);
}

static void say_inside_websocket(int fd, const uint8_t *data, size_t size)
{
    uint8_t frame[MAX_SIZE + 14];
    size_t piece = size ? data[0] % 64 + 1 : 1;

    begin_websocket(fd);
    for (size_t at = 1; at < size; at += piece)
        say(fd, frame, websocket_frame(frame, 0x82, data + at, MIN(piece, size - at)));
}

static void come(enum way way, int fd, const uint8_t *data, size_t size)
{
    switch (way) {
    case INSIDE_TLS:
        say_inside_tls(fd, data, size);
        break;
    case WEBSOCKET_FRAMES:
        begin_websocket(fd);
        say(fd, data, size);
        break;
    case INSIDE_WEBSOCKET:
        say_inside_websocket(fd, data, size);
        break;
    case REQUEST:
        say(fd, "GET /", 5);
        say(fd, data, size);
        break;
    default:
        say(fd, data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum way way = size ? data[0] % WAYS : CLEAR;
    int ends[2];

    if (!server)
        set_up();
    if (!size || size > MAX_SIZE || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        return 0;
    spice_server_accept(server, ends[0], way == CLEAR || way == INSIDE_TLS ? "127.0.0.1:1" : "unix");
    come(way, ends[1], data + 1, size - 1);
    close(ends[1]);
    run_rounds();
    memset(&server->guesses, 0, sizeof(server->guesses));
    if (server->link_count || !LIST_EMPTY(&server->sessions))
        abort(); /* nobody can have got in */
    return 0;
}

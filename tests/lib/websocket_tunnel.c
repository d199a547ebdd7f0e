#include "tests/lib/websocket_tunnel.h"

#include "base/bytes.h"
#include "tests/lib/spice_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_PIECE 16384

struct tunnel {
    struct peer_tunnel base;
    struct websocket_wish wish;
    size_t sent;
};

size_t websocket_frame(uint8_t *to, uint8_t opcode, const void *data, size_t size)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t head = 2;

    to[0] = opcode;
    if (size < 126) {
        to[1] = 0x80 | size;
    } else {
        to[1] = 0x80 | 126;
        store_be16(to + 2, size);
        head = 4;
    }
    memcpy(to + head, mask, 4);
    for (size_t i = 0; i < size; i++)
        to[head + 4 + i] = ((const uint8_t *)data)[i] ^ mask[i % 4];
    return head + 4 + size;
}

static bool send_bytes(struct tunnel *t, const uint8_t *data, size_t size)
{
    size_t n = t->wish.cut ? MIN(size, t->wish.cut - t->sent) : size;

    t->sent += n;
    return peer_write(t->base.socket, data, n) && n == size;
}

static bool send_frame(struct tunnel *t, uint8_t opcode, const void *data, size_t size)
{
    uint8_t frame[MAX_PIECE + 14];

    return send_bytes(t, frame, websocket_frame(frame, opcode, data, size));
}

/* One message, in as many frames as the wish has it. */
static bool take(struct peer_tunnel *base)
{
    struct tunnel *t = container_of(base, struct tunnel, base);
    uint8_t data[MAX_PIECE];
    ssize_t size = recv(t->base.clear, data, sizeof(data), 0), at = 0;
    bool ok = size > 0;

    while (ok && at < size) {
        ssize_t n = t->wish.frame ? MIN((ssize_t)t->wish.frame, size - at) : size;

        if (t->wish.ping)
            ok = send_frame(t, 0x89, "are you there?", 14);
        ok = ok && send_frame(t, (at ? 0 : 2) | (at + n == size ? 0x80 : 0), data + at, n);
        at += n;
    }
    return ok;
}

/* Whole frames, which a server does not mask. */
static bool bring(struct peer_tunnel *t)
{
    uint8_t head[10], *data;
    uint64_t size;
    bool ok;

    if (!peer_read_bytes(t->socket, head, 2))
        return false;
    size = head[1];
    if (size == 126 && peer_read_bytes(t->socket, head + 2, 2))
        size = load_be16(head + 2);
    else if (size == 127 && peer_read_bytes(t->socket, head + 2, 8))
        size = load_be64(head + 2);
    data = malloc(size + 1);
    ok = peer_read_bytes(t->socket, data, size);
    if (head[0] == 0x8a) /* a pong */
        ok = ok && size == 14 && memcmp(data, "are you there?", 14) == 0;
    else
        ok = ok && head[0] == 0x82 && peer_write(t->clear, data, size);
    free(data);
    return ok;
}

static void end(struct peer_tunnel *t)
{
    free(container_of(t, struct tunnel, base));
}

int websocket_open(int port)
{
    static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                   "Sec-WebSocket-Protocol: binary\r\n\r\n";
    char request[512], answer[sizeof(accepted)] = "";
    int fd = peer_connect(port);

    snprintf(request, sizeof(request),
             "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Protocol: binary\r\n\r\n",
             port);
    assert_true(peer_write(fd, request, strlen(request)));
    assert_true(peer_read_bytes(fd, answer, sizeof(accepted) - 1));
    assert_string_equal(answer, accepted);
    return fd;
}

int websocket_tunnel(int port, const struct websocket_wish *wish)
{
    struct tunnel *t = calloc(1, sizeof(*t));

    *t = (struct tunnel){{.socket = websocket_open(port), .bring = bring, .take = take, .end = end}, *wish};
    return peer_tunnel_start(&t->base);
}

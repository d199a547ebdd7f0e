/* websocket_tunnel.h - a client's end of a websocket: a thread that takes bytes from a socket and brings answers back. */
#ifndef TESTS_LIB_WEBSOCKET_TUNNEL_H
#define TESTS_LIB_WEBSOCKET_TUNNEL_H

#include "base/base.h"

struct websocket_wish {
    size_t frame; /* bytes of a message in each frame; 0: all that there are */
    bool ping;    /* before each frame, and in the middle of fragmented messages */
    size_t cut;   /* the connection ends when so many bytes of frames have been sent; 0: never */
};

/* The clear end. */
int websocket_tunnel(int port, const struct websocket_wish *wish);
/* A frame of opcode (0x80: the last of its message) in `to`, which has room for size + 14 bytes; its size. */
size_t websocket_frame(uint8_t *to, uint8_t opcode, const void *data, size_t size);
/* Ask for the upgrade; the socket when it was granted. */
int websocket_open(int port);

#endif

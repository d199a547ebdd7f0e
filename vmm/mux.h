/*
 * mux.h - several streams over one of bytes, between `minivm run` and the minivm inside a software host.
 *
 * The one is a virtio-serial port: a socket pair outside, a character device inside. A stream is two halves: bytes read
 * from a local descriptor go to the peer, bytes of the peer are written to one. Each half ends by itself, as in TCP. A
 * sender keeps at most MUX_WINDOW bytes on their way per stream, so a stream that nobody reads holds up no other.
 *
 * A stream of datagrams has no descriptors and no halves: each datagram is a frame of its own. One for which there is no
 * room is dropped, as on any network.
 *
 * Frames are little-endian: u16 stream, u8 type, u8 0, u32 size, then `size` bytes. Both ends are the same program, but
 * sizes and ids are checked all the same.
 *
 * Thread: the loop's. The callbacks must not destroy the mux. The program ignores SIGPIPE.
 */
#ifndef VMM_MUX_H
#define VMM_MUX_H

#include "base/loop.h"

#define MUX_WINDOW       KIB(256)
#define MUX_MAX_FRAME    KIB(64)
#define MUX_MAX_DATAGRAM 65507 /* bytes: as UDP over IPv4 */
#define MUX_MAX_STREAMS  1024

struct mux;

struct mux_ops {
    /* The peer opened stream `id`, for `what`: follow with mux_attach() or mux_close(), now or later. */
    void (*opened)(void *opaque, uint16_t id, const char *what);
    /* Both halves have ended; the id is free again. */
    void (*ended)(void *opaque, uint16_t id);
    void (*control)(void *opaque, uint32_t code, const uint8_t *data, size_t size);
    /* The connection itself has ended; nothing comes after this. */
    void (*lost)(void *opaque);
};

/* What a stream of datagrams is told. received() may close it. */
struct mux_datagram_ops {
    void (*received)(void *opaque, const uint8_t *data, size_t size);
    /* Nothing comes after this. Instead of mux_ops' ended(); mux_close() and mux_destroy() call it, too. */
    void (*ended)(void *opaque);
};

/* fd stays the caller's; it is made non-blocking. */
int mux_create(struct mux **mux, struct loop *loop, int fd, const struct mux_ops *ops,
               void *opaque);
void mux_destroy(struct mux *mux); /* NULL is fine; closes the streams' descriptors */

/*
 * Open a stream: what is read from rfd goes to the peer, what comes from it is written to wfd. The descriptors are the
 * mux's from here on, also on failure; they are made non-blocking and must differ (dup() a socket). -1: there is no
 * such half. The id, or -errno.
 */
int mux_open(struct mux *mux, const char *what, int rfd, int wfd);
/* Give a stream that the peer opened its descriptors, likewise. */
void mux_attach(struct mux *mux, uint16_t id, int rfd, int wfd);
/* Sees each byte read from a stream's rfd before the peer does; false: the bytes are not sent. */
void mux_set_filter(struct mux *mux, uint16_t id,
                    bool (*filter)(void *opaque, const uint8_t *data, size_t size));
/* Open a stream of datagrams. The id, or -errno: -EAGAIN if the connection is full. */
int mux_open_datagrams(struct mux *mux, const char *what, const struct mux_datagram_ops *ops, void *opaque);
/* What to do with such a stream of the peer's; in opened(). */
void mux_attach_datagrams(struct mux *mux, uint16_t id, const struct mux_datagram_ops *ops, void *opaque);
/* 0 or -errno, and then it is dropped: -EAGAIN if the window or the connection is full. */
int mux_send_datagram(struct mux *mux, uint16_t id, const void *data, size_t size);
/* End both halves at once. */
void mux_close(struct mux *mux, uint16_t id);

/* A message to the peer's control(); at most MUX_MAX_FRAME - 4 bytes. */
int mux_control(struct mux *mux, uint32_t code, const void *data, size_t size);

#endif

/* host.h - the server's end of SPICE channels, as little of it as a client needs. Whatever goes wrong ends the program. */
#ifndef TESTS_REFERENCE_HOST_H
#define TESTS_REFERENCE_HOST_H

#include "base/bytes.h"

/* A socket that listens on a free port of the loopback. */
int host_listen(int *port);
/* Let a channel link, whoever it is. */
int host_accept(int listener, uint8_t *channel_id);
void host_send(int fd, uint16_t type, const struct writer *w);
void host_send_words(int fd, uint16_t type, const uint32_t *words, size_t n);
/* Read and forget messages up to one of `type`. */
void host_wait(int fd, uint16_t type);
void host_put_words(struct writer *w, const uint32_t *words, size_t n);

#endif

/*
 * nested_datagram.h - UDP ports that lead into a software host.
 *
 * The outside has the port. Each address that sends to it becomes a flow: a stream of datagrams (mux.h), which inside ends
 * on a socket of its own, so that what comes back on it is for that address. A port has DATAGRAM_MAX_FLOWS at most; a new
 * one takes the place of the one idle longest. Whatever finds no room on its way is dropped.
 *
 * Thread: the loop's.
 */
#ifndef VMM_NESTED_DATAGRAM_H
#define VMM_NESTED_DATAGRAM_H

#include "vmm/mux.h"

#define DATAGRAM_MAX_FLOWS 32   /* all forwards together leave half of the mux's streams to others */
#define DATAGRAM_IDLE      300u /* seconds with nothing either way that end a flow (RFC 4787, 4.3) */

struct datagram_port;

/*
 * Outside: bind a UDP port of an IPv4 address; what comes waits. idle: seconds, DATAGRAM_IDLE outside of tests. Errors
 * come with fail_text().
 */
int datagram_port_create(struct datagram_port **port, struct loop *loop, const char *address,
                         uint16_t number, unsigned idle);
/* From here on it goes through the mux, which stays the caller's and must outlive the port. */
int datagram_port_start(struct datagram_port *port, struct mux *mux);
void datagram_port_destroy(struct datagram_port *port); /* NULL is fine */

/*
 * Inside: join the stream that the outside has opened for a flow with a connected UDP socket, which is the callee's from
 * here on, also on failure. Either ends with the stream. In the mux's opened().
 */
void datagram_flow_attach(struct mux *mux, struct loop *loop, uint16_t id, int fd);

#endif

/*
 * net_process.h - guests' networks in user space (libslirp) live in a process of their own: it has sockets, and nothing of the
 * machine; the machine's process has no sockets that it could open.
 */
#ifndef VMM_NET_PROCESS_H
#define VMM_NET_PROCESS_H

#include "backend/net.h"
#include "vmm/config.h"
#include "vmm/jail.h"

extern const struct sandbox_calls net_process_sandbox;

/* Make it, if this configuration may come to want a network. Once, before there are threads. */
int net_process_start(const struct vm_config *config, const struct jail *jail);
/* The machine is set up: it confines itself too. */
void net_process_seal(void);

/* As net_user_create(), there, or in this process if none was started. In the loop's thread. */
int net_process_create(struct net **net, struct loop *loop, const struct net_user_options *options);

#endif

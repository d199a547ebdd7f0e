/*
 * nested.h - a machine inside a software host, for computers whose CPU or KVM cannot run guests.
 *
 * `minivm run` starts QEMU, which emulates a PC with virtualisation (AMD SVM); that boots Debian's kernel (build/host)
 * and runs this same program again, with the same arguments and --relayed, on the kvm-amd inside. The user sees one
 * command. Outside stay: the images' locks, the listening sockets, the terminal, the signals. In between goes one
 * virtio-serial port (mux.h); folders with disks and output files are shared by 9p, under their own names.
 *
 * Control messages (mux_control), outside to inside: START, once: strings, each ended by a NUL, the first letter says
 * what it is: m a share to mount, "TAG ro|rw PATH"; a an address to listen on; d the working directory; s "1" if the
 * serial port has a stream of its own; r one word of the command line. SIGNAL: u32 number. Inside to outside: EXIT, u32
 * exit status. LOCK, and back LOCKED: relay_lock.h's requests and answers.
 *
 * Streams are opened by the outside: "stdin", "stdout", "stderr"; "serial"; "spice PEER" for a viewer;
 * "control" for somebody at --control; "tcp HOST PORT" for a forwarded port, "udp HOST PORT" for an address that sends to
 * one (nested_datagram.h).
 */
#ifndef VMM_NESTED_H
#define VMM_NESTED_H

#include "vmm/config.h"

#define NESTED_PORT   "/dev/minivm" /* guest/host/init makes it */
#define NESTED_SERIAL "/.minivm/serial"
#define NESTED_ENDS   "/.minivm/port-" /* and its number among --port */
#define NESTED_TLS    ".minivm/tls" /* the certificate, from the root */

enum nested_control { NESTED_START, NESTED_SIGNAL, NESTED_RUNNING, NESTED_EXIT, NESTED_LOCK, NESTED_LOCKED };

/*
 * Run the machine of `config`, which argc and argv of the run command said; the exit status. Messages are logged.
 */
extern const struct sandbox_calls nested_sandbox;
int nested_run(int argc, char **argv, const struct vm_config *config);

/* Inside: `minivm software-host`. */
int nested_agent_main(void);

/* Where the kernel and the initial RAM disk of the software host are: the folder, or NULL if they are not built. */
const char *nested_host_folder(char *path, size_t size);

#endif

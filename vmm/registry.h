/*
 * registry.h - this user's running machines, by name, and how viewers reach them: a folder of files that remote-viewer(1)
 * understands, NAME.vv in $XDG_RUNTIME_DIR/minivm, or /tmp/minivm-UID.
 *
 * A file has the password, and is its owner's alone. It is locked as long as the machine runs, so one that was left behind
 * is known as such.
 *
 * Thread: the main one. Errors come with fail_text().
 */
#ifndef VMM_REGISTRY_H
#define VMM_REGISTRY_H

#include "vmm/config.h"

struct registry;

/* Ports as they are listened on, -1 for none; password "": none is asked for. -EBUSY: another machine has the name. */
int registry_enter(struct registry **entry, const struct vm_config *config, int port, int tls_port, const char *password);
void registry_leave(struct registry *entry); /* NULL is fine */

/* The file of a machine that runs, open for reading; or -errno. NULL as a name is -EINVAL. */
int registry_open(const char *name, char path[PATH_MAX]);

/* The commands `vv` and `list`. */
int vv_main(int argc, char **argv);
int list_main(int argc, char **argv);

#endif

/*
 * vv.h - .vv files: what a viewer must know of a server, as remote-viewer(1) documents them.
 *
 * Lines KEY=VALUE below [virt-viewer]; \n, \t, \s, \r and \\ stand for what they do in GLib's key files. What the
 * command line says holds against the file.
 */
#ifndef CLIENT_VV_H
#define CLIENT_VV_H

#include "client/options.h"

#define VV_MAX_SIZE (64 * 1024) /* of a file */

/* Read and take over; removes the file if it says so. -errno with fail_text(). */
int vv_read(struct client_options *o, const char *path);
/* The text of one. *delete_it: it wants to be removed. */
int vv_parse(struct client_options *o, const char *text, size_t size, bool *delete_it);

#endif

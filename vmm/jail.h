/*
 * jail.h - the walls around a machine's process as a whole, where the kernel permits them: name spaces, an empty root, and a
 * user without rights if it was started by root. What a thread may call is base/sandbox.h's.
 *
 * Thread: the main one, before there are others, but for jail_close().
 */
#ifndef VMM_JAIL_H
#define VMM_JAIL_H

#include "base/base.h"

#include <sys/types.h>

struct jail {
    bool own_pids, own_mounts; /* name spaces that there are */
    bool root_is_empty;
    bool drops_user; /* to: */
    uid_t uid;
    gid_t gid;
    gid_t also; /* a group that the user is in besides; gid: none */
    bool keeps_root; /* of the host's files */
};

/* Whom to become if we are root: a user's name; NULL: nobody. 0 or -errno with fail_text(). */
int jail_init(struct jail *jail, const char *user);
/* The machine goes on opening files, that one among them; NULL: any. */
void jail_keep_root(struct jail *jail, const char *file);
/* In the parent: the next child is the first of a name space of processes. */
void jail_before_fork(struct jail *jail);
/* In the child. */
void jail_after_fork(struct jail *jail);
/* In the child, when nothing is opened any more: other threads are there, and none is confined yet. */
int jail_close(struct jail *jail);
/* If it drops the user. 0 or -errno with fail_text() */
int jail_become_user(const struct jail *jail);
/* Before another program is run: it will have no capability, but that to open files of others if those are among its own. */
void jail_before_exec(bool opens_others_files);
/* Whether there could be one with an empty root and processes of its own: tried in a child, which ends. */
bool jail_is_permitted(void);

#endif

/*
 * user_files.h - files that are kept for the user from one run to the next, where the XDG base directory specification has them.
 *
 * Thread: any, while nobody changes the environment. Errors come with fail_text().
 */
#ifndef BASE_USER_FILES_H
#define BASE_USER_FILES_H

#include "base/base.h"

#include <limits.h>

/* The two joined; to[PATH_MAX]. -ENAMETOOLONG */
int path_join(char *to, const char *a, const char *b);
/* $XDG_DATA_HOME/minivm/ and the name; path[PATH_MAX]. */
int user_file(char *path, const char *name);
/* The same of $XDG_STATE_HOME: what the program remembers. */
int user_state_file(char *path, const char *name);
/* A machine's name may have slashes; a file's name may not: they become '_'. */
void user_file_name(char *name);
/* The folders above the file, for the user alone. What is wrong shows when the file is made. */
void user_folders_make(const char *file);

#endif

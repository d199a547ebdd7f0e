/*
 * broker_rules.h - which files of the host a machine in a sandbox may have.
 *
 * The command line's screenshot; what somebody at --control has named, in whatever command; beside a name that
 * was given, the file that becomes it when it is complete; and, to read, the backing file that such an image names, if it lies
 * in the image's own folder.
 *
 * Thread: the broker's only one.
 */
#ifndef VMM_BROKER_RULES_H
#define VMM_BROKER_RULES_H

#include "vmm/config.h"

#include <limits.h>

#define BROKER_MAX_NAMES 256 /* of --control's that are remembered; the oldest goes */
#define BROKER_MAX_KNOWN 64

/* The strings of JSON as it comes, byte by byte. */
struct broker_strings {
    char text[PATH_MAX];
    size_t size; /* PATH_MAX: it is too long for a name */
    bool inside, escaped;
};

struct broker_rules {
    const struct vm_config *config;
    struct broker_name {
        char *path; /* absolute */
        bool backing;
    } names[BROKER_MAX_NAMES];
    size_t next; /* where the next one goes */
    char *known[BROKER_MAX_KNOWN];
    size_t known_count;
};

void broker_rules_init(struct broker_rules *rules, const struct vm_config *config);
void broker_rules_fini(struct broker_rules *rules);
/* A file that the machine has open: it may look at its size and time, by name. Before it meets its guest. */
void broker_rules_know(struct broker_rules *rules, const char *path);
/* What somebody at --control says; `strings` is of the one connection, zeroes at first. */
void broker_rules_listen(struct broker_rules *rules, struct broker_strings *strings, const char *data, size_t size);

bool broker_may_open(const struct broker_rules *rules, const char *folder, const char *name, int flags);
/* It was opened: if it is an image, its backing file may be as well. */
void broker_opened(struct broker_rules *rules, const char *folder, const char *name, int flags, int fd);
bool broker_may_find_folder(const struct broker_rules *rules, const char *path);
bool broker_may_rename(const struct broker_rules *rules, const char *from, const char *to);
bool broker_may_unlink(const struct broker_rules *rules, const char *path);

#endif

/*
 * domain.h - libvirt's description of a machine (https://libvirt.org/formatdomain.html), as options of `minivm run`.
 *
 * What a domain says that this program has no option for is warned about by name and line, never dropped in silence;
 * what matters to libvirt alone (metadata, addresses, labels) is passed over. A domain is somebody else's file: its size
 * is limited, it has no document type and no entities, and nothing that it names is opened here. Thread: main, at the
 * start.
 */
#ifndef VMM_DOMAIN_H
#define VMM_DOMAIN_H

#include "base/base.h"

#define DOMAIN_MAX_SIZE  MIB(1)
#define DOMAIN_MAX_WORDS 256

struct domain {
    const char *path; /* for messages */
    char *words[DOMAIN_MAX_WORDS]; /* options and their values */
    unsigned count;
    char password[64]; /* of viewers; "": none */
    unsigned warnings;
    bool quiet; /* these are not logged: somebody else has */
};

/* -EINVAL or what reading the file gives, with fail_text(). domain_fini() in any case. */
int domain_read(struct domain *d, const char *path, bool quiet);
/* The same of `size` bytes. */
int domain_parse(struct domain *d, const char *path, const char *xml, size_t size, bool quiet);
void domain_fini(struct domain *d);

#endif

/* domain_private.h - what domain.c and domain_devices.c share: words, attributes, and tables of elements. */
#ifndef VMM_DOMAIN_PRIVATE_H
#define VMM_DOMAIN_PRIVATE_H

#include "vmm/domain.h"

#include <libxml/tree.h>

/* An element, and what is made of it; without `take` it is passed over: no guest sees a difference. */
struct domain_element {
    const char *name;
    int (*take)(struct domain *d, const xmlNode *node);
};

/* Each child by its entry; those without one are warned about. */
int domain_children(struct domain *d, const xmlNode *node, const struct domain_element *known, size_t count);
/* Warn about the children that are not among these, NULL at the end. */
void domain_check(struct domain *d, const xmlNode *node, const char *const *known);
void domain_warn(struct domain *d, const xmlNode *node, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* An option and its value, which may be NULL. */
int domain_option(struct domain *d, const char *option, const char *value);
int domain_optionf(struct domain *d, const char *option, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Whether an option that begins so is there already. */
bool domain_says(const struct domain *d, const char *begin);

/* The first child of that name, or NULL, also of NULL. */
const xmlNode *domain_child(const xmlNode *node, const char *name);
/* An attribute, "" if the node is NULL or has none. Lives as long as the document. */
const char *domain_attribute(const xmlNode *node, const char *name);
const char *domain_child_attribute(const xmlNode *node, const char *child, const char *name);
bool domain_is(const xmlNode *node, const char *attribute, const char *value);
/* The words in an element, without the space around; -EINVAL if they are too long. */
int domain_text(const xmlNode *node, char *text, size_t size);

/* domain_devices.c, domain_graphics.c */
int domain_take_devices(struct domain *d, const xmlNode *node);
int domain_take_graphics(struct domain *d, const xmlNode *node);
int domain_take_video(struct domain *d, const xmlNode *node);

#endif

/* config_domain.c - a libvirt domain as part of the command line: the options that it stands for, in its place. */
#include "vmm/config_private.h"

#include "base/error.h"
#include "vmm/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_password(struct vm_config *config, const struct domain *d)
{
    if (strlen(d->password) > CONFIG_MAX_PASSWORD)
        return fail(-EINVAL, "'%s': the password has more than %d bytes", d->path, CONFIG_MAX_PASSWORD);
    strcpy(config->domain_password, d->password);
    return 0;
}

int config_set_domain(void *opaque, const char *path)
{
    struct vm_config *config = opaque;
    int err;

    if (config->domain)
        return fail(-EINVAL, "one domain at a time: '%s' is too much", path);
    config->domain = calloc(1, sizeof(*config->domain));
    if (!config->domain)
        return -ENOMEM;
    err = domain_read(config->domain, path, config->relayed);
    if (!err)
        err = take_password(config, config->domain);
    return err ? err : config_parse_words(config, config->domain->words, config->domain->count);
}

void config_drop_domain(struct vm_config *config)
{
    if (config->domain)
        domain_fini(config->domain);
    free(config->domain);
    config->domain = NULL;
    explicit_bzero(config->domain_password, sizeof(config->domain_password));
}

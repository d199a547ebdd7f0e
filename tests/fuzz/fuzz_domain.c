/* A libvirt domain, and the options that come of it as the command line takes them. */
#include "vmm/domain.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct domain d;

    if (domain_parse(&d, "domain.xml", (const char *)data, size, true) == 0 && d.count % 2)
        abort(); /* options and values */
    domain_fini(&d);
    return 0;
}

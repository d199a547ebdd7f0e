/*
 * cloud_init.h - the seed by which a cloud image is configured: cloud-init's NoCloud data source, a volume labelled
 * "cidata" with user-data, meta-data and what else there is. FAT, because that is the smaller of the two file systems
 * that cloud-init takes and every cloud image can mount it.
 */
#ifndef VMM_CLOUD_INIT_H
#define VMM_CLOUD_INIT_H

#include "vmm/uuid.h"

#include <limits.h>

#define CLOUD_INIT_FILE_MAX MIB(1)

enum cloud_init_part { CLOUD_USER_DATA, CLOUD_META_DATA, CLOUD_NETWORK_CONFIG, CLOUD_VENDOR_DATA, CLOUD_PARTS };

/* The file of this part, if there is one: source is a folder that may have them all, or the user-data alone. */
bool cloud_init_file(const char *source, enum cloud_init_part part, char path[PATH_MAX]);
/*
 * The volume in a nameless file; its descriptor, or -errno with fail_text(). Without meta-data of their own the instance
 * gets its id from the machine's UUID and what it is told, so that changed data count as a new instance, and its host
 * name from the machine's name.
 */
int cloud_init_create(const char *source, const char *name, const uint8_t uuid[UUID_SIZE]);

#endif

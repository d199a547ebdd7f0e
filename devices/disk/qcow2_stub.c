#include "devices/disk/qcow2.h"
#include "base/error.h"
#include <errno.h>
int qcow2_open(struct image **image UNUSED, struct image_context *context UNUSED,
               unsigned file UNUSED, bool read_only UNUSED, const char *path,
               char *backing_name UNUSED, char *backing_format UNUSED)
{
    return fail(-ENOTSUP, "disk '%s' is in the format qcow2, which is not supported yet", path);
}
int qcow2_open_overlay(struct image **image UNUSED, struct image_context *context UNUSED)
{
    return fail(-ENOTSUP, "--snapshot is not supported yet");
}

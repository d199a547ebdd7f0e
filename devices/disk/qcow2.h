/*
 * qcow2.h - what the rest of the disk layer knows of qcow2 images.
 */
#ifndef DEVICES_DISK_QCOW2_H
#define DEVICES_DISK_QCOW2_H

#include "devices/disk/image.h"

/*
 * Open the image in context->files[file]. The names of its backing file and of that one's format, both untrusted, go
 * to backing_name (IMAGE_MAX_NAME + 1 bytes) and backing_format (16 bytes); "" if it has none.
 */
int qcow2_open(struct image **image, struct image_context *context, unsigned file, bool read_only,
               const char *path, char *backing_name, char *backing_format);

/* Put an empty image in an unnamed file over *image, which becomes its backing image. */
int qcow2_open_overlay(struct image **image, struct image_context *context);

#endif

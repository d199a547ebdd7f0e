/*
 * probe.h - what an image's first bytes say it is.
 */
#ifndef DEVICES_DISK_PROBE_H
#define DEVICES_DISK_PROBE_H

#include "base/base.h"

#define PROBE_BYTES 512

/* "raw" if no magic is known; else the format's name, whether this program can read it or not. */
const char *probe_format(const uint8_t head[PROBE_BYTES]);

#endif

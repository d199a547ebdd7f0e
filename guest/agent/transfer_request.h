/*
 * transfer_request.h - what a client says of a file that it wants to send: VD_AGENT_FILE_XFER_START. No input or
 * output.
 *
 * The text is a key file, of which this matters:
 *
 *     [vdagent-file-xfer]
 *     name=...
 *     size=...
 */
#ifndef GUEST_AGENT_TRANSFER_REQUEST_H
#define GUEST_AGENT_TRANSFER_REQUEST_H

#include "base/base.h"

#include <limits.h>

struct transfer_request {
    char name[NAME_MAX + 1];
    uint64_t size;
};

/* 0, or -EINVAL with fail_text(): no name or size, or a name that is not that of a file in a folder. */
int transfer_request_read(const uint8_t *text, size_t length, struct transfer_request *request);
/* The n-th name to try: "report.txt", "report (1).txt"...; false: it would be too long. */
bool transfer_name(const char *name, unsigned n, char to[NAME_MAX + 1]);

#endif

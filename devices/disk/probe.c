#include "devices/disk/probe.h"

#include <string.h>

static const struct magic {
    const char *format;
    unsigned offset;
    unsigned size;
    const char *bytes;
} magics[] = {
    {"qcow", 0, 8, "QFI\xfb\0\0\0\1"},
    {"qcow2", 0, 4, "QFI\xfb"},
    {"vmdk", 0, 4, "KDMV"},
    {"vmdk", 0, 4, "COWD"},
    {"vmdk", 0, 21, "# Disk DescriptorFile"},
    {"vdi", 64, 4, "\x7f\x10\xda\xbe"},
    {"qed", 0, 4, "QED"},
    {"vhdx", 0, 8, "vhdxfile"},
    {"vpc", 0, 8, "conectix"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
    {"parallels", 0, 16, "WithouFreSpacExt"},
    {"luks", 0, 6, "LUKS\xba\xbe"},
    {"bochs", 0, 22, "Bochs Virtual HD Image"},
    {"cloop", 0, 23, "#!/bin/sh\n#V2.0 Format\n"},
    {"ewf", 0, 8, "EVF\x09\x0d\x0a\xff"},
    {"gzip-compressed", 0, 3, "\x1f\x8b\x08"},
    {"xz-compressed", 0, 6,
     "\xfd"
     "7zXZ\0"},
    {"zstd-compressed", 0, 4, "\x28\xb5\x2f\xfd"},
};

const char *probe_format(const uint8_t head[PROBE_BYTES])
{
    for (unsigned i = 0; i < ARRAY_SIZE(magics); i++)
        if (!memcmp(head + magics[i].offset, magics[i].bytes, magics[i].size))
            return magics[i].format;
    return "raw";
}

/*
 * smbios.h - the SMBIOS tables (DMTF DSP0134, 2.8): what dmidecode and /sys/class/dmi show of the machine.
 *
 * An entry point and a block of structures, as firmware takes them over fw_cfg ("etc/smbios/smbios-anchor",
 * "etc/smbios/smbios-tables") to place and link them. Without firmware, smbios_install() does that.
 */
#ifndef VMM_SMBIOS_H
#define VMM_SMBIOS_H

#include "base/bytes.h"
#include "vmm/memory.h"
#include "vmm/uuid.h"

#define SMBIOS_ANCHOR_SIZE 31
#define SMBIOS_MAX_SIZE KIB(4) /* of the structures */

struct smbios_config {
    uint8_t uuid[UUID_SIZE];
    unsigned cpus;
    uint64_t memory_low, memory_high; /* bytes of RAM from 0 and from 4 GiB on */
    bool bios;                        /* describe the BIOS too, where no firmware does */
};

struct smbios {
    uint8_t anchor[SMBIOS_ANCHOR_SIZE];
    struct writer tables;
    unsigned count, largest; /* structures; bytes of the largest */
};

int smbios_build(struct smbios *smbios, const struct smbios_config *config);
void smbios_free(struct smbios *smbios);
/* Place the anchor (16-byte aligned, from 0xf0000 on) and the structures in guest memory, linked. */
int smbios_install(struct smbios *smbios, struct memory *memory, gpa_t anchor, gpa_t tables);

#endif

/*
 * acpi.h - the ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET and DSDT (ACPI 2.0).
 *
 * Built as three blobs in the shape that firmware loads over fw_cfg ("etc/acpi/rsdp", "etc/acpi/tables" and the script
 * "etc/table-loader" that places and links them). Without firmware, acpi_install() runs the same script.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include "base/bytes.h"
#include "vmm/memory.h"

#define ACPI_MAX_SIZE KIB(64) /* of the tables */

struct acpi_config {
    unsigned cpus;       /* 1..255 */
    uint32_t pci_start;  /* of the PCI window below 4 GiB */
    bool hpet;           /* there is one */
    uint16_t pm_base;    /* of the PIIX4's power management registers, where the firmware has put them */
};

struct acpi_tables {
    struct writer rsdp, tables, loader;
};

int acpi_build(struct acpi_tables *acpi, const struct acpi_config *config);
void acpi_free(struct acpi_tables *acpi);
/* Place the RSDP at `rsdp` (16-byte aligned) and the rest at `tables` (64-byte aligned) in guest memory, linked. */
int acpi_install(struct acpi_tables *acpi, struct memory *memory, gpa_t rsdp, gpa_t tables);

#endif

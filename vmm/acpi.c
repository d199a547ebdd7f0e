#include "vmm/acpi.h"

#include "dsdt.hex"

#include "devices/platform/hpet.h"
#include "devices/platform/piix4_pm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PM1_EVENT 0
#define PM1_CONTROL 4
#define RESET_PORT 0xcf9
#define RESET_VALUE 6

#define LAPIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u

/* The loader's script: struct of 128 bytes per command, as SeaBIOS and OVMF read it. */
#define LOADER_NAME 56
enum loader_command { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum loader_zone { ZONE_HIGH = 1, ZONE_FSEG = 2 };

struct loader_entry {
    uint32_t command;
    union {
        struct {
            char file[LOADER_NAME];
            uint32_t align;
            uint8_t zone;
        } __attribute__((packed)) allocate;
        struct {
            char dest[LOADER_NAME], source[LOADER_NAME];
            uint32_t offset;
            uint8_t size;
        } __attribute__((packed)) pointer;
        struct {
            char file[LOADER_NAME];
            uint32_t offset, start, length;
        } __attribute__((packed)) checksum;
        uint8_t pad[124];
    };
} __attribute__((packed));

static_assert(sizeof(struct loader_entry) == 128, "the firmware reads 128 bytes");

static const char rsdp_file[] = "etc/acpi/rsdp";
static const char tables_file[] = "etc/acpi/tables";

static void allocate(struct acpi_tables *acpi, const char *file, uint32_t align, enum loader_zone zone)
{
    struct loader_entry e = {.command = LOADER_ALLOCATE, .allocate = {.align = align, .zone = (uint8_t)zone}};

    strcpy(e.allocate.file, file);
    writer_bytes(&acpi->loader, &e, sizeof(e));
}

/* The field of `size` bytes at dest+offset holds an offset into the tables; make it an address. */
static void add_pointer(struct acpi_tables *acpi, const char *dest, size_t offset, uint8_t size)
{
    struct loader_entry e = {.command = LOADER_ADD_POINTER, .pointer = {.offset = (uint32_t)offset, .size = size}};

    strcpy(e.pointer.dest, dest);
    strcpy(e.pointer.source, tables_file);
    writer_bytes(&acpi->loader, &e, sizeof(e));
}

static void add_checksum(struct acpi_tables *acpi, const char *file, size_t offset, size_t start, size_t length)
{
    struct loader_entry e = {
        .command = LOADER_ADD_CHECKSUM,
        .checksum = {.offset = (uint32_t)offset, .start = (uint32_t)start, .length = (uint32_t)length}};

    strcpy(e.checksum.file, file);
    writer_bytes(&acpi->loader, &e, sizeof(e));
}

/* --- tables --- */

#define HEADER_LENGTH 4
#define HEADER_CHECKSUM 9
#define HEADER_SIZE 36

/* Starts a table; returns its offset. The length and checksum come with end_table(). */
static size_t begin_table(struct acpi_tables *acpi, const char *signature, uint8_t revision)
{
    struct writer *w = &acpi->tables;
    size_t start;

    while (w->size % 8)
        writer_u8(w, 0);
    start = w->size;
    writer_bytes(w, signature, 4);
    writer_u32(w, 0);
    writer_u8(w, revision);
    writer_u8(w, 0);
    writer_bytes(w, "MINIVM", 6);
    writer_bytes(w, "MINIVM  ", 8);
    writer_u32(w, 1);
    writer_bytes(w, "MVM ", 4);
    writer_u32(w, 1);
    return start;
}

static void end_table(struct acpi_tables *acpi, size_t start)
{
    struct writer *w = &acpi->tables;

    if (w->bad)
        return;
    store_le32(w->data + start + HEADER_LENGTH, (uint32_t)(w->size - start));
    add_checksum(acpi, tables_file, start + HEADER_CHECKSUM, start, w->size - start);
}

static size_t add_facs(struct acpi_tables *acpi)
{
    struct writer *w = &acpi->tables;
    size_t start;

    while (w->size % 64)
        writer_u8(w, 0);
    start = w->size;
    writer_bytes(w, "FACS", 4);
    writer_u32(w, 64);
    while (w->size < start + 64)
        writer_u8(w, 0);
    return start;
}

/* The only thing that the DSDT cannot know when it is compiled: the value of Name(\PCIS, dword). */
static void patch_pci_start(uint8_t *aml, size_t size, uint32_t pci_start)
{
    static const char name[] = "PCIS\x0c"; /* and DWordPrefix */
    uint8_t *p = memmem(aml, size, name, sizeof(name) - 1);

    if (p)
        store_le32(p + sizeof(name) - 1, pci_start);
}

static size_t add_dsdt(struct acpi_tables *acpi, const struct acpi_config *config)
{
    struct writer *w = &acpi->tables;
    size_t start = w->size;

    writer_bytes(w, dsdt_aml_code, sizeof(dsdt_aml_code));
    if (w->bad)
        return start;
    patch_pci_start(w->data + start, sizeof(dsdt_aml_code), config->pci_start);
    w->data[start + HEADER_CHECKSUM] = 0;
    end_table(acpi, start);
    return start;
}

static void add_override(struct writer *w, uint8_t source, uint32_t gsi, uint16_t flags)
{
    writer_u8(w, 2);
    writer_u8(w, 10);
    writer_u8(w, 0); /* ISA */
    writer_u8(w, source);
    writer_u32(w, gsi);
    writer_u16(w, flags);
}

static size_t add_madt(struct acpi_tables *acpi, const struct acpi_config *config)
{
    static const uint8_t pci_lines[] = {5, 9, 10, 11};
    struct writer *w = &acpi->tables;
    size_t start = begin_table(acpi, "APIC", 1);
    unsigned i;

    writer_u32(w, LAPIC_ADDRESS);
    writer_u32(w, 1); /* there are 8259s too */
    for (i = 0; i < config->cpus; i++) {
        writer_u8(w, 0); /* LAPIC */
        writer_u8(w, 8);
        writer_u8(w, (uint8_t)i);
        writer_u8(w, (uint8_t)i);
        writer_u32(w, 1); /* enabled */
    }
    writer_u8(w, 1); /* IOAPIC */
    writer_u8(w, 12);
    writer_u8(w, 0);
    writer_u8(w, 0);
    writer_u32(w, IOAPIC_ADDRESS);
    writer_u32(w, 0);
    add_override(w, 0, 2, 0);
    for (i = 0; i < ARRAY_SIZE(pci_lines); i++)
        add_override(w, pci_lines[i], pci_lines[i], 0x0d); /* active high, level */
    writer_u8(w, 4); /* NMI on LINT1 of every CPU */
    writer_u8(w, 6);
    writer_u8(w, 0xff);
    writer_u16(w, 0);
    writer_u8(w, 1);
    end_table(acpi, start);
    return start;
}

enum { SPACE_MEMORY = 0, SPACE_IO = 1 };

/* A generic address. */
static void add_address(struct writer *w, uint8_t space, uint8_t bits, uint64_t address)
{
    writer_u8(w, space);
    writer_u8(w, bits);
    writer_u8(w, 0);
    writer_u8(w, 0);
    writer_u64(w, address);
}

static void add_gas(struct writer *w, uint8_t bits, uint64_t address)
{
    add_address(w, SPACE_IO, bits, address);
}

/* IA-PC HPET specification, 3.2.4. */
static size_t add_hpet(struct acpi_tables *acpi)
{
    struct writer *w = &acpi->tables;
    size_t start = begin_table(acpi, "HPET", 1);

    writer_u32(w, HPET_ID);
    add_address(w, SPACE_MEMORY, 0, HPET_ADDRESS);
    writer_u8(w, 0);  /* the first */
    writer_u16(w, 0); /* no minimum of ticks */
    writer_u8(w, 0);
    end_table(acpi, start);
    return start;
}

#define FADT_FACS 36
#define FADT_DSDT 40
#define FADT_X_FACS 132
#define FADT_X_DSDT 140
#define FADT_SIZE 244

/* ACPI 2.0, table 5-5. */
static size_t add_fadt(struct acpi_tables *acpi, const struct acpi_config *config, size_t facs, size_t dsdt)
{
    static const uint8_t lengths[] = {4, 2, 0, 4, 4, 0, 0, 0}; /* PM1 event, control, PM2, timer, GPE0, GPE1.. */
    struct writer *w = &acpi->tables;
    uint16_t pm = config->pm_base;
    size_t start = begin_table(acpi, "FACP", 3);

    writer_u32(w, (uint32_t)facs);
    writer_u32(w, (uint32_t)dsdt);
    writer_u8(w, 1); /* was the interrupt model */
    writer_u8(w, 0); /* no preferred profile */
    writer_u16(w, PIIX4_PM_SCI);
    writer_u32(w, PIIX4_PM_SMI_CMD);
    writer_u8(w, PIIX4_PM_ACPI_ENABLE);
    writer_u8(w, PIIX4_PM_ACPI_DISABLE);
    writer_u16(w, 0); /* no S4BIOS, no P-states */
    writer_u32(w, pm + PM1_EVENT);
    writer_u32(w, 0);
    writer_u32(w, pm + PM1_CONTROL);
    writer_u32(w, 0);
    writer_u32(w, 0); /* no PM2 */
    writer_u32(w, pm + PIIX4_PM_TIMER);
    writer_u32(w, PIIX4_PM_GPE0);
    writer_u32(w, 0);
    writer_bytes(w, lengths, sizeof(lengths));
    writer_u16(w, 0xfff); /* no C2 */
    writer_u16(w, 0xfff); /* no C3 */
    writer_u32(w, 0);     /* cache flushing and duty: not needed with WBINVD */
    writer_u32(w, 0);
    writer_u8(w, 0x32); /* the century in CMOS */
    writer_u16(w, 3);   /* legacy devices and an 8042 */
    writer_u8(w, 0);
    /* WBINVD, C1, power button fixed, no sleep button, 24-bit timer, reset register */
    writer_u32(w, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 10);
    add_gas(w, 8, RESET_PORT);
    writer_u8(w, RESET_VALUE);
    writer_bytes(w, "\0\0", 3);
    writer_u64(w, facs);
    writer_u64(w, dsdt);
    add_gas(w, 32, pm + PM1_EVENT);
    add_gas(w, 0, 0);
    add_gas(w, 16, pm + PM1_CONTROL);
    add_gas(w, 0, 0);
    add_gas(w, 0, 0);
    add_gas(w, 32, pm + PIIX4_PM_TIMER);
    add_gas(w, 32, PIIX4_PM_GPE0);
    add_gas(w, 0, 0);
    add_pointer(acpi, tables_file, start + FADT_FACS, 4);
    add_pointer(acpi, tables_file, start + FADT_DSDT, 4);
    add_pointer(acpi, tables_file, start + FADT_X_FACS, 8);
    add_pointer(acpi, tables_file, start + FADT_X_DSDT, 8);
    end_table(acpi, start);
    return start;
}

/* RSDT or XSDT: pointers of `width` bytes to the other tables. */
static size_t add_root(struct acpi_tables *acpi, const char *signature, uint8_t width, const size_t *tables,
                       size_t count)
{
    struct writer *w = &acpi->tables;
    size_t start = begin_table(acpi, signature, 1), i;

    for (i = 0; i < count; i++) {
        add_pointer(acpi, tables_file, w->size, width);
        if (width == 4)
            writer_u32(w, (uint32_t)tables[i]);
        else
            writer_u64(w, tables[i]);
    }
    end_table(acpi, start);
    return start;
}

static void add_rsdp(struct acpi_tables *acpi, size_t rsdt, size_t xsdt)
{
    struct writer *w = &acpi->rsdp;

    writer_bytes(w, "RSD PTR ", 8);
    writer_u8(w, 0);
    writer_bytes(w, "MINIVM", 6);
    writer_u8(w, 2);
    writer_u32(w, (uint32_t)rsdt);
    writer_u32(w, 36);
    writer_u64(w, xsdt);
    writer_u32(w, 0); /* extended checksum and three reserved bytes */
    add_pointer(acpi, rsdp_file, 16, 4);
    add_pointer(acpi, rsdp_file, 24, 8);
    add_checksum(acpi, rsdp_file, 8, 0, 20);
    add_checksum(acpi, rsdp_file, 32, 0, 36);
}

int acpi_build(struct acpi_tables *acpi, const struct acpi_config *config)
{
    size_t facs, dsdt, listed[3], count = 0, rsdt, xsdt;

    writer_init(&acpi->rsdp, 64);
    writer_init(&acpi->tables, ACPI_MAX_SIZE);
    writer_init(&acpi->loader, KIB(16));
    allocate(acpi, rsdp_file, 16, ZONE_FSEG);
    allocate(acpi, tables_file, 64, ZONE_HIGH);
    facs = add_facs(acpi);
    dsdt = add_dsdt(acpi, config);
    listed[count++] = add_fadt(acpi, config, facs, dsdt);
    listed[count++] = add_madt(acpi, config);
    if (config->hpet)
        listed[count++] = add_hpet(acpi);
    rsdt = add_root(acpi, "RSDT", 4, listed, count);
    xsdt = add_root(acpi, "XSDT", 8, listed, count);
    add_rsdp(acpi, rsdt, xsdt);
    if (!acpi->rsdp.bad && !acpi->tables.bad && !acpi->loader.bad)
        return 0;
    acpi_free(acpi);
    return -ENOMEM;
}

void acpi_free(struct acpi_tables *acpi)
{
    writer_fini(&acpi->rsdp);
    writer_fini(&acpi->tables);
    writer_fini(&acpi->loader);
}

/* --- the loader's script, run by ourselves --- */

static struct writer *blob_of(struct acpi_tables *acpi, const char *file)
{
    return strcmp(file, rsdp_file) == 0 ? &acpi->rsdp : &acpi->tables;
}

static void run_pointer(struct acpi_tables *acpi, const struct loader_entry *e, gpa_t tables)
{
    uint8_t *field = blob_of(acpi, e->pointer.dest)->data + e->pointer.offset;
    uint64_t value = 0;

    memcpy(&value, field, e->pointer.size);
    value += tables;
    memcpy(field, &value, e->pointer.size);
}

static void run_checksum(struct acpi_tables *acpi, const struct loader_entry *e)
{
    uint8_t *data = blob_of(acpi, e->checksum.file)->data, sum = 0;
    uint32_t i;

    for (i = 0; i < e->checksum.length; i++)
        sum = (uint8_t)(sum + data[e->checksum.start + i]);
    data[e->checksum.offset] = (uint8_t)(data[e->checksum.offset] - sum);
}

int acpi_install(struct acpi_tables *acpi, struct memory *memory, gpa_t rsdp, gpa_t tables)
{
    const struct loader_entry *e = (const struct loader_entry *)acpi->loader.data;
    const struct loader_entry *end = e + acpi->loader.size / sizeof(*e);
    int err;

    for (; e < end; e++) {
        if (e->command == LOADER_ADD_POINTER)
            run_pointer(acpi, e, tables);
        else if (e->command == LOADER_ADD_CHECKSUM)
            run_checksum(acpi, e);
    }
    err = memory_write(memory, rsdp, acpi->rsdp.data, acpi->rsdp.size);
    return err ? err : memory_write(memory, tables, acpi->tables.data, acpi->tables.size);
}

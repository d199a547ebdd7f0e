#include "vmm/smbios.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>

#define MAKER "minivm"
#define PRODUCT "Standard PC (i440FX + PIIX)"

#define ANCHOR_CHECKSUM 4
#define ANCHOR_DMI 16 /* the second half, with a checksum of its own */
#define ANCHOR_DMI_CHECKSUM 21
#define ANCHOR_ADDRESS 24

#define NO_HANDLE 0xffff
#define NO_ERRORS 0xfffe /* memory without a way to tell of errors */
#define MEMORY_ARRAY 0x1000

/* Byte fields that name strings hold their number, from 1; 0 is none. Names and offsets are the specification's. */
struct header {
    uint8_t type, length;
    uint16_t handle;
} __attribute__((packed));

struct bios { /* type 0 */
    struct header head;
    uint8_t vendor, version;
    uint16_t segment;
    uint8_t date, rom_size;
    uint64_t characteristics;
    uint8_t extension[2], release[2], controller[2];
} __attribute__((packed));

struct computer { /* type 1 */
    struct header head;
    uint8_t manufacturer, product, version, serial, uuid[UUID_SIZE], wake_up, sku, family;
} __attribute__((packed));

struct chassis { /* type 3 */
    struct header head;
    uint8_t manufacturer, type, version, serial, asset, boot_state, power_state, thermal_state, security;
    uint32_t oem;
    uint8_t height, power_cords, element_count, element_size, sku;
} __attribute__((packed));

struct processor { /* type 4 */
    struct header head;
    uint8_t socket, type, family, manufacturer;
    uint32_t signature, features;
    uint8_t version, voltage;
    uint16_t external_clock, max_speed, speed;
    uint8_t status, upgrade;
    uint16_t l1, l2, l3;
    uint8_t serial, asset, part, cores, enabled_cores, threads;
    uint16_t characteristics, family_2;
} __attribute__((packed));

struct memory_array { /* type 16 */
    struct header head;
    uint8_t location, use, correction;
    uint32_t capacity; /* KiB */
    uint16_t errors, devices;
    uint64_t large_capacity; /* bytes */
} __attribute__((packed));

struct memory_device { /* type 17 */
    struct header head;
    uint16_t array, errors, total_width, data_width, size; /* MiB */
    uint8_t form, set, locator, bank, type;
    uint16_t detail, speed;
    uint8_t manufacturer, serial, asset, part, attributes;
    uint32_t large_size; /* MiB */
    uint16_t clock, voltages[3];
} __attribute__((packed));

struct mapped_address { /* type 19 */
    struct header head;
    uint32_t start, end; /* KiB, both of the range */
    uint16_t array;
    uint8_t width;
    uint64_t large_start, large_end;
} __attribute__((packed));

struct boot_status { /* type 32 */
    struct header head;
    uint8_t reserved[6], status;
} __attribute__((packed));

static_assert(sizeof(struct bios) == 0x18 && sizeof(struct computer) == 0x1b && sizeof(struct chassis) == 0x16 &&
                  sizeof(struct processor) == 0x2a && sizeof(struct memory_array) == 0x17 &&
                  sizeof(struct memory_device) == 0x28 && sizeof(struct mapped_address) == 0x1f &&
                  sizeof(struct boot_status) == 0x0b,
              "the lengths of version 2.8");

/* A structure and its strings, one zero after each and one after all; strings end with NULL. */
static void add(struct smbios *s, struct header *head, uint8_t type, uint16_t handle, size_t size,
                const char *const *strings)
{
    size_t start = s->tables.size;

    *head = (struct header){type, (uint8_t)size, handle};
    writer_bytes(&s->tables, head, size);
    if (!*strings)
        writer_u8(&s->tables, 0);
    for (; *strings; strings++)
        writer_bytes(&s->tables, *strings, strlen(*strings) + 1);
    writer_u8(&s->tables, 0);
    s->count++;
    s->largest = MAX(s->largest, (unsigned)(s->tables.size - start));
}

#define ADD(s, t, type, handle, ...)                                                               \
    add(s, &(t)->head, type, handle, sizeof(*(t)), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void add_bios(struct smbios *s)
{
    struct bios t = {.vendor = 1,
                     .version = 2,
                     .segment = 0xf000,
                     .date = 3,
                     .characteristics = 1 << 3,   /* not told */
                     .extension = {0, 1 << 4},    /* a virtual machine */
                     .controller = {0xff, 0xff}}; /* none */

    ADD(s, &t, 0, 0, MAKER, "direct boot", "01/01/2024");
}

/* The UUID's first three fields are little-endian here, unlike in its text. */
static void store_uuid(uint8_t *to, const uint8_t *from)
{
    static const uint8_t order[UUID_SIZE] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    unsigned i;

    for (i = 0; i < UUID_SIZE; i++)
        to[i] = from[order[i]];
}

static void add_computer(struct smbios *s, const struct smbios_config *config)
{
    struct computer t = {.manufacturer = 1, .product = 2, .version = 3, .wake_up = 6, .family = 4};
    struct chassis c = {.manufacturer = 1,
                        .type = 1, /* other */
                        .boot_state = 3,
                        .power_state = 3,
                        .thermal_state = 3,
                        .security = 2};

    store_uuid(t.uuid, config->uuid);
    ADD(s, &t, 1, 0x100, MAKER, PRODUCT, "pc-i440fx", "Virtual Machine");
    ADD(s, &c, 3, 0x300, MAKER);
}

static void add_processor(struct smbios *s, const struct smbios_config *config)
{
    struct processor t = {.socket = 1,
                          .type = 3,   /* central */
                          .family = 1, /* other */
                          .manufacturer = 2,
                          .version = 3,
                          .status = 0x41, /* present, enabled */
                          .upgrade = 1,
                          .l1 = NO_HANDLE,
                          .l2 = NO_HANDLE,
                          .l3 = NO_HANDLE,
                          .cores = (uint8_t)config->cpus,
                          .enabled_cores = (uint8_t)config->cpus,
                          .threads = (uint8_t)config->cpus,
                          .characteristics = 1 << 2, /* 64 bits */
                          .family_2 = 1};
    unsigned eax = 0, ebx, ecx, edx = 0;

    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    t.signature = eax;
    t.features = edx;
    ADD(s, &t, 4, 0x400, "CPU 0", MAKER, "virtual");
}

static void add_range(struct smbios *s, uint16_t handle, uint64_t start, uint64_t size)
{
    struct mapped_address t = {.start = (uint32_t)(start >> 10),
                               .end = (uint32_t)((start + size - 1) >> 10),
                               .array = MEMORY_ARRAY,
                               .width = 1};

    if (size)
        ADD(s, &t, 19, handle);
}

/* One module that holds it all: a guest asks how much there is, not in how many pieces. */
static void add_memory(struct smbios *s, const struct smbios_config *config)
{
    uint64_t size = config->memory_low + config->memory_high;
    bool large = size >= GIB(32) - MIB(1), huge = size >> 10 >= 0x80000000;
    struct memory_array array = {.location = 1,
                                 .use = 3,        /* system memory */
                                 .correction = 3, /* none */
                                 .capacity = huge ? 0x80000000 : (uint32_t)(size >> 10),
                                 .errors = NO_ERRORS,
                                 .devices = 1,
                                 .large_capacity = huge ? size : 0};
    struct memory_device device = {.array = MEMORY_ARRAY,
                                   .errors = NO_ERRORS,
                                   .total_width = 0xffff,
                                   .data_width = 0xffff,
                                   .size = large ? 0x7fff : (uint16_t)(size >> 20),
                                   .form = 9, /* DIMM */
                                   .locator = 1,
                                   .type = 7, /* RAM */
                                   .detail = 1 << 1,
                                   .manufacturer = 2,
                                   .large_size = large ? (uint32_t)(size >> 20) : 0};

    ADD(s, &array, 16, MEMORY_ARRAY);
    ADD(s, &device, 17, 0x1100, "DIMM 0", MAKER);
    add_range(s, 0x1300, 0, config->memory_low);
    add_range(s, 0x1301, GIB(4), config->memory_high);
}

static uint8_t sum(const uint8_t *data, size_t size)
{
    uint8_t total = 0;

    while (size--)
        total = (uint8_t)(total + *data++);
    return total;
}

static void sign(uint8_t *anchor)
{
    anchor[ANCHOR_CHECKSUM] = anchor[ANCHOR_DMI_CHECKSUM] = 0;
    anchor[ANCHOR_DMI_CHECKSUM] = (uint8_t)-sum(anchor + ANCHOR_DMI, SMBIOS_ANCHOR_SIZE - ANCHOR_DMI);
    anchor[ANCHOR_CHECKSUM] = (uint8_t)-sum(anchor, SMBIOS_ANCHOR_SIZE);
}

static void make_anchor(struct smbios *s)
{
    uint8_t *a = s->anchor;

    memset(a, 0, sizeof(s->anchor));
    memcpy(a, "_SM_", 4);
    a[5] = SMBIOS_ANCHOR_SIZE;
    a[6] = 2;
    a[7] = 8;
    store_le16(a + 8, (uint16_t)s->largest);
    memcpy(a + ANCHOR_DMI, "_DMI_", 5);
    store_le16(a + 22, (uint16_t)s->tables.size);
    store_le16(a + 28, (uint16_t)s->count);
    a[30] = 0x28;
    sign(a);
}

int smbios_build(struct smbios *s, const struct smbios_config *config)
{
    struct boot_status boot = {.status = 0};
    struct header end;

    *s = (struct smbios){0};
    writer_init(&s->tables, SMBIOS_MAX_SIZE);
    if (config->bios)
        add_bios(s);
    add_computer(s, config);
    add_processor(s, config);
    add_memory(s, config);
    ADD(s, &boot, 32, 0x2000);
    add(s, &end, 127, 0x7f00, sizeof(end), (const char *const[]){NULL});
    if (s->tables.bad) {
        smbios_free(s);
        return -ENOMEM;
    }
    make_anchor(s);
    return 0;
}

void smbios_free(struct smbios *s)
{
    writer_fini(&s->tables);
}

int smbios_install(struct smbios *s, struct memory *memory, gpa_t anchor, gpa_t tables)
{
    int err;

    store_le32(s->anchor + ANCHOR_ADDRESS, (uint32_t)tables);
    sign(s->anchor);
    err = memory_write(memory, anchor, s->anchor, sizeof(s->anchor));
    return err ? err : memory_write(memory, tables, s->tables.data, s->tables.size);
}

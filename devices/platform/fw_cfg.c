#include "devices/platform/fw_cfg.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_COUNT      (FW_CFG_FILE_FIRST + FW_CFG_MAX_FILES)
#define KEY_NONE       0xffff
#define ID_TRADITIONAL 1
#define ID_DMA         2
#define DMA_SIGNATURE  0x51454d5520434647 /* "QEMU CFG" */
#define DMA_ZERO_MAX   MIB(1) /* bytes past an item's end that one command may ask for */

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct item {
    uint8_t *data; /* owned; NULL: no such key */
    size_t size;
    bool writable, built;
    void (*build)(void *opaque, uint8_t *data, size_t size);
    void *opaque;
};

struct dma_command { /* all big endian */
    uint32_t control, length;
    uint64_t address;
};

struct directory_entry { /* all big endian */
    uint32_t size;
    uint16_t key, reserved;
    char name[FW_CFG_NAME_SIZE];
};

static_assert(sizeof(struct dma_command) == 16 && sizeof(struct directory_entry) == 64,
              "wire layout");

struct fw_cfg {
    struct device base;
    struct region ports, dma;
    struct item items[KEY_COUNT];
    char names[FW_CFG_MAX_FILES][FW_CFG_NAME_SIZE];
    unsigned file_count;
    uint16_t key; /* selected; KEY_NONE if there is no such item */
    uint32_t offset;
    uint64_t dma_address;
};

/* --- items --- */

/* Gives the item a zeroed buffer of its own. */
static struct item *set_item(struct fw_cfg *fw, uint16_t key, size_t size)
{
    struct item *item = &fw->items[key];
    uint8_t *data = calloc(1, MAX(size, 1));

    if (!data)
        return NULL;
    free(item->data);
    *item = (struct item){.data = data, .size = size};
    return item;
}

int fw_cfg_add(struct fw_cfg *fw, uint16_t key, const void *data, size_t size)
{
    struct item *item;

    if (key >= KEY_COUNT || size > UINT32_MAX)
        return -EINVAL;
    item = set_item(fw, key, size);
    if (!item)
        return -ENOMEM;
    if (size)
        memcpy(item->data, data, size);
    return 0;
}

int fw_cfg_add_u16(struct fw_cfg *fw, uint16_t key, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    return fw_cfg_add(fw, key, bytes, sizeof(bytes));
}

static int find_file(const struct fw_cfg *fw, const char *name)
{
    unsigned i;

    for (i = 0; i < fw->file_count; i++)
        if (strcmp(fw->names[i], name) == 0)
            return (int)i;
    return -ENOENT;
}

static int build_directory(struct fw_cfg *fw)
{
    size_t size = sizeof(uint32_t) + fw->file_count * sizeof(struct directory_entry);
    struct item *directory = set_item(fw, FW_CFG_FILE_DIR, size);
    unsigned i;

    if (!directory)
        return -ENOMEM;
    store_be32(directory->data, fw->file_count);
    for (i = 0; i < fw->file_count; i++) {
        struct directory_entry entry = {0};

        store_be32(&entry.size, (uint32_t)fw->items[FW_CFG_FILE_FIRST + i].size);
        store_be16(&entry.key, (uint16_t)(FW_CFG_FILE_FIRST + i));
        memcpy(entry.name, fw->names[i], FW_CFG_NAME_SIZE);
        memcpy(directory->data + sizeof(uint32_t) + i * sizeof(entry), &entry, sizeof(entry));
    }
    return 0;
}

/* Makes room for a file, or empties the one of that name. */
static int new_file(struct fw_cfg *fw, const char *name, size_t size, struct item **item)
{
    int n = find_file(fw, name);

    if (strlen(name) >= FW_CFG_NAME_SIZE || size > UINT32_MAX)
        return fail(-EINVAL, "fw_cfg file '%s': the name or the content is too long", name);
    if (n < 0 && fw->file_count == FW_CFG_MAX_FILES)
        return fail(-ENOSPC, "fw_cfg file '%s': there are %d files already", name,
                    FW_CFG_MAX_FILES);
    if (n < 0) {
        n = (int)fw->file_count++;
        memset(fw->names[n], 0, FW_CFG_NAME_SIZE);
        memcpy(fw->names[n], name, strlen(name));
    }
    *item = set_item(fw, (uint16_t)(FW_CFG_FILE_FIRST + n), size);
    return *item ? build_directory(fw) : -ENOMEM;
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t size)
{
    struct item *item;
    int err = new_file(fw, name, size, &item);

    if (!err && size)
        memcpy(item->data, data, size);
    return err;
}

int fw_cfg_add_built_file(struct fw_cfg *fw, const char *name, size_t size,
                          void (*build)(void *opaque, uint8_t *data, size_t size), void *opaque)
{
    struct item *item;
    int err = new_file(fw, name, size, &item);

    if (err)
        return err;
    item->build = build;
    item->opaque = opaque;
    return 0;
}

int fw_cfg_add_writable_file(struct fw_cfg *fw, const char *name, size_t size)
{
    struct item *item;
    int err = new_file(fw, name, size, &item);

    if (!err)
        item->writable = true;
    return err;
}

static void build_item(struct item *item)
{
    if (!item->build || item->built)
        return;
    item->built = true;
    memset(item->data, 0, item->size);
    item->build(item->opaque, item->data, item->size);
}

const uint8_t *fw_cfg_file_data(struct fw_cfg *fw, const char *name, size_t *size)
{
    int n = find_file(fw, name);
    struct item *item;

    if (n < 0)
        return NULL;
    item = &fw->items[FW_CFG_FILE_FIRST + n];
    build_item(item);
    *size = item->size;
    return item->data;
}

/* --- registers --- */

static void select_key(struct fw_cfg *fw, uint16_t key)
{
    fw->offset = 0;
    fw->key = KEY_NONE;
    if (key >= KEY_COUNT || !fw->items[key].data)
        return;
    fw->key = key;
    build_item(&fw->items[key]);
}

/* The selected item's bytes from the offset on; the offset never passes the end. */
static uint8_t *item_rest(struct fw_cfg *fw, size_t *left)
{
    struct item *item;

    *left = 0;
    if (fw->key == KEY_NONE)
        return NULL;
    item = &fw->items[fw->key];
    *left = item->size - fw->offset;
    return item->data + fw->offset;
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct fw_cfg *fw = opaque;
    size_t left;
    const uint8_t *data = item_rest(fw, &left);

    if (offset == 0)
        return fw->key;
    if (left == 0)
        return 0;
    fw->offset++;
    return *data;
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    if (offset == 0 && width == 2)
        select_key(opaque, (uint16_t)value);
}

/* Reads past the end give zeros, as bytes from the data port do. */
static int dma_read(struct fw_cfg *fw, gpa_t address, uint32_t length)
{
    struct memory *memory = fw->base.machine->memory;
    static const uint8_t zeros[4096];
    size_t left, n, zero;
    const uint8_t *data = item_rest(fw, &left);

    n = MIN(left, length);
    zero = length - n;
    if (zero > DMA_ZERO_MAX || (n && memory_write(memory, address, data, n)))
        return -EFAULT;
    fw->offset += (uint32_t)n;
    for (address += n; zero; address += n, zero -= n) {
        n = MIN(zero, sizeof(zeros));
        if (memory_write(memory, address, zeros, n))
            return -EFAULT;
    }
    return 0;
}

static int dma_write(struct fw_cfg *fw, gpa_t address, uint32_t length)
{
    size_t left;
    uint8_t *data = item_rest(fw, &left);

    if (!data || !fw->items[fw->key].writable || length > left ||
        memory_read(fw->base.machine->memory, address, data, length))
        return -EPERM;
    fw->offset += length;
    return 0;
}

static int dma_skip(struct fw_cfg *fw, uint32_t length)
{
    size_t left;

    item_rest(fw, &left);
    fw->offset += (uint32_t)MIN(left, length);
    return 0;
}

static int dma_execute(struct fw_cfg *fw, uint32_t control, gpa_t address, uint32_t length)
{
    if (control & DMA_SELECT)
        select_key(fw, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        return dma_read(fw, address, length);
    if (control & DMA_WRITE)
        return dma_write(fw, address, length);
    if (control & DMA_SKIP)
        return dma_skip(fw, length);
    return 0;
}

/* The guest polls the command's control word: 0 is done, the error bit alone is failed. */
static void dma_run(struct fw_cfg *fw)
{
    struct memory *memory = fw->base.machine->memory;
    gpa_t at = fw->dma_address;
    struct dma_command command;
    uint32_t result;
    int err;

    fw->dma_address = 0;
    if (memory_read(memory, at, &command, sizeof(command))) {
        log_once(LOG_WARN, "fw_cfg: a guest's DMA command lies outside RAM");
        return;
    }
    err = dma_execute(fw, load_be32(&command.control), load_be64(&command.address),
                      load_be32(&command.length));
    store_be32(&result, err ? DMA_ERROR : 0);
    memory_write(memory, at, &result, sizeof(result));
}

static uint64_t dma_register_read(void *opaque UNUSED, uint64_t offset, unsigned width UNUSED)
{
    return __builtin_bswap64(DMA_SIGNATURE) >> 8 * offset;
}

static void dma_register_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct fw_cfg *fw = opaque;
    uint32_t word = __builtin_bswap32((uint32_t)value);

    if (width != 4)
        return;
    if (offset == 0) {
        fw->dma_address = (uint64_t)word << 32;
        return;
    }
    fw->dma_address |= word;
    dma_run(fw);
}

static const struct region_ops ports_ops = {
    .read = ports_read, .write = ports_write, .min_width = 1, .max_width = 2};
static const struct region_ops dma_ops = {
    .read = dma_register_read, .write = dma_register_write, .min_width = 1, .max_width = 4};

/* --- the device --- */

static void fw_cfg_reset(struct device *device)
{
    struct fw_cfg *fw = container_of(device, struct fw_cfg, base);
    unsigned i;

    fw->key = KEY_NONE;
    fw->offset = 0;
    fw->dma_address = 0;
    for (i = 0; i < KEY_COUNT; i++)
        fw->items[i].built = false;
}

/*
 * Built files are saved with their content: a guest half way through reading them must go on with the same bytes.
 * Other items are the configuration's, the same on both sides.
 */
static void fw_cfg_save(struct device *device, struct writer *w)
{
    struct fw_cfg *fw = container_of(device, struct fw_cfg, base);
    unsigned i;

    writer_u16(w, fw->key);
    writer_u32(w, fw->offset);
    writer_u64(w, fw->dma_address);
    for (i = 0; i < KEY_COUNT; i++) {
        const struct item *item = &fw->items[i];

        if (!item->built && !item->writable)
            continue;
        writer_u16(w, (uint16_t)i);
        writer_u32(w, (uint32_t)item->size);
        writer_bytes(w, item->data, item->size);
    }
    writer_u16(w, KEY_NONE);
}

static int load_items(struct fw_cfg *fw, struct reader *r)
{
    unsigned key;

    while ((key = reader_u16(r)) != KEY_NONE) {
        size_t size = reader_u32(r);
        const uint8_t *data = reader_bytes(r, size);

        if (r->bad || key >= KEY_COUNT || !fw->items[key].data || size != fw->items[key].size)
            return fail(-EINVAL, "fw_cfg: the saved state is of a machine configured otherwise");
        memcpy(fw->items[key].data, data, size);
        fw->items[key].built = fw->items[key].build != NULL;
    }
    return 0;
}

static int fw_cfg_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct fw_cfg *fw = container_of(device, struct fw_cfg, base);
    uint16_t key = reader_u16(r);
    uint32_t offset = reader_u32(r);
    int err;

    fw_cfg_reset(device);
    fw->dma_address = reader_u64(r);
    err = load_items(fw, r);
    if (err)
        return err;
    if (key != KEY_NONE &&
        (key >= KEY_COUNT || !fw->items[key].data || offset > fw->items[key].size))
        return fail(-EINVAL, "fw_cfg: the saved state is of a machine configured otherwise");
    fw->key = key;
    fw->offset = key == KEY_NONE ? 0 : offset;
    return 0;
}

static void fw_cfg_destroy(struct device *device)
{
    struct fw_cfg *fw = container_of(device, struct fw_cfg, base);
    unsigned i;

    bus_unmap(device->machine->pio, &fw->ports);
    bus_unmap(device->machine->pio, &fw->dma);
    for (i = 0; i < KEY_COUNT; i++)
        free(fw->items[i].data);
    free(fw);
}

static const struct device_ops fw_cfg_ops = {
    .name = "fw_cfg",
    .version = 1,
    .reset = fw_cfg_reset,
    .save = fw_cfg_save,
    .load = fw_cfg_load,
    .destroy = fw_cfg_destroy,
};

struct fw_cfg *fw_cfg_create(struct machine *machine)
{
    struct fw_cfg *fw = calloc(1, sizeof(*fw));
    uint8_t id[4];

    if (!fw)
        return NULL;
    device_init(&fw->base, &fw_cfg_ops, machine);
    fw->key = KEY_NONE;
    fw->ports = (struct region){"fw_cfg", &ports_ops, fw, .size = 2};
    fw->dma = (struct region){"fw_cfg dma", &dma_ops, fw, .size = 8};
    bus_map(machine->pio, &fw->ports, 0x510);
    bus_map(machine->pio, &fw->dma, 0x514);
    store_le32(id, ID_TRADITIONAL | ID_DMA);
    fw_cfg_add(fw, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add(fw, FW_CFG_ID, id, sizeof(id));
    build_directory(fw);
    return fw;
}

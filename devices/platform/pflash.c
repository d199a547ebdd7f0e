#include "devices/platform/pflash.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERASED 0xff

enum command {
    PROGRAM = 0x10,
    ERASE = 0x20,
    PROGRAM_ALTERNATE = 0x40,
    CLEAR_STATUS = 0x50,
    LOCKS = 0x60,
    READ_STATUS = 0x70,
    READ_ID = 0x90,
    QUERY = 0x98,
    CONFIRM = 0xd0,
    READ_ARRAY = 0xff,
};

enum { STATUS_READY = 0x80, STATUS_SEQUENCE = 0x30, STATUS_PROGRAM = 0x10 };

/* What a read gives, and what the next write is. */
enum mode { ARRAY, STATUS, ID, CFI, PROGRAM_DATA, ERASE_CONFIRM, LOCK_CONFIRM };

struct pflash {
    struct device base;
    struct pflash_config config;
    struct region region;
    enum mode mode;
    uint8_t status;
    size_t dirty_start, dirty_end; /* not in the file yet; equal: nothing */
};

static struct pflash *of_device(struct device *device)
{
    return container_of(device, struct pflash, base);
}

/* --- the file --- */

static int write_all(int fd, const uint8_t *data, size_t size, off_t offset)
{
    while (size) {
        ssize_t n = pwrite(fd, data, size, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        data += n;
        size -= (size_t)n;
        offset += n;
    }
    return 0;
}

/* What could not be written stays to be written; the guest gets to know if it looks. */
static void write_back(struct pflash *flash)
{
    const struct pflash_config *c = &flash->config;
    size_t size = flash->dirty_end - flash->dirty_start;
    int err;

    if (!size || c->fd < 0)
        return;
    err = write_all(c->fd, c->ram->host + flash->dirty_start, size, (off_t)flash->dirty_start);
    if (err) {
        log_once(LOG_ERROR, "UEFI variables '%s' cannot be written: %s", c->path, strerror(-err));
        flash->status |= STATUS_PROGRAM;
        return;
    }
    sync_file_range(c->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    flash->dirty_start = flash->dirty_end = 0;
}

static void changed(struct pflash *flash, size_t start, size_t size)
{
    bool clean = flash->dirty_start == flash->dirty_end;

    flash->dirty_start = clean ? start : MIN(flash->dirty_start, start);
    flash->dirty_end = clean ? start + size : MAX(flash->dirty_end, start + size);
}

/* --- modes --- */

static void set_mode(struct pflash *flash, enum mode mode)
{
    struct memory *memory = flash->base.machine->memory;
    bool shown = flash->config.ram->mapped, show = mode == ARRAY;

    flash->mode = mode;
    if (show)
        write_back(flash);
    if (show && !shown && memory_map_ram(memory, flash->config.ram, flash->config.base))
        log_error("flash: %s", fail_text());
    else if (!show && shown)
        memory_unmap_ram(memory, flash->config.ram);
}

/* Bits go from one to zero only. */
static void program(struct pflash *flash, size_t offset, uint8_t value)
{
    flash->config.ram->host[offset] &= value;
    changed(flash, offset, 1);
    flash->status |= STATUS_READY;
    set_mode(flash, STATUS);
}

static void erase(struct pflash *flash, size_t offset, uint8_t value)
{
    offset = ALIGN_DOWN(offset, (size_t)PFLASH_BLOCK);
    flash->status |= STATUS_READY;
    if (value == CONFIRM) {
        memset(flash->config.ram->host + offset, ERASED, PFLASH_BLOCK);
        changed(flash, offset, PFLASH_BLOCK);
    } else {
        flash->status |= STATUS_SEQUENCE;
    }
    set_mode(flash, STATUS);
}

static void command(struct pflash *flash, uint8_t value)
{
    switch (value) {
    case PROGRAM:
    case PROGRAM_ALTERNATE:
        set_mode(flash, PROGRAM_DATA);
        break;
    case ERASE:
        set_mode(flash, ERASE_CONFIRM);
        break;
    case LOCKS: /* blocks have no locks: any of its commands is carried out by doing nothing */
        set_mode(flash, LOCK_CONFIRM);
        break;
    case CLEAR_STATUS: /* to 0, by which OVMF tells an emulated chip */
        flash->status = 0;
        set_mode(flash, ARRAY);
        break;
    case READ_STATUS:
        set_mode(flash, STATUS);
        break;
    case READ_ID:
        set_mode(flash, ID);
        break;
    case QUERY:
        set_mode(flash, CFI);
        break;
    default:
        set_mode(flash, ARRAY);
    }
}

static void flash_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    struct pflash *flash = opaque;

    switch (flash->mode) {
    case PROGRAM_DATA:
        program(flash, offset, (uint8_t)value);
        break;
    case ERASE_CONFIRM:
        erase(flash, offset, (uint8_t)value);
        break;
    case LOCK_CONFIRM:
        flash->status |= STATUS_READY;
        set_mode(flash, STATUS);
        break;
    default:
        command(flash, (uint8_t)value);
    }
}

/* Manufacturer, device, then zeros: no block is locked. */
static uint8_t read_id(uint64_t offset)
{
    static const uint8_t id[] = {0x89, 0x18};

    return (offset & 0xff) < sizeof(id) ? id[offset & 0xff] : 0;
}

/* JEP137: "QRY", the command set, voltages and times as powers of two, size, and one region of equal blocks. */
static uint8_t read_cfi(const struct pflash *flash, uint64_t offset)
{
    size_t size = flash->config.ram->size, blocks = size / PFLASH_BLOCK - 1;
    uint8_t bits = 0, table[] = {'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0, 0x45, 0x55, 0, 0, 7, 0, 10, 0, 4, 0, 4, 0, 0,
                                 0, 0, 0, 0, 1, (uint8_t)blocks, (uint8_t)(blocks >> 8), PFLASH_BLOCK >> 8 & 0xff,
                                 PFLASH_BLOCK >> 16};

    while ((size_t)1 << bits < size)
        bits++;
    table[0x17] = bits; /* 0x27 */
    return offset >= 0x10 && offset - 0x10 < sizeof(table) ? table[offset - 0x10] : 0;
}

static uint64_t flash_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    struct pflash *flash = opaque;

    switch (flash->mode) {
    case ARRAY:
        return flash->config.ram->host[offset];
    case ID:
        return read_id(offset);
    case CFI:
        return read_cfi(flash, offset);
    default:
        write_back(flash);
        return flash->status;
    }
}

static const struct region_ops region_ops = {.read = flash_read, .write = flash_write, .max_width = 1};

/* --- the device --- */

static void pflash_reset(struct device *device)
{
    struct pflash *flash = of_device(device);

    flash->status = STATUS_READY;
    set_mode(flash, ARRAY);
    if (flash->config.fd >= 0)
        fdatasync(flash->config.fd);
}

static void pflash_save(struct device *device, struct writer *w)
{
    struct pflash *flash = of_device(device);

    write_back(flash);
    writer_u8(w, (uint8_t)flash->mode);
    writer_u8(w, flash->status);
    writer_u32(w, (uint32_t)flash->config.ram->size);
    writer_bytes(w, flash->config.ram->host, flash->config.ram->size);
}

/* The variables go back to what they were, in the file too. */
static int pflash_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct pflash *flash = of_device(device);
    uint8_t mode = reader_u8(r), status = reader_u8(r);
    size_t size = reader_u32(r);
    const uint8_t *content = size == flash->config.ram->size ? reader_bytes(r, size) : NULL;

    if (!content || mode > LOCK_CONFIRM)
        return fail(-EINVAL, "flash: the saved state is of another machine");
    memcpy(flash->config.ram->host, content, size);
    changed(flash, 0, size);
    flash->status = status;
    write_back(flash);
    set_mode(flash, mode);
    return 0;
}

static void pflash_destroy(struct device *device)
{
    struct pflash *flash = of_device(device);

    write_back(flash);
    if (flash->config.fd >= 0)
        fdatasync(flash->config.fd);
    bus_unmap(device->machine->mmio, &flash->region);
    memory_unmap_ram(device->machine->memory, flash->config.ram);
    free(flash);
}

static const struct device_ops pflash_ops = {
    .name = "pflash",
    .version = 1,
    .reset = pflash_reset,
    .save = pflash_save,
    .load = pflash_load,
    .destroy = pflash_destroy,
};

struct device *pflash_create(struct machine *machine, const struct pflash_config *config)
{
    struct pflash *flash = calloc(1, sizeof(*flash));

    if (!flash)
        return NULL;
    device_init(&flash->base, &pflash_ops, machine);
    flash->config = *config;
    flash->region = (struct region){"flash", &region_ops, flash, .size = config->ram->size};
    bus_map(machine->mmio, &flash->region, config->base);
    flash->status = STATUS_READY;
    set_mode(flash, ARRAY);
    return &flash->base;
}

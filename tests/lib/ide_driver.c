#include "tests/lib/ide_driver.h"

#include "tests/lib/disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT 5000 /* ms */

/* --- disks behind gates --- */

static void inner_done(struct disk_request *inner, int result)
{
    struct gate *gate = container_of(inner, struct gate, inner);

    gate->request->done(gate->request, result);
}

static bool is_bad(const struct gate *gate, const struct disk_request *r)
{
    return r->op <= DISK_WRITE && r->offset < gate->bad_to && r->offset + r->bytes > gate->bad_from;
}

static void pass(void *arg)
{
    struct gate *gate = arg;
    struct disk_request *r = gate->request;
    int error = __atomic_load_n(&gate->error, __ATOMIC_ACQUIRE);

    __atomic_store_n(&gate->held, false, __ATOMIC_RELEASE);
    if (r->op == DISK_FLUSH)
        __atomic_add_fetch(&gate->flushes, 1, __ATOMIC_RELAXED);
    if (r->op == DISK_DISCARD)
        __atomic_add_fetch(&gate->discards, 1, __ATOMIC_RELAXED);
    if (error || is_bad(gate, r)) {
        r->done(r, error ? error : -EIO);
        return;
    }
    gate->inner = *r;
    gate->inner.done = inner_done;
    disk_submit(gate->image, &gate->inner);
}

static void gate_submit(struct disk *disk, struct disk_request *r)
{
    struct gate *gate = container_of(disk, struct gate, disk);

    gate->request = r;
    if (__atomic_load_n(&gate->hold, __ATOMIC_ACQUIRE))
        __atomic_store_n(&gate->held, true, __ATOMIC_RELEASE);
    else
        loop_call(&gate->rig->disk_loop, pass, gate); /* not inside the call that submitted it */
}

static const struct disk_ops gate_ops = {.format = "gate", .submit = gate_submit};

uint8_t ide_rig_byte(unsigned unit, uint64_t at)
{
    return (uint8_t)(at * 7 + at / 512 * 3 + at / 2048 * 11 + unit * 64);
}

static void fill_file(const char *path, unsigned unit, uint64_t size)
{
    uint8_t *data = malloc(size);
    FILE *f = fopen(path, "w");
    uint64_t i;

    for (i = 0; i < size; i++)
        data[i] = ide_rig_byte(unit, i);
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
    free(data);
}

struct opening {
    struct ide_rig *rig;
    struct disk **image;
    struct disk_options options;
    int err;
};

static void open_image(void *arg)
{
    struct opening *o = arg;

    o->err = disk_open(o->image, &o->rig->disk_loop, &o->options);
}

void ide_rig_open(struct ide_rig *rig, unsigned unit, enum ide_kind kind, uint64_t size)
{
    struct gate *gate = &rig->gates[unit];
    struct opening opening = {.rig = rig, .image = &gate->image};
    char *path = rig->paths[unit];

    snprintf(path, sizeof(rig->paths[unit]), "%s/unit%u", test_directory(), unit);
    fill_file(path, unit, size);
    opening.options = (struct disk_options){.path = path, .format = "raw", .read_only = kind == IDE_CDROM};
    loop_call_wait(&rig->disk_loop, open_image, &opening);
    assert_int_equal(opening.err, 0);
    *gate = (struct gate){.image = gate->image, .rig = rig};
    gate->disk = (struct disk){&gate_ops, gate->image->size, gate->image->read_only};
}

static void close_image(void *arg)
{
    struct gate *gate = arg;

    disk_close(gate->image);
    gate->image = NULL;
}

void ide_rig_close(struct ide_rig *rig, unsigned unit)
{
    loop_call_wait(&rig->disk_loop, close_image, &rig->gates[unit]);
}

void ide_rig_hold(struct ide_rig *rig, unsigned unit)
{
    __atomic_store_n(&rig->gates[unit].hold, true, __ATOMIC_RELEASE);
}

void ide_rig_release(struct ide_rig *rig, unsigned unit)
{
    struct gate *gate = &rig->gates[unit];

    __atomic_store_n(&gate->hold, false, __ATOMIC_RELEASE);
    if (__atomic_load_n(&gate->held, __ATOMIC_ACQUIRE))
        loop_call(&rig->disk_loop, pass, gate);
}

static bool is_held(void *arg)
{
    return __atomic_load_n(&((struct gate *)arg)->held, __ATOMIC_ACQUIRE);
}

void ide_rig_wait_held(struct ide_rig *rig, unsigned unit)
{
    assert_true(fake_machine_wait(&rig->m, is_held, &rig->gates[unit], WAIT));
}

/* --- the rig --- */

void ide_rig_set_up(struct ide_rig *rig)
{
    fake_pci_setup(&rig->m, IDE_DEVFN);
    fake_pci_write(&rig->m, IDE_DEVFN, 0x40, 0x80008000, 4);
    rig->bmdma = (uint16_t)fake_pci_bar(&rig->m, IDE_DEVFN, 4);
}

struct ide_rig *ide_rig_create(const struct ide_rig_options *options)
{
    struct ide_rig *rig = calloc(1, sizeof(*rig));
    struct ide_options ide = {.loop = &rig->disk_loop};
    unsigned unit;

    assert_int_equal(loop_init(&rig->disk_loop), 0);
    assert_int_equal(loop_start(&rig->disk_loop, "disk"), 0);
    assert_int_equal(fake_machine_init(&rig->m, IDE_TEST_RAM, true), 0);
    for (unit = 0; unit < IDE_UNITS; unit++) {
        if (options->sizes[unit])
            ide_rig_open(rig, unit, options->kinds[unit], options->sizes[unit]);
        ide.units[unit].kind = options->kinds[unit];
        ide.units[unit].disk = options->sizes[unit] ? &rig->gates[unit].disk : NULL;
    }
    ide.units[0].serial = options->serial;
    assert_int_equal(ide_create(&rig->ide, &rig->m.base, &ide), 0);
    ide_rig_set_up(rig);
    return rig;
}

void ide_rig_destroy(struct ide_rig *rig)
{
    unsigned unit;

    fake_machine_fini(&rig->m);
    for (unit = 0; unit < IDE_UNITS; unit++)
        if (rig->gates[unit].image)
            ide_rig_close(rig, unit);
    loop_stop(&rig->disk_loop);
    loop_join(&rig->disk_loop);
    loop_fini(&rig->disk_loop);
    free(rig);
}

struct device *ide_rig_device(struct ide_rig *rig)
{
    return TAILQ_FIRST(&rig->m.base.devices);
}

/* --- registers --- */

static uint16_t port(const struct ide_rig *rig, unsigned reg)
{
    return (uint16_t)((rig->channel ? 0x170 : 0x1f0) + reg);
}

static uint16_t control_port(const struct ide_rig *rig)
{
    return rig->channel ? 0x376 : 0x3f6;
}

uint8_t ide_in(struct ide_rig *rig, unsigned reg)
{
    return (uint8_t)fake_in(&rig->m, port(rig, reg), 1);
}

void ide_out(struct ide_rig *rig, unsigned reg, uint8_t value)
{
    fake_out(&rig->m, port(rig, reg), value, 1);
}

void ide_select(struct ide_rig *rig, unsigned unit)
{
    rig->channel = unit / 2;
    rig->slave = unit % 2;
    ide_out(rig, 6, rig->slave ? 0xb0 : 0xa0);
}

void ide_control(struct ide_rig *rig, uint8_t value)
{
    fake_out(&rig->m, control_port(rig), value, 1);
}

void ide_soft_reset(struct ide_rig *rig)
{
    ide_control(rig, 4);
    ide_control(rig, 0);
}

uint8_t ide_alt_status(struct ide_rig *rig)
{
    return (uint8_t)fake_in(&rig->m, control_port(rig), 1);
}

static bool is_ready(void *arg)
{
    return !(ide_alt_status(arg) & BSY);
}

uint8_t ide_wait(struct ide_rig *rig)
{
    assert_true(fake_machine_wait(&rig->m, is_ready, rig, WAIT));
    return ide_alt_status(rig);
}

bool ide_irq(struct ide_rig *rig)
{
    bool level;

    pthread_mutex_lock(&rig->m.record_lock);
    level = rig->m.gsi_level[14 + rig->channel];
    pthread_mutex_unlock(&rig->m.record_lock);
    return level;
}

static bool irq_is_up(void *arg)
{
    return ide_irq(arg);
}

uint8_t ide_wait_irq(struct ide_rig *rig)
{
    assert_true(fake_machine_wait(&rig->m, irq_is_up, rig, WAIT));
    return ide_in(rig, 7);
}

/* --- ATA commands --- */

static uint8_t device_bits(const struct ide_rig *rig)
{
    return rig->slave ? 0xb0 : 0xa0;
}

void ide_address28(struct ide_rig *rig, uint32_t lba, uint8_t count)
{
    ide_out(rig, 6, (uint8_t)(device_bits(rig) | 0x40 | (lba >> 24 & 0x0f)));
    ide_out(rig, 2, count);
    ide_out(rig, 3, (uint8_t)lba);
    ide_out(rig, 4, (uint8_t)(lba >> 8));
    ide_out(rig, 5, (uint8_t)(lba >> 16));
}

void ide_address48(struct ide_rig *rig, uint64_t lba, uint16_t count)
{
    unsigned i;

    ide_out(rig, 6, device_bits(rig) | 0x40);
    ide_out(rig, 2, (uint8_t)(count >> 8));
    ide_out(rig, 2, (uint8_t)count);
    for (i = 0; i < 3; i++) {
        ide_out(rig, 3 + i, (uint8_t)(lba >> (24 + 8 * i)));
        ide_out(rig, 3 + i, (uint8_t)(lba >> 8 * i));
    }
}

void ide_address_chs(struct ide_rig *rig, unsigned cylinder, unsigned head, unsigned sector, uint8_t count)
{
    ide_out(rig, 6, (uint8_t)(device_bits(rig) | head));
    ide_out(rig, 2, count);
    ide_out(rig, 3, (uint8_t)sector);
    ide_out(rig, 4, (uint8_t)cylinder);
    ide_out(rig, 5, (uint8_t)(cylinder >> 8));
}

void ide_command_out(struct ide_rig *rig, uint8_t command)
{
    ide_out(rig, 7, command);
}

/* And take its interrupt, if there is one. */
static void await_block(struct ide_rig *rig)
{
    assert_int_equal(ide_wait(rig) & (DRQ | ERR), DRQ);
    ide_in(rig, 7);
}

void ide_pio_read(struct ide_rig *rig, void *data, size_t size, size_t block)
{
    uint8_t *to = data;
    size_t i;

    for (i = 0; i < size; i += 2) {
        uint16_t word;

        if (i % block == 0)
            await_block(rig);
        word = (uint16_t)fake_in(&rig->m, port(rig, 0), 2);
        memcpy(to + i, &word, MIN(2, size - i));
    }
}

void ide_pio_write(struct ide_rig *rig, const void *data, size_t size, size_t block)
{
    const uint8_t *from = data;
    size_t i;

    for (i = 0; i < size; i += 2) {
        if (i % block == 0)
            await_block(rig);
        fake_out(&rig->m, port(rig, 0), load_le16(from + i), 2);
    }
}

/* --- DMA --- */

static uint16_t bm_port(const struct ide_rig *rig, unsigned reg)
{
    return (uint16_t)(rig->bmdma + 8 * rig->channel + reg);
}

void ide_prd(struct ide_rig *rig, unsigned n, uint32_t addr, uint32_t flags_size)
{
    store_le32(ide_memory(rig, IDE_TEST_TABLE + 8 * n), addr);
    store_le32(ide_memory(rig, IDE_TEST_TABLE + 8 * n + 4), flags_size);
}

void ide_prd_simple(struct ide_rig *rig, uint32_t size)
{
    uint32_t at, n;

    for (at = n = 0; at < size; at += 0x10000, n++) {
        uint32_t part = MIN(size - at, 0x10000);

        ide_prd(rig, n, IDE_TEST_DATA + at, (part & 0xffff) | (at + part == size ? 0x80000000 : 0));
    }
}

void ide_bm_start(struct ide_rig *rig, bool to_memory)
{
    fake_out(&rig->m, bm_port(rig, 4), IDE_TEST_TABLE, 4);
    fake_out(&rig->m, bm_port(rig, 0), to_memory ? 8 : 0, 1);
    fake_out(&rig->m, bm_port(rig, 2), BM_ERROR | BM_INTERRUPT, 1);
    fake_out(&rig->m, bm_port(rig, 0), to_memory ? 9 : 1, 1);
}

void ide_bm_stop(struct ide_rig *rig)
{
    fake_out(&rig->m, bm_port(rig, 0), 0, 1);
}

uint8_t ide_bm_status(struct ide_rig *rig)
{
    return (uint8_t)fake_in(&rig->m, bm_port(rig, 2), 1);
}

uint8_t ide_dma(struct ide_rig *rig, uint8_t command, uint32_t size, bool to_memory)
{
    uint8_t status;

    ide_prd_simple(rig, size);
    ide_command_out(rig, command);
    ide_bm_start(rig, to_memory);
    status = ide_wait_irq(rig);
    assert_int_equal(ide_bm_status(rig) & BM_INTERRUPT, BM_INTERRUPT);
    ide_bm_stop(rig);
    return status;
}

/* --- packets --- */

static void send_packet(struct ide_rig *rig, const uint8_t packet[12], uint8_t features, uint16_t limit)
{
    ide_out(rig, 1, features);
    ide_out(rig, 4, (uint8_t)limit);
    ide_out(rig, 5, (uint8_t)(limit >> 8));
    ide_command_out(rig, 0xa0);
    assert_int_equal(ide_wait(rig) & (DRQ | ERR), DRQ);
    assert_int_equal(ide_in(rig, 2) & 3, 1);
    ide_pio_write(rig, packet, 12, 12);
}

int ide_packet(struct ide_rig *rig, const uint8_t packet[12], void *data, size_t size, uint16_t limit)
{
    uint8_t *to = data;
    size_t got = 0;

    send_packet(rig, packet, 0, limit);
    for (;;) {
        uint8_t status = ide_wait_irq(rig);
        size_t block;

        if (!(status & DRQ)) {
            assert_int_equal(ide_in(rig, 2) & 3, 3);
            return status & ERR ? -1 : (int)got;
        }
        assert_int_equal(ide_in(rig, 2) & 3, 2);
        block = ide_in(rig, 4) | (size_t)ide_in(rig, 5) << 8;
        assert_in_range(block, 1, limit);
        assert_true(got + block <= size);
        ide_pio_read(rig, to + got, block, block);
        got += block;
    }
}

uint8_t ide_packet_dma(struct ide_rig *rig, const uint8_t packet[12], uint32_t size)
{
    uint8_t status;

    ide_prd_simple(rig, size);
    send_packet(rig, packet, 1, 0);
    ide_bm_start(rig, true);
    status = ide_wait_irq(rig);
    ide_bm_stop(rig);
    return status;
}

uint32_t ide_sense(struct ide_rig *rig)
{
    static const uint8_t request[12] = {0x03, [4] = 18};
    uint8_t sense[18];

    assert_int_equal(ide_packet(rig, request, sense, sizeof(sense), 18), 18);
    return (uint32_t)(sense[2] & 0x0f) << 16 | (uint32_t)sense[12] << 8 | sense[13];
}

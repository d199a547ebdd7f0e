/*
 * The IDE function under a hostile guest: any access to any register, whole commands and packets with any parameters,
 * descriptor tables that another CPU changes meanwhile, media that come and go, resets, and saves that must load again.
 * Requests complete, or fail, when a step says so. A step is an operation byte, a unit byte, a count byte, and that many bytes more.
 */
#include "devices/ide/ide.h"
#include "tests/fuzz/fuzz_other_cpu.h"
#include "tests/lib/fake_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RAM_SIZE  MIB(4)
#define DISK_SIZE MIB(2)
#define MAX_STEPS 200
#define DRIVES    IDE_UNITS

enum { BMDMA_BAR = 4, DATA_READS = 5000, TABLE = 0x10000 };

struct fixture {
    struct fake_machine m;
    struct ide *ide;
    uint16_t bmdma;
    struct loop disk_loop; /* run here, between steps */
    struct disk disk, cds[2];
    uint8_t data[DISK_SIZE];
    struct disk_request *held[DRIVES];
    unsigned held_count;
    struct other_cpu other;
};

struct input {
    const uint8_t *p;
    size_t size;
};

static uint64_t take(struct input *in, unsigned size)
{
    uint64_t value = 0;

    size = (unsigned)MIN(size, in->size);
    memcpy(&value, in->p, size);
    in->p += size;
    in->size -= size;
    return value;
}

/* --- disks: what the device asks must always be legal --- */

static struct fixture *the_fixture;

static void disk_take(struct disk *disk, struct disk_request *r)
{
    struct fixture *f = the_fixture;

    if (f->held_count == DRIVES || r->iov_count > 1)
        abort();
    if (r->op != DISK_FLUSH && (r->offset % DISK_SECTOR || r->bytes % DISK_SECTOR || r->bytes > disk->size ||
                                r->offset > disk->size - r->bytes || (disk->read_only && r->op != DISK_READ)))
        abort();
    f->held[f->held_count++] = r;
}

static const struct disk_ops disk_ops = {.format = "fuzz", .submit = disk_take};

static void complete(struct fixture *f, int result)
{
    struct disk_request *r = f->held[--f->held_count];

    if (!result && r->op == DISK_READ)
        memcpy(r->iov->iov_base, f->data + r->offset, r->bytes);
    else if (!result && r->op == DISK_WRITE)
        memcpy(f->data + r->offset, r->iov->iov_base, r->bytes);
    r->done(r, result);
}

/* Until nothing is in flight: what ends may lead to the next request. */
static void pump(struct fixture *f, int result)
{
    bool any;

    do {
        uv_run(&f->disk_loop.uv, UV_RUN_NOWAIT);
        any = f->held_count > 0;
        while (f->held_count)
            complete(f, result);
        uv_run(&f->m.loop.uv, UV_RUN_NOWAIT);
    } while (any);
}

/* --- steps --- */

static uint16_t command_port(unsigned unit)
{
    return unit & 2 ? 0x170 : 0x1f0;
}

static void access_port(struct fixture *f, unsigned unit, struct input *in)
{
    unsigned width = 1u << take(in, 1) % 3;
    uint16_t port = (uint16_t)(command_port(unit) + (take(in, 1) & 7));

    if (in->size)
        fake_out(&f->m, port, (uint32_t)take(in, 4), width);
    else
        fake_in(&f->m, port, width);
}

static void access_control(struct fixture *f, unsigned unit, struct input *in)
{
    uint16_t port = (uint16_t)(command_port(unit) + 0x206);

    if (in->size)
        fake_out(&f->m, port, (uint32_t)take(in, 1), 1);
    else
        fake_in(&f->m, port, 1);
}

static void access_bmdma(struct fixture *f, unsigned unit UNUSED, struct input *in)
{
    unsigned width = 1u << take(in, 1) % 3;
    uint16_t port = (uint16_t)(f->bmdma + (take(in, 1) & 15));

    if (in->size)
        fake_out(&f->m, port, (uint32_t)take(in, 4), width);
    else
        fake_in(&f->m, port, width);
}

static void access_config(struct fixture *f, unsigned unit UNUSED, struct input *in)
{
    unsigned width = 1u << take(in, 1) % 3;
    unsigned offset = (unsigned)take(in, 1) & ~(width - 1);

    fake_pci_write(&f->m, IDE_DEVFN, offset, (uint32_t)take(in, 4), width);
    fake_pci_read(&f->m, IDE_DEVFN, offset, width);
}

static void write_memory(struct fixture *f, unsigned unit UNUSED, struct input *in)
{
    size_t at = take(in, 2);

    memcpy(f->m.ram.host + at, in->p, in->size);
}

/* Registers twice, for 48 bits, and the command. */
static void command(struct fixture *f, unsigned unit, struct input *in)
{
    uint16_t port = command_port(unit);
    unsigned reg, i;

    fake_out(&f->m, port + 6, (uint32_t)((take(in, 1) & 0xef) | (unit & 1) << 4), 1);
    for (i = 0; i < 2; i++)
        for (reg = 1; reg < 6; reg++)
            fake_out(&f->m, (uint16_t)(port + reg), (uint32_t)take(in, 1), 1);
    fake_out(&f->m, port + 7, (uint32_t)take(in, 1), 1);
}

static void packet(struct fixture *f, unsigned unit, struct input *in)
{
    uint16_t port = command_port(unit);
    unsigned i;

    fake_out(&f->m, port + 6, (unit & 1) << 4, 1);
    fake_out(&f->m, port + 1, take(in, 1) & 1, 1);
    fake_out(&f->m, port + 4, (uint32_t)take(in, 1), 1);
    fake_out(&f->m, port + 5, (uint32_t)take(in, 1), 1);
    fake_out(&f->m, port + 7, 0xa0, 1);
    for (i = 0; i < 6; i++)
        fake_out(&f->m, port, (uint32_t)take(in, 2), 2);
}

static void move_data(struct fixture *f, unsigned unit, struct input *in)
{
    unsigned how = (unsigned)take(in, 1), count = (unsigned)take(in, 2) % DATA_READS, i;

    for (i = 0; i < count; i++) {
        if (how & 1)
            fake_out(&f->m, command_port(unit), i * 0x01010101u, how & 2 ? 4 : 2);
        else
            fake_in(&f->m, command_port(unit), how & 2 ? 4 : 2);
    }
}

/* A table at an address that the bus master is given, and a start. */
static void start_dma(struct fixture *f, unsigned unit, struct input *in)
{
    uint16_t port = (uint16_t)(f->bmdma + (unit & 2) * 4);
    uint32_t at;
    bool to_memory = take(in, 1) & 1;

    for (at = TABLE; in->size; at += 8) {
        store_le32(f->m.ram.host + at, (uint32_t)take(in, 1) << 16);
        store_le32(f->m.ram.host + at + 4, (uint32_t)take(in, 2) | (in->size ? 0 : 0x80000000));
    }
    fake_out(&f->m, port + 4, TABLE, 4);
    fake_out(&f->m, port, to_memory ? 8 : 0, 1);
    fake_out(&f->m, port, to_memory ? 9 : 1, 1);
}

static void change_table(struct fixture *f, unsigned unit UNUSED, struct input *in)
{
    size_t entries = take(in, 1) % 16;

    if (entries)
        other_cpu_start(&f->other, f->m.ram.host + TABLE, entries * 8, take(in, 8));
    else
        other_cpu_stop(&f->other);
}

static void end_requests(struct fixture *f, unsigned unit UNUSED, struct input *in)
{
    pump(f, take(in, 1) & 1 ? -EIO : 0);
}

static void change_medium(struct fixture *f, unsigned unit, struct input *in)
{
    unsigned how = (unsigned)take(in, 1);
    struct disk *old;

    pump(f, 0); /* it waits for them */
    ide_cdrom_change(f->ide, unit, how & 2 ? &f->cds[unit & 1] : NULL, how & 1, &old);
}

static void set_up(struct fixture *f)
{
    fake_pci_setup(&f->m, IDE_DEVFN);
    fake_pci_write(&f->m, IDE_DEVFN, 0x40, 0x80008000, 4);
    f->bmdma = (uint16_t)fake_pci_bar(&f->m, IDE_DEVFN, BMDMA_BAR);
}

static void reset(struct fixture *f, unsigned unit UNUSED, struct input *in UNUSED)
{
    fake_machine_reset(&f->m);
    set_up(f);
}

static void save_and_load(struct fixture *f, unsigned unit UNUSED, struct input *in)
{
    struct device *device = TAILQ_FIRST(&f->m.base.devices);
    size_t spoil = take(in, 2);
    struct writer w;
    struct reader r;

    pump(f, 0);
    writer_init(&w, MIB(8));
    machine_lock(&f->m.base);
    device->ops->save(device, &w);
    if (w.bad)
        abort();
    if (spoil && in->size) /* a state file may be anybody's */
        w.data[spoil % MIN(w.size, 4096)] ^= *in->p;
    reader_init(&r, w.data, w.size);
    if (device->ops->load(device, &r, device->ops->version) != 0 && !(spoil && in->size))
        abort();
    machine_unlock(&f->m.base);
    writer_fini(&w);
}

static void (*const steps[])(struct fixture *f, unsigned unit, struct input *in) = {
    access_port, access_control, access_bmdma, access_config, write_memory,  command, packet,
    move_data,   start_dma,      end_requests, change_medium, save_and_load, reset,   change_table,
};

static void create(struct fixture *f)
{
    struct ide_options options = {
        .loop = &f->disk_loop,
        .units = {{IDE_DISK, &f->disk, "fuzz"}, {IDE_NONE}, {IDE_CDROM, &f->cds[0]}, {IDE_CDROM}}};
    unsigned i;

    f->disk = (struct disk){&disk_ops, DISK_SIZE, false};
    for (i = 0; i < 2; i++)
        f->cds[i] = (struct disk){&disk_ops, DISK_SIZE - i * 512, true};
    if (fake_machine_init(&f->m, RAM_SIZE, true) || loop_init(&f->disk_loop) ||
        ide_create(&f->ide, &f->m.base, &options))
        abort();
    set_up(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = calloc(1, sizeof(*f));
    unsigned n;

    the_fixture = f;
    create(f);
    for (n = 0; n < MAX_STEPS && size >= 3; n++) {
        struct input in = {data + 3, MIN(data[2], size - 3)};
        size_t used = 3 + in.size;

        steps[data[0] % ARRAY_SIZE(steps)](f, data[1] % DRIVES, &in);
        uv_run(&f->disk_loop.uv, UV_RUN_NOWAIT);
        data += used;
        size -= used;
    }
    other_cpu_stop(&f->other);
    pump(f, 0);
    fake_machine_fini(&f->m);
    loop_fini(&f->disk_loop);
    free(f);
    return 0;
}

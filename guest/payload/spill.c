/*
 * Writes 16 MiB to the first virtio or else IDE disk, a number into each sector, flushing now and then; reads all of it
 * back. It polls and never times out: a host whose disk is full may take as long as it likes.
 */
#include "legacy_virtio.h"

#define SECTORS     32768
#define CHUNK       128 /* sectors */
#define FLUSH_EVERY 16  /* chunks */
#define MAGIC       0x11a9be5u
#define DATA        0x1000000 /* above all that the payload uses; CHUNK sectors */
#define RING        0x1100000
#define TABLE       0x1200000 /* of the bus master */

enum disk_op { READ, WRITE, FLUSH };

struct disk {
    bool (*find)(void);
    bool (*request)(enum disk_op op, uint32_t sector); /* true: it was done */
};

/* --- virtio-blk --- */

static struct legacy_virtio blk;
static struct {
    uint32_t type, reserved;
    uint64_t sector;
    volatile uint8_t status;
} header;

static bool virtio_find(void)
{
    return legacy_virtio_start(&blk, VIRTIO_BLK, 1 << VIRTIO_BLK_FLUSH) &&
           legacy_virtio_queue(&blk, 0, RING);
}

static bool virtio_request(enum disk_op op, uint32_t sector)
{
    static const uint32_t types[] = {[READ] = 0, [WRITE] = 1, [FLUSH] = 4};
    struct virtq_descriptor *desc = blk.queue[0].desc;

    header.type = types[op];
    header.sector = sector;
    header.status = 0xff;
    desc[0] = (struct virtq_descriptor){(uintptr_t)&header, 16, VIRTQ_NEXT, op == FLUSH ? 2 : 1};
    desc[1] = (struct virtq_descriptor){DATA, CHUNK * 512,
                                        VIRTQ_NEXT | (op == READ ? VIRTQ_WRITE : 0), 2};
    desc[2] = (struct virtq_descriptor){(uintptr_t)&header.status, 1, VIRTQ_WRITE, 0};
    legacy_virtio_give(&blk, 0, 0);
    while (!legacy_virtio_done(&blk, 0))
        ;
    return header.status == 0;
}

/* --- the primary master, by DMA --- */

static uint16_t ports;

static bool ide_find(void)
{
    int devfn = pci_find(0x8086, 0x7010);

    if (devfn < 0)
        return false;
    pci_write((unsigned)devfn, 0x40, 0x80008000, 4);
    pci_write((unsigned)devfn, 4, 5, 2);
    ports = (uint16_t)pci_bar((unsigned)devfn, 4);
    outb(0x1f6, 0xe0);
    return inb(0x1f7) != 0 && inb(0x1f7) != 0x7f;
}

static void ide_address(uint32_t sector)
{
    unsigned i;

    outb(0x1f6, 0xe0);
    for (i = 0; i < 2; i++)
        outb(0x1f2, i ? CHUNK : 0);
    outb(0x1f3, (uint8_t)(sector >> 24));
    outb(0x1f4, 0);
    outb(0x1f5, 0);
    for (i = 0; i < 3; i++)
        outb(0x1f3 + i, (uint8_t)(sector >> 8 * i));
}

static bool ide_request(enum disk_op op, uint32_t sector)
{
    static const uint8_t commands[] = {[READ] = 0x25, [WRITE] = 0x35, [FLUSH] = 0xea};
    uint32_t *table = (uint32_t *)TABLE;
    uint8_t status;

    table[0] = DATA;
    table[1] = 0x80000000; /* 64 KiB, the end */
    ide_address(sector);
    outl(ports + 4, TABLE);
    outb(ports + 2, 6);
    outb(0x1f7, commands[op]);
    if (op != FLUSH)
        outb(ports, op == READ ? 9 : 1);
    while ((status = inb(0x3f6)) & 0x80)
        ;
    /* Not busy is not done yet: the bus master may still be at it. */
    while (op != FLUSH && (inb(ports + 2) & 7) == 1)
        ;
    outb(ports, 0);
    return !(inb(0x1f7) & 0x89) && !(inb(ports + 2) & 2);
}

/* --- what is written --- */

static const struct disk disks[] = {{virtio_find, virtio_request}, {ide_find, ide_request}};

static const struct disk *find_disk(void)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(disks); i++)
        if (disks[i].find())
            return &disks[i];
    return NULL;
}

static volatile uint32_t *sector_at(unsigned i)
{
    return (volatile uint32_t *)(uintptr_t)(DATA + 512 * i);
}

static unsigned spill(const struct disk *disk)
{
    unsigned i, failed = 0;
    uint32_t at;

    for (at = 0; at < SECTORS; at += CHUNK) {
        for (i = 0; i < CHUNK; i++) {
            sector_at(i)[0] = MAGIC;
            sector_at(i)[127] = at + i;
        }
        failed += !disk->request(WRITE, at);
        if (at / CHUNK % FLUSH_EVERY != FLUSH_EVERY - 1)
            continue;
        failed += !disk->request(FLUSH, 0);
        put("flushed ");
        put_hex(at + CHUNK);
        put("\n");
    }
    return failed;
}

static unsigned count_wrong(const struct disk *disk)
{
    unsigned i, wrong = 0;
    uint32_t at;

    for (at = 0; at < SECTORS; at += CHUNK) {
        for (i = 0; i < CHUNK; i++)
            sector_at(i)[0] = sector_at(i)[127] = 0;
        wrong += !disk->request(READ, at);
        for (i = 0; i < CHUNK; i++)
            wrong += sector_at(i)[0] != MAGIC || sector_at(i)[127] != at + i;
    }
    return wrong;
}

int main(void)
{
    const struct disk *disk = find_disk();

    check(disk != NULL, "there is a disk");
    if (!disk)
        return 0;
    put("spilling\n");
    check_equal(spill(disk), 0, "every write and every flush was done");
    check_equal(count_wrong(disk), 0, "every sector holds what was written");
    return 0;
}

/* vga_window.c - video memory as the CPU sees it at a0000-bffff: chain-4, odd/even and the planar write modes. */
#include "devices/qxl/vga.h"

#define NOWHERE UINT32_MAX

/* Four copies of a byte, and a byte of ones for each bit of a plane mask. */
static uint32_t broadcast(uint8_t value)
{
    return value * 0x01010101u;
}

static uint32_t expand(uint8_t planes)
{
    return (planes & 1 ? 0xffu : 0) | (planes & 2 ? 0xff00u : 0) | (planes & 4 ? 0xff0000u : 0) |
           (planes & 8 ? 0xff000000u : 0);
}

/* Where in the memory the window's byte is, before planes are considered; NOWHERE: not decoded. */
static uint32_t decode(const struct vga_regs *r, uint32_t offset)
{
    switch (r->gfx[6] >> 2 & 3) {
    case 0:
        return offset;
    case 1:
        return offset < 0x10000 ? offset + ((uint32_t)r->dispi[DISPI_BANK] << 16) : NOWHERE;
    case 2:
        return offset >= 0x10000 && offset < 0x18000 ? offset - 0x10000 : NOWHERE;
    default:
        return offset >= 0x18000 ? offset - 0x18000 : NOWHERE;
    }
}

static bool is_chain4(const struct vga_regs *r)
{
    return r->seq[4] & 0x08;
}

/* All four planes at one address, as one word in memory. */
static uint32_t *plane_word(struct vga *vga, uint32_t addr)
{
    uint64_t at = (uint64_t)addr * 4;

    return at + 4 <= vga->size ? (uint32_t *)(vga->ram->host + at) : NULL;
}

static uint8_t compare_colors(const struct vga_regs *r)
{
    uint32_t differ = (r->latch ^ expand(r->gfx[2])) & expand(r->gfx[7]);

    differ |= differ >> 16;
    differ |= differ >> 8;
    return ~differ;
}

static uint8_t read_byte(struct vga *vga, uint32_t offset)
{
    struct vga_regs *r = &vga->regs;
    uint32_t addr = decode(r, offset);
    unsigned plane = r->gfx[4] & 3;
    uint32_t *word;

    if (addr == NOWHERE)
        return 0xff;
    if (is_chain4(r)) {
        plane = addr & 3;
        addr >>= 2;
    } else if (r->gfx[5] & 0x10) {
        plane = (plane & 2) | (addr & 1);
        addr >>= 1;
    }
    word = plane_word(vga, addr);
    if (!word)
        return 0xff;
    r->latch = __atomic_load_n(word, __ATOMIC_RELAXED);
    return r->gfx[5] & 0x08 ? compare_colors(r) : r->latch >> (plane * 8);
}

static uint8_t rotate(uint8_t value, unsigned by)
{
    return value >> by | value << (8 - by);
}

static uint32_t logic(const struct vga_regs *r, uint32_t value)
{
    switch (r->gfx[3] >> 3 & 3) {
    case 1:
        return value & r->latch;
    case 2:
        return value | r->latch;
    case 3:
        return value ^ r->latch;
    default:
        return value;
    }
}

/* What the four planes get from a byte of the CPU, before the plane mask. */
static uint32_t write_value(const struct vga_regs *r, uint8_t value)
{
    uint8_t bits = r->gfx[8];
    uint8_t rotated = rotate(value, r->gfx[3] & 7);
    uint32_t set = expand(r->gfx[0]), enabled = expand(r->gfx[1]), planes, mask;

    switch (r->gfx[5] & 3) {
    case 0:
        planes = (broadcast(rotated) & ~enabled) | (set & enabled);
        break;
    case 1:
        return r->latch;
    case 2:
        planes = expand(value & 0x0f);
        break;
    default:
        bits &= rotated;
        planes = set;
        break;
    }
    mask = broadcast(bits);
    return (logic(r, planes) & mask) | (r->latch & ~mask);
}

static void write_byte(struct vga *vga, uint32_t offset, uint8_t value)
{
    struct vga_regs *r = &vga->regs;
    uint32_t addr = decode(r, offset), mask = expand(r->seq[2]), planes;
    uint32_t *word;

    if (addr == NOWHERE)
        return;
    if (is_chain4(r)) {
        mask &= expand(1 << (addr & 3));
        planes = broadcast(value);
        addr >>= 2;
    } else {
        if (!(r->seq[4] & 0x04)) {
            mask &= expand(addr & 1 ? 0x0a : 0x05);
            addr >>= 1;
        }
        planes = write_value(r, value);
    }
    word = plane_word(vga, addr);
    if (!word)
        return;
    vga->window_written = true;
    __atomic_store_n(word, (planes & mask) | (__atomic_load_n(word, __ATOMIC_RELAXED) & ~mask),
                     __ATOMIC_RELAXED);
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned width)
{
    struct vga *vga = opaque;
    uint64_t value = 0;

    pthread_mutex_lock(&vga->lock);
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)read_byte(vga, offset + i) << (8 * i);
    pthread_mutex_unlock(&vga->lock);
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned width)
{
    struct vga *vga = opaque;

    pthread_mutex_lock(&vga->lock);
    for (unsigned i = 0; i < width; i++)
        write_byte(vga, offset + i, value >> (8 * i));
    pthread_mutex_unlock(&vga->lock);
}

const struct region_ops vga_window_ops = {window_read, window_write, 1, 8};

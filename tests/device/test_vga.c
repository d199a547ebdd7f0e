/* test_vga.c - the VGA driven as vgabios and its users do: modes by registers, pixels compared with what they must be. */
#include "backend/screenshot.h"
#include "devices/qxl/qxl.h"
#include "tests/lib/fake_machine.h"
#include "vmm/boot_screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define SLOT     PCI_DEVFN(2, 0)
#define TEXT     0xb8000
#define GRAPHICS 0xa0000

struct fixture {
    struct fake_machine machine;
    struct display *display;
    struct screenshot shot;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct qxl_config config = {0};

    assert_int_equal(fake_machine_init(&f->machine, KIB(640), false), 0);
    assert_int_equal(vga_create(&f->machine.base, SLOT, &config, &f->display), 0);
    fake_pci_setup(&f->machine, SLOT);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    screenshot_fini(&f->shot);
    fake_machine_fini(&f->machine);
    free(f);
    return 0;
}

/* --- a driver --- */

static void out(struct fixture *f, uint16_t port, uint8_t value)
{
    fake_out(&f->machine, port, value, 1);
}

static uint8_t in(struct fixture *f, uint16_t port)
{
    return fake_in(&f->machine, port, 1);
}

/* As drivers do: index and data in one word. */
static void set_index(struct fixture *f, uint16_t port, uint8_t index, uint8_t value)
{
    fake_out(&f->machine, port, index | value << 8, 2);
}

static void set_attr(struct fixture *f, uint8_t index, uint8_t value)
{
    in(f, 0x3da);
    out(f, 0x3c0, index);
    out(f, 0x3c0, value);
    out(f, 0x3c0, 0x20);
}

struct mode {
    uint8_t misc, seq[4], crtc[25], gfx[9], attr[21];
};

static const struct mode text_80x25 = {
    .misc = 0x67,
    .seq = {0x00, 0x03, 0x00, 0x02},
    .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
             0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    .gfx = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff},
    .attr = {0,    1,    2,    3,    4,    5,    0x14, 7,    0x38, 0x39, 0x3a,
             0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0,    0x0f, 8,    0},
};
static const struct mode text_40x25 = {
    .misc = 0x67,
    .seq = {0x08, 0x03, 0x00, 0x02},
    .crtc = {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
             0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    .gfx = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff},
    .attr = {0,    1,    2,    3,    4,    5,    0x14, 7,    0x38, 0x39, 0x3a,
             0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0,    0x0f, 8,    0},
};
static const struct mode cga_320x200 = {
    .misc = 0x63,
    .seq = {0x09, 0x03, 0x00, 0x02},
    .crtc = {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
             0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
    .gfx = {0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff},
    .attr = {0,    0x13, 0x15, 0x17, 2,    4, 6, 7, 0x10, 0x11, 0x12,
             0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0,    0},
};
static const struct mode cga_640x200 = {
    .misc = 0x63,
    .seq = {0x01, 0x01, 0x00, 0x06},
    .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
             0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff},
    .gfx = {0, 0, 0, 0, 0, 0x00, 0x0d, 0x0f, 0xff},
    .attr = {0,    0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
             0x17, 0x17, 0x17, 0x17, 0x17, 1,    0,    1,    0,    0},
};
static const struct mode planar_640x480 = {
    .misc = 0xe3,
    .seq = {0x01, 0x0f, 0x00, 0x06},
    .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
             0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
    .gfx = {0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff},
    .attr = {0,    1,    2,    3,    4,    5, 0x14, 7,    0x38, 0x39, 0x3a,
             0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 1, 0,    0x0f, 0,    0},
};
static const struct mode packed_320x200 = {
    .misc = 0x63,
    .seq = {0x01, 0x0f, 0x00, 0x0e},
    .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
             0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    .gfx = {0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff},
    .attr = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0},
};

/* A colour of our own for each index of the palette: 6 bits a component. */
static void dac_color(unsigned index, uint8_t rgb[3])
{
    rgb[0] = (index * 7 + 1) & 0x3f;
    rgb[1] = (index * 13 + 5) & 0x3f;
    rgb[2] = (index * 29 + 9) & 0x3f;
}

static uint32_t shown_color(unsigned index)
{
    uint8_t c[3];

    dac_color(index, c);
    for (int i = 0; i < 3; i++)
        c[i] = c[i] << 2 | c[i] >> 4;
    return (uint32_t)c[0] << 16 | c[1] << 8 | c[2];
}

static void load_palette(struct fixture *f)
{
    out(f, 0x3c6, 0xff);
    out(f, 0x3c8, 0);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t c[3];

        dac_color(i, c);
        for (int k = 0; k < 3; k++)
            out(f, 0x3c9, c[k]);
    }
}

static void set_mode(struct fixture *f, const struct mode *mode)
{
    out(f, 0x3c2, mode->misc);
    load_palette(f);
    for (unsigned i = 0; i < 4; i++)
        set_index(f, 0x3c4, i + 1, mode->seq[i]);
    for (unsigned i = 0; i < 9; i++)
        set_index(f, 0x3ce, i, mode->gfx[i]);
    set_index(f, 0x3d4, 0x11, 0);
    for (unsigned i = 0; i < 25; i++)
        set_index(f, 0x3d4, i, mode->crtc[i]);
    for (unsigned i = 0; i < 21; i++)
        set_attr(f, i, mode->attr[i]);
}

/* A glyph whose rows differ from each other and from those of other characters. */
static uint8_t glyph(unsigned ch, unsigned row)
{
    return ch * 37 + row * 11 + (ch ^ row);
}

/* As vgabios loads a font: plane 2, flat addresses, at a0000. */
static void load_font(struct fixture *f, const struct mode *mode, uint32_t at)
{
    set_index(f, 0x3c4, 2, 4);
    set_index(f, 0x3c4, 4, 7);
    set_index(f, 0x3ce, 5, 0);
    set_index(f, 0x3ce, 6, 4);
    for (unsigned ch = 0; ch < 256; ch++)
        for (unsigned row = 0; row < 16; row++)
            fake_mmio_write(&f->machine, GRAPHICS + at + ch * 32 + row, glyph(ch, row), 1);
    set_index(f, 0x3c4, 2, mode->seq[1]);
    set_index(f, 0x3c4, 4, mode->seq[3]);
    set_index(f, 0x3ce, 5, mode->gfx[5]);
    set_index(f, 0x3ce, 6, mode->gfx[6]);
}

static void hide_cursor(struct fixture *f)
{
    set_index(f, 0x3d4, 0x0a, 0x20);
}

static void put_text(struct fixture *f, unsigned cell, uint8_t ch, uint8_t attr)
{
    fake_mmio_write(&f->machine, TEXT + cell * 2, ch | attr << 8, 2);
}

static void shoot(struct fixture *f, uint32_t width, uint32_t height)
{
    screenshot_fini(&f->shot);
    assert_int_equal(screenshot_take(&f->shot, f->display), 0);
    assert_int_equal(f->shot.width, width);
    assert_int_equal(f->shot.height, height);
}

static uint32_t pixel(const struct fixture *f, uint32_t x, uint32_t y)
{
    return f->shot.pixels[(size_t)y * f->shot.width + x];
}

static void dispi_write(struct fixture *f, uint16_t index, uint16_t value)
{
    fake_out(&f->machine, 0x1ce, index, 2);
    fake_out(&f->machine, 0x1cf, value, 2);
}

static uint16_t dispi_read(struct fixture *f, uint16_t index)
{
    fake_out(&f->machine, 0x1ce, index, 2);
    return fake_in(&f->machine, 0x1cf, 2);
}

static void dispi_mode(struct fixture *f, unsigned width, unsigned height, unsigned bpp)
{
    out(f, 0x3c2, 0x67);
    in(f, 0x3da);
    out(f, 0x3c0, 0x20);
    dispi_write(f, 4, 0);
    dispi_write(f, 1, width);
    dispi_write(f, 2, height);
    dispi_write(f, 3, bpp);
    dispi_write(f, 4, 0x41);
}

static uint8_t *frame_buffer(struct fixture *f)
{
    return memory_pointer(f->machine.base.memory, fake_pci_bar(&f->machine, SLOT, 0), MIB(16));
}

/* --- text --- */

static uint32_t text_color(const struct mode *m, unsigned color)
{
    return shown_color(m->attr[color]);
}

static void check_cell(const struct fixture *f, const struct mode *m, unsigned column,
                       unsigned line, uint8_t ch, uint8_t attr, unsigned repeat)
{
    for (unsigned row = 0; row < 16; row++) {
        uint32_t bits = glyph(ch, row) << 1;

        if (ch >= 0xc0 && ch < 0xe0)
            bits |= glyph(ch, row) & 1;
        for (unsigned x = 0; x < 9 * repeat; x++)
            assert_int_equal(
                pixel(f, column * 9 * repeat + x, line * 16 + row),
                text_color(m, bits >> (8 - x / repeat) & 1 ? attr & 15 : attr >> 4 & 7));
    }
}

static void shows_text(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &text_80x25);
    load_font(f, &text_80x25, 0);
    hide_cursor(f);
    for (unsigned i = 0; i < 80 * 25; i++)
        put_text(f, i, i, (i * 3) & 0x7f);
    shoot(f, 720, 400);
    for (unsigned i = 0; i < 80 * 25; i++)
        check_cell(f, &text_80x25, i % 80, i / 80, i, (i * 3) & 0x7f, 1);
    assert_int_equal(fake_mmio_read(&f->machine, TEXT + 2 * 77, 2), 77 | ((77 * 3) & 0x7f) << 8);
}

static void shows_narrow_text_doubled(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &text_40x25);
    load_font(f, &text_40x25, 0);
    hide_cursor(f);
    for (unsigned i = 0; i < 40 * 25; i++)
        put_text(f, i, i + 5, 0x1e);
    shoot(f, 720, 400);
    for (unsigned i = 0; i < 40 * 25; i++)
        check_cell(f, &text_40x25, i % 40, i / 40, i + 5, 0x1e, 2);
}

static void scrolls_by_start_address(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &text_80x25);
    load_font(f, &text_80x25, 0);
    hide_cursor(f);
    for (unsigned i = 0; i < 80 * 50; i++)
        put_text(f, i, i / 80 + 65, 0x07);
    shoot(f, 720, 400);
    set_index(f, 0x3d4, 0x0c, 80 * 3 >> 8);
    set_index(f, 0x3d4, 0x0d, 80 * 3 & 0xff);
    shoot(f, 720, 400);
    for (unsigned line = 0; line < 25; line++)
        check_cell(f, &text_80x25, 7, line, line + 3 + 65, 0x07, 1);
}

static void second_font_by_attribute(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &text_80x25);
    load_font(f, &text_80x25, 0x4000); /* map 1 */
    set_index(f, 0x3c4, 3, 0x04);      /* A, for attributes with bit 3, is 1; B is 0 */
    hide_cursor(f);
    put_text(f, 0, 'x', 0x0f);
    put_text(f, 1, 'x', 0x07);
    shoot(f, 720, 400);
    check_cell(f, &text_80x25, 0, 0, 'x', 0x0f, 1);
    for (unsigned x = 9; x < 18; x++)
        assert_int_equal(pixel(f, x, 5), text_color(&text_80x25, 0));
}

static void draws_the_cursor(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &text_80x25);
    for (unsigned i = 0; i < 80 * 25; i++)
        put_text(f, i, 0, 0x17);
    set_index(f, 0x3d4, 0x0f, 85);
    shoot(f, 720, 400);
    for (unsigned row = 0; row < 16; row++)
        for (unsigned x = 0; x < 9; x++)
            assert_int_equal(pixel(f, 5 * 9 + x, 16 + row),
                             text_color(&text_80x25, row >= 13 && row <= 14 ? 7 : 1));
    hide_cursor(f);
    shoot(f, 720, 400);
    assert_int_equal(pixel(f, 5 * 9, 16 + 13), text_color(&text_80x25, 1));
}

/* --- graphics --- */

static void shows_cga(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &cga_320x200);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 80; x++)
            fake_mmio_write(&f->machine, TEXT + (y & 1) * 0x2000 + y / 2 * 80 + x, x * 5 + y, 1);
    shoot(f, 640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            uint8_t byte = x / 8 * 5 + y / 2;

            assert_int_equal(pixel(f, x, y),
                             shown_color(cga_320x200.attr[byte >> (6 - x / 2 % 4 * 2) & 3]));
        }
}

static void shows_cga_mono(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &cga_640x200);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 80; x++)
            fake_mmio_write(&f->machine, TEXT + (y & 1) * 0x2000 + y / 2 * 80 + x, x * 3 + y, 1);
    shoot(f, 640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            uint8_t byte = x / 8 * 3 + y / 2;

            assert_int_equal(pixel(f, x, y), shown_color(byte >> (7 - x % 8) & 1 ? 0x17 : 0));
        }
}

/* Colours (x + y) & 15, each pixel set through write mode 2 and the bit mask. */
static void shows_planar(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &planar_640x480);
    set_index(f, 0x3ce, 5, 2);
    for (unsigned y = 0; y < 480; y += 7)
        for (unsigned x = 0; x < 640; x++) {
            uint64_t addr = GRAPHICS + y * 80 + x / 8;

            set_index(f, 0x3ce, 8, 0x80 >> (x & 7));
            fake_mmio_read(&f->machine, addr, 1);
            fake_mmio_write(&f->machine, addr, x + y, 1);
        }
    shoot(f, 640, 480);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            assert_int_equal(pixel(f, x, y),
                             shown_color(planar_640x480.attr[y % 7 ? 0 : (x + y) & 15]));
}

static void splits_and_pans(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &planar_640x480);
    for (unsigned i = 0; i < 80 * 500; i++)
        fake_mmio_write(&f->machine, GRAPHICS + i, i / 80 + i % 80, 1);
    set_index(f, 0x3d4, 0x0d, 80);
    set_index(f, 0x3d4, 0x18, 99);
    set_index(f, 0x3d4, 0x07, 0x2e);
    set_index(f, 0x3d4, 0x09, 0x00);
    set_attr(f, 0x13, 3);
    shoot(f, 640, 480);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 600; x++) {
            unsigned row = y <= 99 ? y + 1 : y - 100;
            uint8_t byte = row + (x + 3) / 8;
            bool on = byte >> (7 - (x + 3) % 8) & 1;

            assert_int_equal(pixel(f, x, y), shown_color(planar_640x480.attr[on ? 15 : 0]));
        }
}

static void shows_256_colors(void **state)
{
    struct fixture *f = *state;

    set_mode(f, &packed_320x200);
    for (unsigned i = 0; i < 320 * 200; i += 4)
        fake_mmio_write(&f->machine, GRAPHICS + i, i * 0x01000193u, 4);
    shoot(f, 640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned i = y / 2 * 320 + x / 2;

            assert_int_equal(pixel(f, x, y),
                             shown_color(((i & ~3) * 0x01000193u) >> (i % 4 * 8) & 0xff));
        }
}

/* One access by the planar data path, worked out slowly bit by bit. */
struct data_path {
    uint8_t set, enable, compare, rotate, read, mode, care, mask, planes;
};

static uint8_t logic(unsigned op, uint8_t a, uint8_t latch)
{
    return op == 0 ? a : op == 1 ? a & latch : op == 2 ? a | latch : a ^ latch;
}

static uint8_t expected_plane(const struct data_path *p, unsigned plane, uint8_t value,
                              uint8_t latch)
{
    uint8_t rotated = value >> (p->rotate & 7) | value << (8 - (p->rotate & 7)), mask = p->mask,
            data;

    if (p->mode == 1)
        return latch;
    if (p->mode == 0)
        data = p->enable >> plane & 1 ? (p->set >> plane & 1 ? 0xff : 0) : rotated;
    else if (p->mode == 2)
        data = value >> plane & 1 ? 0xff : 0;
    else
        data = p->set >> plane & 1 ? 0xff : 0;
    if (p->mode == 3)
        mask &= rotated;
    return (logic(p->rotate >> 3, data, latch) & mask) | (latch & ~mask);
}

static uint8_t read_plane(struct fixture *f, unsigned plane, unsigned addr)
{
    set_index(f, 0x3ce, 5, 0);
    set_index(f, 0x3ce, 4, plane);
    return fake_mmio_read(&f->machine, GRAPHICS + addr, 1);
}

static void set_data_path(struct fixture *f, const struct data_path *p)
{
    const uint8_t gfx[9] = {p->set,  p->enable, p->compare, p->rotate, p->read,
                            p->mode, 5,         p->care,    p->mask};

    for (unsigned i = 0; i < 9; i++)
        set_index(f, 0x3ce, i, gfx[i]);
    set_index(f, 0x3c4, 2, p->planes);
}

static void write_plane(struct fixture *f, unsigned plane, unsigned addr, uint8_t value)
{
    set_data_path(f, &(struct data_path){.mask = 0xff, .planes = 1 << plane});
    fake_mmio_write(&f->machine, GRAPHICS + addr, value, 1);
}

static void check_data_path(struct fixture *f, uint32_t r)
{
    struct data_path p = {r & 15,      r >> 4 & 15,  r >> 8 & 15, r >> 12 & 31, r >> 17 & 3,
                          r >> 19 & 3, r >> 21 & 15, r >> 3,      r >> 25 & 15};
    uint8_t latches[4], old[4], value = r >> 11, matches = 0xff;

    for (unsigned i = 0; i < 4; i++) {
        latches[i] = (r >> i) * 31;
        old[i] = (r >> i) * 17;
        write_plane(f, i, 100, latches[i]);
        write_plane(f, i, 200, old[i]);
        if (p.care >> i & 1)
            matches &= ~(latches[i] ^ (p.compare >> i & 1 ? 0xff : 0));
    }
    set_data_path(f, &p);
    set_index(f, 0x3ce, 5, p.mode | 8);
    assert_int_equal(fake_mmio_read(&f->machine, GRAPHICS + 100, 1), matches);
    set_index(f, 0x3ce, 5, p.mode);
    assert_int_equal(fake_mmio_read(&f->machine, GRAPHICS + 100, 1), latches[p.read]);
    fake_mmio_write(&f->machine, GRAPHICS + 200, value, 1);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(read_plane(f, i, 200),
                         p.planes >> i & 1 ? expected_plane(&p, i, value, latches[i]) : old[i]);
}

static void planar_data_path(void **state)
{
    set_mode(*state, &planar_640x480);
    for (uint32_t seed = 1; seed < 2000; seed++)
        check_data_path(*state, seed * 2654435761u);
}

/* --- registers --- */

static void registers_read_back(void **state)
{
    struct fixture *f = *state;
    uint8_t c[3];

    set_mode(f, &text_80x25);
    assert_int_equal(in(f, 0x3cc), 0x67);
    for (unsigned i = 0; i < 25; i++) {
        out(f, 0x3d4, i);
        assert_int_equal(in(f, 0x3d5), text_80x25.crtc[i]);
    }
    /* 11h bit 7 protects 0-7, but for the split's bit 8. */
    set_index(f, 0x3d4, 0, 0x12);
    assert_int_equal(in(f, 0x3d5), text_80x25.crtc[0]);
    set_index(f, 0x3d4, 7, 0x00);
    assert_int_equal(in(f, 0x3d5), text_80x25.crtc[7] & ~0x10);
    /* In colour the monochrome ports are deaf. */
    assert_int_equal(in(f, 0x3b5), 0xff);
    for (unsigned i = 0; i < 21; i++) {
        in(f, 0x3da);
        out(f, 0x3c0, i);
        assert_int_equal(in(f, 0x3c1), text_80x25.attr[i]);
    }
    assert_int_equal(in(f, 0x3da) ^ in(f, 0x3da), 0x09);
    out(f, 0x3c7, 16);
    dac_color(16, c);
    for (int k = 0; k < 3; k++)
        assert_int_equal(in(f, 0x3c9), c[k]);
}

static void dispi_answers(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(dispi_read(f, 0), 0xb0c5);
    dispi_write(f, 0, 0xb0c2);
    assert_int_equal(dispi_read(f, 0), 0xb0c2);
    dispi_write(f, 0, 0x1234);
    assert_int_equal(dispi_read(f, 0), 0xb0c2);
    assert_int_equal(dispi_read(f, 10), 256);
    dispi_mode(f, 1024, 768, 32);
    assert_int_equal(dispi_read(f, 1), 1024);
    assert_int_equal(dispi_read(f, 6), 1024);
    assert_int_equal(dispi_read(f, 7), MIB(16) / 4096);
    dispi_write(f, 4, 0x43);
    assert_int_equal(dispi_read(f, 1), DISPLAY_MAX_WIDTH);
    assert_int_equal(dispi_read(f, 3), 32);
    /* More than there is memory for. */
    dispi_mode(f, 8000, 8000, 32);
    assert_int_equal(dispi_read(f, 2), MIB(16) / 32000);
    dispi_write(f, 9, 60000);
    assert_int_equal(dispi_read(f, 9), 0);
}

static uint32_t deep_pixel(unsigned bpp, uint32_t v)
{
    uint32_t r, g, b = v & 31;

    if (bpp == 8)
        return shown_color(v & 0xff);
    if (bpp >= 24)
        return v & 0xffffff;
    r = bpp == 15 ? v >> 10 & 31 : v >> 11 & 31;
    g = bpp == 15 ? v >> 5 & 31 : v >> 5 & 63;
    g = bpp == 15 ? g << 3 | g >> 2 : g << 2 | g >> 4;
    return (r << 3 | r >> 2) << 16 | g << 8 | (b << 3 | b >> 2);
}

static void check_linear(struct fixture *f, unsigned bpp)
{
    unsigned bytes = (bpp + 7) / 8, pitch = 704 * bytes;
    uint8_t *memory = frame_buffer(f);

    dispi_mode(f, 640, 300, bpp);
    load_palette(f);
    dispi_write(f, 6, 704); /* a wider line than the picture */
    dispi_write(f, 8, 24);
    dispi_write(f, 9, 5);
    for (uint32_t i = 0; i < pitch * 400; i++)
        memory[i] = i * 131 >> 3;
    shoot(f, 640, 300);
    for (unsigned y = 0; y < 300; y++)
        for (unsigned x = 0; x < 640; x++) {
            uint32_t v = 0;

            memcpy(&v, memory + (y + 5) * pitch + (x + 24) * bytes, bytes);
            assert_int_equal(pixel(f, x, y), deep_pixel(bpp, v));
        }
}

static void linear_modes(void **state)
{
    static const unsigned depths[] = {8, 15, 16, 24, 32};

    for (unsigned i = 0; i < ARRAY_SIZE(depths); i++)
        check_linear(*state, depths[i]);
}

static void banks_reach_the_frame_buffer(void **state)
{
    struct fixture *f = *state;

    dispi_mode(f, 640, 480, 8);
    set_index(f, 0x3c4, 2, 0x0f);
    dispi_write(f, 5, 3);
    fake_mmio_write(&f->machine, GRAPHICS + 0x1234, 0xdeadbeef, 4);
    assert_int_equal(load_le32(frame_buffer(f) + 0x31234), 0xdeadbeef);
    assert_int_equal(fake_mmio_read(&f->machine, GRAPHICS + 0x1236, 2), 0xdead);
}

static void serves_a_kernel_without_firmware(void **state)
{
    struct fixture *f = *state;
    struct boot_screen screen;

    for (unsigned round = 0; round < 2; round++) {
        memset(frame_buffer(f), 0x55, KIB(64)); /* of the run before a reset */
        fake_machine_reset(&f->machine);
        boot_screen_setup(&f->machine.base, SLOT, &screen);
        assert_int_equal(screen.width, 0); /* the BAR has no place yet */
        fake_pci_setup(&f->machine, SLOT);
        boot_screen_setup(&f->machine.base, SLOT, &screen);
        assert_int_equal(screen.address, fake_pci_bar(&f->machine, SLOT, 0));
        shoot(f, screen.width, screen.height);
        assert_int_equal(pixel(f, 100, 0), 0);
        store_le32(frame_buffer(f) + 599 * screen.pitch + 799 * 4, 0x123456);
        shoot(f, 800, 600);
        assert_int_equal(pixel(f, 799, 599), 0x123456);
    }
    boot_screen_setup(&f->machine.base, SLOT + 8, &screen);
    assert_int_equal(screen.width, 0); /* no such device */
}

static void planar_dispi(void **state)
{
    struct fixture *f = *state;

    dispi_mode(f, 800, 600, 4);
    for (unsigned i = 0; i < 21; i++)
        set_attr(f, i, planar_640x480.attr[i]);
    load_palette(f);
    set_index(f, 0x3c4, 2, 0x05);
    set_index(f, 0x3ce, 8, 0xff);
    fake_mmio_write(&f->machine, GRAPHICS + 599 * 100 + 99, 0x81, 1);
    shoot(f, 800, 600);
    assert_int_equal(pixel(f, 792, 599), shown_color(5));
    assert_int_equal(pixel(f, 799, 599), shown_color(5));
    assert_int_equal(pixel(f, 793, 599), shown_color(0));
}

/* --- what a watcher is told --- */

struct watcher {
    struct display_sink sink;
    struct display *display;
    struct rect damage;
    unsigned calls;
};

static void on_damage(struct display_sink *sink, const struct rect *rects, size_t count)
{
    struct watcher *w = container_of(sink, struct watcher, sink);

    for (size_t i = 0; i < count; i++)
        w->damage = rect_union(&w->damage, &rects[i]);
    w->calls++;
}

static const struct display_sink_ops watcher_ops = {.damage = on_damage};

static void begin_watch(void *arg)
{
    struct watcher *w = arg;

    display_add_sink(w->display, &w->sink);
}

static void end_watch(void *arg)
{
    struct watcher *w = arg;

    display_remove_sink(w->display, &w->sink);
}

/* The damage of one update while somebody looks. */
static void watch_update(void *arg)
{
    struct watcher *w = arg;

    w->damage = (struct rect){0};
    begin_watch(w);
    w->display->ops->update(w->display->device);
    end_watch(w);
}

static void reports_only_changes(void **state)
{
    struct fixture *f = *state;
    struct watcher w = {.sink.ops = &watcher_ops, .display = f->display};

    set_mode(f, &text_80x25);
    load_font(f, &text_80x25, 0);
    hide_cursor(f);
    loop_call_wait(f->display->loop, watch_update, &w);
    put_text(f, 80 * 3 + 10, 'q', 0x1f);
    loop_call_wait(f->display->loop, watch_update, &w);
    assert_false(rect_empty(&w.damage));
    assert_true(w.damage.left >= 90 && w.damage.right <= 99);
    assert_true(w.damage.top >= 48 && w.damage.bottom <= 64);
    loop_call_wait(f->display->loop, watch_update, &w);
    assert_true(rect_empty(&w.damage));
    dispi_mode(f, 640, 480, 32);
    loop_call_wait(f->display->loop, watch_update, &w);
    store_le32(frame_buffer(f) + (123 * 640 + 45) * 4, 0x00abcdef);
    loop_call_wait(f->display->loop, watch_update, &w);
    assert_memory_equal(&w.damage, (&(struct rect){45, 123, 46, 124}), sizeof(w.damage));
}

static void refreshes_while_watched(void **state)
{
    struct fixture *f = *state;
    struct watcher w = {.sink.ops = &watcher_ops, .display = f->display};

    set_mode(f, &text_80x25);
    put_text(f, 0, 0, 0x07);
    loop_call_wait(f->display->loop, begin_watch, &w);
    usleep(900000); /* the cursor blinks */
    loop_call_wait(f->display->loop, end_watch, &w);
    assert_in_range(w.calls, 2, 8);
}

/* --- life --- */

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct device *device = TAILQ_FIRST(&f->machine.base.devices);
    struct screenshot before;
    struct writer w;
    struct reader r;

    set_mode(f, &text_80x25);
    load_font(f, &text_80x25, 0);
    for (unsigned i = 0; i < 80 * 25; i++)
        put_text(f, i, i, 0x1e);
    shoot(f, 720, 400);
    before = f->shot;
    f->shot.pixels = NULL;
    writer_init(&w, MIB(20));
    device->ops->save(device, &w);
    assert_false(w.bad);
    memset(frame_buffer(f), 0x55, KIB(256));
    fake_machine_reset(&f->machine);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    shoot(f, 720, 400);
    assert_memory_equal(f->shot.pixels, before.pixels, 720 * 400 * 4);
    reader_init(&r, w.data, 300);
    assert_int_not_equal(device->ops->load(device, &r, 1), 0);
    screenshot_fini(&before);
    writer_fini(&w);
}

static void writes_files(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/minivm-test-XXXXXX.ppm", head[16] = "";
    int fd = mkstemps(path, 4);
    FILE *file = fdopen(fd, "rb");

    set_mode(f, &packed_320x200);
    fake_mmio_write(&f->machine, GRAPHICS, 7, 1);
    assert_int_equal(screenshot_write(f->display, path, SCREENSHOT_BY_NAME), 0);
    assert_int_equal(fread(head, 1, 15, file), 15);
    assert_memory_equal(head, "P6\n640 400\n255\n", 15);
    assert_int_equal(getc(file), shown_color(7) >> 16);
    fclose(file);
    unlink(path);
    assert_int_equal(screenshot_write(f->display, "/nonexistent/x.png", SCREENSHOT_BY_NAME), -2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_text),
        TEST(shows_narrow_text_doubled),
        TEST(scrolls_by_start_address),
        TEST(second_font_by_attribute),
        TEST(draws_the_cursor),
        TEST(shows_cga),
        TEST(shows_cga_mono),
        TEST(shows_planar),
        TEST(splits_and_pans),
        TEST(shows_256_colors),
        TEST(planar_data_path),
        TEST(registers_read_back),
        TEST(dispi_answers),
        TEST(linear_modes),
        TEST(banks_reach_the_frame_buffer),
        TEST(serves_a_kernel_without_firmware),
        TEST(planar_dispi),
        TEST(reports_only_changes),
        TEST(refreshes_while_watched),
        TEST(survives_save_and_load),
        TEST(writes_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

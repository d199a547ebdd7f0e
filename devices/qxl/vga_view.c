#include "devices/qxl/vga_view.h"

#include "devices/qxl/guest_copy.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE        4096
#define WORD_BITS   (8 * sizeof(unsigned long))
#define BLINK_TICKS 8 /* half a period of the cursor, a quarter of a second */
#define MAX_ROW     (DISPLAY_MAX_WIDTH + 64)

int vga_view_init(struct vga_view *v, struct vga *vga, struct display *display)
{
    *v = (struct vga_view){.vga = vga};
    v->dirty = calloc(DIV_ROUND_UP(vga->ram->size / PAGE, WORD_BITS), sizeof(*v->dirty));
    screen_init(&v->screen, display);
    return v->dirty ? 0 : -ENOMEM;
}

void vga_view_fini(struct vga_view *v)
{
    free(v->dirty);
    free(v->cells);
    screen_fini(&v->screen);
}

static uint32_t plane_word(const struct vga_view *v, uint32_t addr)
{
    const uint32_t *word = (const uint32_t *)(v->vga->ram->host + (addr & (v->mode.wrap - 4)));

    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Eight pixels of a word each: `out` gets what the registers made of them, unrepeated. */
static void decode_planar(const struct vga_mode *m, uint32_t word, uint32_t *out)
{
    for (int bit = 7; bit >= 0; bit--) {
        unsigned color = (word >> bit & 1) | (word >> (bit + 7) & 2) | (word >> (bit + 14) & 4) |
                         (word >> (bit + 21) & 8);

        *out++ = m->colors[color & m->plane_mask];
    }
}

static void decode_cga(const struct vga_mode *m, uint32_t word, uint32_t *out)
{
    for (int i = 0; i < 8; i++) {
        unsigned shift = (i & 4 ? 8 : 0) + (6 - 2 * (i & 3));
        unsigned color = (word >> shift & 3) | (word >> (shift + 16) & 3) << 2;

        *out++ = m->colors[color & m->plane_mask];
    }
}

static void decode_packed(const struct vga_mode *m, uint32_t word, uint32_t *out)
{
    for (int i = 0; i < 4; i++)
        *out++ = m->palette[word >> (8 * i) & 0xff];
}

/* The address of a row of dots, with CGA's banks. */
static uint32_t row_address(const struct vga_mode *m, uint32_t y)
{
    uint32_t base = m->start, row, addr;

    if (y > m->split) {
        y -= m->split + 1;
        base = 0;
    }
    row = y >> m->double_scan;
    addr = base + row / m->scans * m->pitch;
    for (unsigned i = 0; i < 2; i++)
        if (m->row_bits & 1u << i)
            addr = (addr & ~(1u << m->row_shift[i])) | (row % m->scans >> i & 1) << m->row_shift[i];
    return addr;
}

static void repeat_pixels(uint32_t *row, uint32_t pixels, uint32_t times)
{
    for (uint32_t i = pixels; i-- > 0;)
        for (uint32_t k = 0; k < times; k++)
            row[i * times + k] = row[i];
}

static void draw_classic(struct vga_view *v)
{
    static void (*const decode[])(const struct vga_mode *m, uint32_t word, uint32_t *out) = {
        [VGA_PLANAR] = decode_planar, [VGA_CGA] = decode_cga, [VGA_PACKED] = decode_packed};
    const struct vga_mode *m = &v->mode;
    unsigned step = m->kind == VGA_PACKED ? 4 : 8;
    uint32_t pixels = m->width / m->repeat, row[MAX_ROW];

    for (uint32_t y = 0; y < m->height; y++) {
        uint32_t addr = row_address(m, y);

        for (uint32_t x = 0; x < pixels + m->pan; x += step, addr += 4)
            decode[m->kind](m, plane_word(v, addr), row + x);
        if (m->repeat > 1)
            repeat_pixels(row + m->pan, pixels, m->repeat);
        screen_put(&v->screen, 0, y, row + m->pan, m->width);
    }
}

static void convert_8(const struct vga_mode *m, const uint8_t *in, uint32_t *out)
{
    for (uint32_t x = 0; x < m->width; x++)
        out[x] = m->palette[in[x]];
}

static uint32_t widen(uint32_t value, unsigned bits)
{
    return value << (8 - bits) | value >> (2 * bits - 8);
}

static void convert_15(const struct vga_mode *m, const uint8_t *in, uint32_t *out)
{
    for (uint32_t x = 0; x < m->width; x++) {
        uint32_t p = load_le16(in + 2 * x);

        out[x] = widen(p >> 10 & 31, 5) << 16 | widen(p >> 5 & 31, 5) << 8 | widen(p & 31, 5);
    }
}

static void convert_16(const struct vga_mode *m, const uint8_t *in, uint32_t *out)
{
    for (uint32_t x = 0; x < m->width; x++) {
        uint32_t p = load_le16(in + 2 * x);

        out[x] = widen(p >> 11, 5) << 16 | widen(p >> 5 & 63, 6) << 8 | widen(p & 31, 5);
    }
}

static void convert_24(const struct vga_mode *m, const uint8_t *in, uint32_t *out)
{
    for (uint32_t x = 0; x < m->width; x++, in += 3)
        out[x] = in[0] | in[1] << 8 | in[2] << 16;
}

static void convert_32(const struct vga_mode *m, const uint8_t *in, uint32_t *out)
{
    for (uint32_t x = 0; x < m->width; x++)
        out[x] = load_le32(in + 4 * x) & 0xffffff;
}

static bool pages_dirty(const struct vga_view *v, uint32_t start, uint32_t size)
{
    for (uint32_t page = start / PAGE; page <= (start + size - 1) / PAGE; page++)
        if (v->dirty[page / WORD_BITS] >> (page % WORD_BITS) & 1)
            return true;
    return false;
}

static void draw_linear(struct vga_view *v, bool all)
{
    static void (*const convert[])(const struct vga_mode *m, const uint8_t *in,
                                   uint32_t *out) = {[8] = convert_8,
                                                     [15] = convert_15,
                                                     [16] = convert_16,
                                                     [24] = convert_24,
                                                     [32] = convert_32};
    const struct vga_mode *m = &v->mode;
    uint32_t size = m->width * DIV_ROUND_UP(m->bpp, 8), addr = m->start, row[MAX_ROW];
    uint8_t bytes[4 * DISPLAY_MAX_WIDTH];

    for (uint32_t y = 0; y < m->height; y++, addr += m->pitch) {
        if (!all && !pages_dirty(v, addr, size))
            continue;
        guest_copy(bytes, v->vga->ram->host + addr, size);
        convert[m->bpp](m, bytes, row);
        screen_put(&v->screen, 0, y, row, m->width);
    }
}

static void draw_blank(struct vga_view *v)
{
    static const uint32_t black[DISPLAY_MAX_WIDTH];

    if (!v->screen.pixels && screen_resize(&v->screen, 720, 400) < 0)
        return;
    for (uint32_t y = 0; y < v->screen.height; y++)
        screen_put(&v->screen, 0, y, black, v->screen.width);
}

static void draw_mode(struct vga_view *v, bool all)
{
    switch (v->mode.kind) {
    case VGA_BLANK:
        draw_blank(v);
        break;
    case VGA_TEXT:
        vga_text_draw(v, all);
        break;
    case VGA_LINEAR:
        draw_linear(v, all);
        break;
    default:
        if (all || pages_dirty(v, 0, v->mode.wrap))
            draw_classic(v);
        break;
    }
}

/* Whether what is on the screen was drawn by other rules. Text is compared cell by cell: scrolling is no other rule. */
static bool mode_differs(const struct vga_mode *old, struct vga_mode mode)
{
    if (mode.kind == VGA_TEXT && old->kind == VGA_TEXT) {
        mode.start = old->start;
        mode.cursor = old->cursor;
    }
    return memcmp(old, &mode, sizeof(mode)) != 0;
}

void vga_view_draw(struct vga_view *v, bool all)
{
    struct vga_regs regs;
    struct vga_mode mode;
    bool written;
    int resized = 0;

    written = vga_snapshot(v->vga, &regs);
    vga_mode_from_regs(&mode, &regs, v->vga->size);
    if (mode.kind != VGA_BLANK)
        resized = screen_resize(&v->screen, mode.width, mode.height);
    if (resized < 0)
        return;
    all |= resized || mode_differs(&v->mode, mode);
    /* Text finds out by itself what was written. */
    all |= written && mode.kind != VGA_TEXT;
    v->mode = mode;
    memset(v->dirty, 0, DIV_ROUND_UP(v->vga->ram->size / PAGE, WORD_BITS) * sizeof(*v->dirty));
    memory_fetch_dirty(v->vga->machine->memory, v->vga->ram, v->dirty);
    draw_mode(v, all);
    screen_flush(&v->screen);
}

void vga_view_tick(struct vga_view *v)
{
    v->blink_off = ++v->ticks / BLINK_TICKS % 2;
}

void vga_view_rest(struct vga_view *v)
{
    v->ticks = 0;
    v->blink_off = false;
}

/* vga_text.c - text modes: characters and attributes in planes 0 and 1, fonts in plane 2. */
#include "devices/qxl/vga_view.h"

#include <stdlib.h>

#define FONT_ROWS    32
#define CELL_CURSOR  (1u << 16)
#define CELL_HIDDEN  (1u << 17) /* the dark half of a blinking character */
#define CELL_UNKNOWN UINT32_MAX

static uint8_t memory_byte(const struct vga_view *v, uint32_t addr)
{
    return __atomic_load_n(&v->vga->ram->host[addr & (v->mode.wrap - 1)], __ATOMIC_RELAXED);
}

static uint8_t font_byte(const struct vga_view *v, unsigned map, uint8_t ch, unsigned row)
{
    return memory_byte(v, v->mode.font[map] + (ch * FONT_ROWS + row) * 4 + 2);
}

/* Changes when a glyph of either font does. */
static uint32_t sum_fonts(const struct vga_view *v)
{
    uint32_t sum = 2166136261u;

    for (unsigned map = 0; map < 2; map++)
        for (unsigned i = 0; i < 256 * FONT_ROWS; i++)
            sum = (sum ^ font_byte(v, map, i / FONT_ROWS, i % FONT_ROWS)) * 16777619u;
    return sum;
}

/* What the cell at an address shows: character, attribute, CELL_ bits. */
static uint32_t cell_at(const struct vga_view *v, uint32_t addr)
{
    const struct vga_mode *m = &v->mode;
    uint8_t attr = memory_byte(v, addr + 1);
    uint32_t cell = memory_byte(v, addr) | attr << 8;

    if (m->blink && (attr & 0x80) && v->blink_off)
        cell |= CELL_HIDDEN;
    if (addr == m->cursor && m->cursor_first <= m->cursor_last && !v->blink_off)
        cell |= CELL_CURSOR;
    return cell;
}

/* The cell's pixels in one row, a bit each, the leftmost highest; 9 of them. */
static uint32_t cell_bits(const struct vga_view *v, uint32_t cell, unsigned row)
{
    const struct vga_mode *m = &v->mode;
    uint8_t ch = cell, attr = cell >> 8;
    uint32_t bits;

    if ((cell & CELL_CURSOR) && row >= m->cursor_first && row <= m->cursor_last)
        return 0x1ff;
    if (cell & CELL_HIDDEN)
        return 0;
    if (row == m->underline && (attr & 7) == 1)
        return 0x1ff;
    bits = font_byte(v, attr >> 3 & 1, ch, row) << 1;
    /* Box drawing characters continue into the ninth column. */
    if (m->line_graphics && (ch & 0xe0) == 0xc0)
        bits |= bits >> 1 & 1;
    return bits;
}

static void draw_cell_row(const struct vga_view *v, uint32_t cell, unsigned row, uint32_t *out)
{
    const struct vga_mode *m = &v->mode;
    uint8_t attr = cell >> 8;
    unsigned back = (m->blink ? attr >> 4 & 7 : attr >> 4) & m->plane_mask;
    uint32_t bits = cell_bits(v, cell, row);

    for (unsigned x = 0; x < m->cell_width; x++) {
        uint32_t color = m->colors[bits >> (8 - x) & 1 ? attr & m->plane_mask & 0x0f : back];

        for (unsigned i = 0; i < m->repeat; i++)
            *out++ = color;
    }
}

static void draw_cell(struct vga_view *v, uint32_t cell, uint32_t left, uint32_t top)
{
    const struct vga_mode *m = &v->mode;
    uint32_t pixels[9 * 2];
    unsigned lines = m->scans << m->double_scan;

    for (unsigned line = 0; line < lines && top + line < m->height; line++) {
        draw_cell_row(v, cell, line >> m->double_scan, pixels);
        screen_put(&v->screen, left, top + line, pixels, m->cell_width * m->repeat);
    }
}

static bool resize_cells(struct vga_view *v, uint32_t count)
{
    uint32_t *cells;

    if (count == v->cell_count)
        return true;
    cells = realloc(v->cells, count * sizeof(*cells));
    if (!cells)
        return false;
    v->cells = cells;
    v->cell_count = count;
    return true;
}

/* Where the row of characters that begins at this row of dots lies in memory. */
static uint32_t row_address(const struct vga_mode *m, uint32_t row, uint32_t row_height)
{
    uint32_t first_below = DIV_ROUND_UP((uint64_t)m->split + 1, row_height);

    if (row >= first_below)
        return (row - first_below) * m->pitch;
    return m->start + row * m->pitch;
}

void vga_text_draw(struct vga_view *v, bool all)
{
    const struct vga_mode *m = &v->mode;
    uint32_t row_height = m->scans << m->double_scan;
    uint32_t rows = DIV_ROUND_UP(m->height, row_height), sum = sum_fonts(v);

    if (!resize_cells(v, rows * m->columns))
        return;
    if (all || sum != v->font_sum)
        memset(v->cells, 0xff, v->cell_count * sizeof(*v->cells));
    v->font_sum = sum;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t addr = row_address(m, row, row_height);

        for (uint32_t column = 0; column < m->columns; column++, addr += 4) {
            uint32_t cell = cell_at(v, addr), *shown = &v->cells[row * m->columns + column];

            if (cell == *shown)
                continue;
            *shown = cell;
            draw_cell(v, cell, column * m->cell_width * m->repeat, row * row_height);
        }
    }
}

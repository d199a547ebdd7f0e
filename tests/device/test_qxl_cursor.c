/* test_qxl_cursor.c - QXL's cursor ring: shapes of every kind, also at random against an oracle, and moves. */
#include "tests/device/qxl_oracle.h"

#define SEEDS    300
#define LARGEST  70
#define DARKENED 0x80000000u /* instead of inverting */

static void set_cursor(struct driver *d, QXLCursorHeader header, const void *data, size_t size)
{
    header.hot_spot_x = 3;
    header.hot_spot_y = 200;
    driver_push_cursor(d, driver_cursor(d, header, (QXLPoint16){10, 20}, data, size, 1000));
    driver_sync(d);
}

static const uint32_t *colors(struct driver *d)
{
    assert_int_equal(d->display->cursor.type, DISPLAY_CURSOR_ALPHA);
    return (const uint32_t *)d->display->cursor.data;
}

static void shapes(void **state)
{
    struct driver *d = *state;
    const struct display *display = d->display;
    uint8_t data[64 * 64 * 4];

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = rnd();
    set_cursor(d, (QXLCursorHeader){.type = SPICE_CURSOR_TYPE_ALPHA, .width = 64, .height = 64}, data, sizeof(data));
    assert_memory_equal(colors(d), data, sizeof(data));
    assert_int_equal(display->cursor.hot_x, 3);
    assert_int_equal(display->cursor.hot_y, 63); /* no farther than the shape */
    assert_int_equal(display->cursor_x, 10);
    assert_true(display->cursor_visible);
    set_cursor(d, (QXLCursorHeader){.type = SPICE_CURSOR_TYPE_MONO, .width = 20, .height = 10}, data, 60);
    assert_int_equal(display->cursor.type, DISPLAY_CURSOR_MONO);
    assert_int_equal(display->cursor.size, 60);
    /* One pixel of colour, one that the mask cuts out. */
    set_cursor(d, (QXLCursorHeader){.type = SPICE_CURSOR_TYPE_COLOR32, .width = 2, .height = 1},
               (uint8_t[]){1, 2, 3, 0, 0, 0, 0, 0, 0x40}, 9);
    assert_int_equal(colors(d)[0], 0xff030201);
    assert_int_equal(colors(d)[1], 0);
    memset(data, 0, sizeof(data));
    data[0] = 0x12; /* entries of the palette */
    store_le32(data + 1 + 4, 0x00aabbcc);
    store_le32(data + 1 + 8, 0x00ddeeff);
    set_cursor(d, (QXLCursorHeader){.type = SPICE_CURSOR_TYPE_COLOR4, .width = 2, .height = 1}, data, 1 + 64 + 1);
    assert_int_equal(colors(d)[0], 0xffaabbcc);
    assert_int_equal(colors(d)[1], 0xffddeeff);
    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    assert_null(display->cursor.data);
}

static void moves(void **state)
{
    struct driver *d = *state;
    uint64_t addr;
    QXLCursorCmd *c = driver_alloc(d, sizeof(*c), &addr);

    *c = (QXLCursorCmd){.release_info.id = addr & 0xffffffff, .type = QXL_CURSOR_MOVE, .u.position = {-5, 77}};
    driver_push_cursor(d, addr);
    driver_sync(d);
    assert_int_equal(d->display->cursor_x, -5);
    assert_int_equal(d->display->cursor_y, 77);
    assert_true(d->display->cursor_visible);
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
    c->release_info.id = addr & 0xffffffff;
    c->type = QXL_CURSOR_HIDE;
    driver_push_cursor(d, addr);
    driver_sync(d);
    assert_false(d->display->cursor_visible);
}

/* --- at random --- */

/* Bits of a pixel, entries of a palette, whether a mask follows: in the order in which they lie in the data. */
static const struct kind {
    uint16_t type;
    unsigned bits, palette;
    bool masked;
} kinds[] = {
    {SPICE_CURSOR_TYPE_ALPHA, 32, 0, false}, {SPICE_CURSOR_TYPE_MONO, 1, 0, true},
    {SPICE_CURSOR_TYPE_COLOR4, 4, 16, true}, {SPICE_CURSOR_TYPE_COLOR8, 8, 256, true},
    {SPICE_CURSOR_TYPE_COLOR16, 16, 0, true}, {SPICE_CURSOR_TYPE_COLOR24, 24, 0, true},
    {SPICE_CURSOR_TYPE_COLOR32, 32, 0, true},
};

/* What a command writes, as pixels: written by the packer below, expected by the test. */
struct picture {
    uint32_t width, height, palette[256], value[LARGEST * LARGEST];
    bool cut[LARGEST * LARGEST]; /* by the mask */
};

static uint32_t value_of(const struct kind *k)
{
    uint32_t v = rnd() ^ rnd() << 16;

    if (rnd() % 4 == 0)
        v = 0; /* black that is cut out is transparent */
    return k->bits == 32 ? v : v & ((1u << k->bits) - 1);
}

static uint32_t color_of(const struct kind *k, const struct picture *p, uint32_t v)
{
    if (k->palette)
        v = p->palette[v];
    else if (k->bits == 16)
        v = (v & 0x7c00) << 9 | (v & 0x3e0) << 6 | (v & 0x1f) << 3;
    return v & 0xffffff;
}

static void put_bits(uint8_t *row, unsigned x, unsigned bits, uint32_t v)
{
    if (bits < 8) /* the leftmost pixel is in the highest bits */
        row[x * bits / 8] |= v << (8 - bits - x * bits % 8);
    else
        memcpy(row + x * bits / 8, &v, bits / 8);
}

static size_t pack(const struct kind *k, const struct picture *p, uint8_t *out)
{
    unsigned row = (p->width * k->bits + 7) / 8, mask_row = (p->width + 7) / 8;
    uint8_t *palette = out + row * p->height, *mask = palette + k->palette * 4, *end = mask;

    memcpy(palette, p->palette, k->palette * 4);
    if (k->masked)
        end += mask_row * p->height;
    for (unsigned y = 0; y < p->height; y++)
        for (unsigned x = 0; x < p->width; x++) {
            put_bits(out + y * row, x, k->bits, p->value[y * p->width + x]);
            if (k->masked)
                put_bits(mask + y * mask_row, x, 1, p->cut[y * p->width + x]);
        }
    return end - out;
}

static void check(const struct kind *k, const struct picture *p, const struct display_cursor *c, const uint8_t *data,
                  size_t size)
{
    assert_int_equal(c->width, p->width);
    assert_int_equal(c->height, p->height);
    assert_int_equal(c->type, k->bits == 1 ? DISPLAY_CURSOR_MONO : DISPLAY_CURSOR_ALPHA);
    if (!k->masked || k->bits == 1) {
        assert_int_equal(c->size, size);
        assert_memory_equal(c->data, data, size);
        return;
    }
    for (unsigned i = 0; i < p->width * p->height; i++) {
        uint32_t color = color_of(k, p, p->value[i]);

        assert_int_equal(((const uint32_t *)c->data)[i], !p->cut[i] ? color | 0xff000000 : color ? DARKENED : 0);
    }
}

static void any_shape(struct driver *d, const struct kind *k)
{
    static uint8_t data[LARGEST * LARGEST * 5 + 1024];
    struct picture p = {.width = 1 + rnd() % LARGEST, .height = 1 + rnd() % LARGEST};
    QXLCursorHeader header = {.type = k->type, .width = p.width, .height = p.height};
    QXLPoint16 place = {(int16_t)rnd(), (int16_t)rnd()};
    size_t size;
    uint64_t addr;

    header.hot_spot_x = rnd() % p.width;
    header.hot_spot_y = rnd() % p.height;
    for (unsigned i = 0; i < k->palette; i++)
        p.palette[i] = rnd() % 4 ? rnd() ^ rnd() << 16 : 0;
    for (unsigned i = 0; i < p.width * p.height; i++) {
        p.value[i] = value_of(k);
        p.cut[i] = rnd() & 1;
    }
    memset(data, 0, sizeof(data));
    size = pack(k, &p, data);
    addr = driver_cursor(d, header, place, data, size, 1 + rnd() % 5000 + size / 30);
    driver_push_cursor(d, addr);
    driver_sync(d);
    check(k, &p, &d->display->cursor, data, size);
    assert_int_equal(d->display->cursor.hot_x, header.hot_spot_x);
    assert_int_equal(d->display->cursor.hot_y, header.hot_spot_y);
    assert_int_equal(d->display->cursor_x, place.x);
    assert_int_equal(d->display->cursor_y, place.y);
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
}

static void random_shapes(void **state)
{
    for (unsigned i = 0; i < SEEDS; i++)
        any_shape(*state, &kinds[rnd() % ARRAY_SIZE(kinds)]);
    assert_false(shared_load(FIELD((struct driver *)*state, int_pending)) & QXL_INTERRUPT_ERROR);
}

/* Each field that can be wrong: the shape stays as it was, the command comes back, the machine lives. */
static void impossible_shapes(void **state)
{
    static const QXLCursorHeader bad[] = {
        {.type = SPICE_CURSOR_TYPE_ALPHA, .width = 0, .height = 4},
        {.type = SPICE_CURSOR_TYPE_ALPHA, .width = 4, .height = 0},
        {.type = SPICE_CURSOR_TYPE_ALPHA, .width = 65535, .height = 65535},
        {.type = 77, .width = 4, .height = 4},
    };
    struct driver *d = *state;
    uint8_t data[64] = {0x12};

    set_cursor(d, (QXLCursorHeader){.type = SPICE_CURSOR_TYPE_ALPHA, .width = 4, .height = 4}, data, sizeof(data));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t addr = driver_cursor(d, bad[i], (QXLPoint16){(int16_t)i, 7}, data, sizeof(data), 1000);

        driver_push_cursor(d, addr);
        driver_sync(d);
        assert_int_equal(d->display->cursor.width, 4);
        assert_memory_equal(colors(d), data, sizeof(data));
        driver_collect(d);
        assert_int_equal(times_released(d, addr), 1);
    }
}

static void a_shape_has_all_its_data(void **state)
{
    struct driver *d = *state;
    const QXLCursorHeader header = {.type = SPICE_CURSOR_TYPE_COLOR8, .width = 64, .height = 64};

    driver_push_cursor(d, driver_cursor(d, header, (QXLPoint16){1, 2}, (uint8_t[200]){0}, 200, 100));
    driver_wait_irq(d, QXL_INTERRUPT_ERROR);
    assert_null(d->display->cursor.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {NATIVE(shapes), NATIVE(moves), NATIVE(random_shapes), NATIVE(impossible_shapes),
                                       NATIVE(a_shape_has_all_its_data)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

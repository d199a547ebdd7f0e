/*
 * test_qxl_pending.c - commands that wait before they are drawn: what is hidden is left out, what repeats is done at once, and
 * no difference can be seen. Nothing is recorded here, since a recording has every command drawn as it comes.
 */
#include "devices/qxl/hidden.h"
#include "tests/device/qxl_follower.h"
#include "tests/device/qxl_oracle.h"

static int setup_unrecorded(void **state)
{
    seed = 1;
    memset(oracle, 0, sizeof(oracle));
    *state = driver_create(0, NULL);
    driver_start(*state);
    driver_create_primary(*state, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    return 0;
}

/* Memory is used again when everything was drawn. */
static void look(struct driver *d, struct follower *f)
{
    check_picture(d);
    check_follower(f);
    driver_collect(d);
    d->release_count = 0;
    if (d->next > MIB(30))
        d->next = d->rom->pages_offset;
}

/* --- hidden.h --- */

#define MAP_WIDTH  1100 /* more than a word of tiles, and not whole ones */
#define MAP_HEIGHT 72

static struct rect random_rect(unsigned width, unsigned height, bool tiles)
{
    unsigned step = tiles ? 16 : 1;
    int32_t x = rnd() % width / step * step, y = rnd() % height / step * step;
    int32_t right = x + 1 + rnd() % (width - x), bottom = y + 1 + rnd() % (height - y);

    return (struct rect){x, y, right, bottom};
}

static void paint(uint8_t *map, const struct rect *r, uint8_t value)
{
    for (int32_t y = r->top; y < r->bottom; y++)
        memset(map + y * MAP_WIDTH + r->left, value, r->right - r->left);
}

static bool lies_in(const struct rect *r, int32_t x, int32_t y)
{
    return x >= r->left && x < r->right && y >= r->top && y < r->bottom;
}

static bool is_painted_outside(const uint8_t *map, const struct rect *r, const struct rect *rest)
{
    for (int32_t y = r->top; y < r->bottom; y++)
        for (int32_t x = r->left; x < r->right; x++)
            if (!map[y * MAP_WIDTH + x] && !lies_in(rest, x, y))
                return false;
    return true;
}

/* `r` is the rest of rectangles that begin or end this far away. */
static void assert_rest(const struct hidden *h, int32_t left, int32_t top, int32_t right, int32_t bottom, const struct rect *r)
{
    const struct rect all = {r->left - left, r->top - top, r->right + right, r->bottom + bottom};
    const struct rect rest = hidden_rest(h, &all);

    assert_memory_equal(&rest, r, sizeof(rest));
}

/* What is said to be hidden is; and whole tiles that are hidden are said to be. */
static void tiles_are_hidden(void **state UNUSED)
{
    static uint8_t map[MAP_WIDTH * MAP_HEIGHT];
    unsigned found = 0;
    struct hidden h;
    struct rect rest;

    assert_int_equal(hidden_init(&h, MAP_WIDTH, MAP_HEIGHT), 0);
    for (unsigned i = 0; i < 20000; i++) {
        const struct rect r = random_rect(MAP_WIDTH, MAP_HEIGHT, rnd() & 1);
        const struct rect small = {r.left, r.top, MIN(r.right, r.left + 40), MIN(r.bottom, r.top + 20)};

        switch (rnd() % 4) {
        case 0:
            hidden_add(&h, &r);
            paint(map, &r, 1);
            break;
        case 1:
            hidden_remove(&h, &small);
            paint(map, &small, 0);
            break;
        default:
            rest = hidden_rest(&h, &small);
            assert_true(is_painted_outside(map, &small, &rest));
            found += memcmp(&rest, &small, sizeof(rest)) != 0;
        }
    }
    assert_true(found > 1000);
    hidden_fini(&h);
}

static void the_rest_is_small(void **state UNUSED)
{
    const struct rect hole = {300, 20, 310, 28}, all = {16, 16, MAP_WIDTH, MAP_HEIGHT};
    struct hidden h;
    struct rect rest;

    assert_int_equal(hidden_init(&h, MAP_WIDTH, MAP_HEIGHT), 0);
    hidden_add(&h, &all);
    rest = hidden_rest(&h, &all);
    assert_true(rect_empty(&rest));
    assert_rest(&h, 0, 0, 100, 0, &(struct rect){15, 16, 16, 32});
    assert_rest(&h, 0, 0, 0, 20, &(struct rect){32, 15, 64, 16});
    hidden_remove(&h, &hole);
    assert_rest(&h, 30, 0, 20, 30, &(struct rect){288, 17, 320, 32});
    assert_rest(&h, 0, 0, 0, 0, &hole);
    hidden_fini(&h);
}

/* --- commands --- */

static QXLRect to_qxl(const struct rect *r)
{
    return (QXLRect){.left = r->left, .top = r->top, .right = r->right, .bottom = r->bottom};
}

/* A command that reads what it draws on. */
static void invert(struct driver *d, const struct rect *r)
{
    uint64_t addr;

    driver_drawable(d, QXL_DRAW_INVERS, 0, to_qxl(r), &addr);
    driver_push(d, QXL_CMD_DRAW, addr);
    for (int32_t y = r->top; y < r->bottom; y++)
        for (int32_t x = r->left; x < r->right; x++)
            oracle[y * WIDTH + x] ^= 0xffffff;
}

/* A part of the primary, as a picture. */
static void copy_of_itself(struct driver *d, const struct rect *r, int32_t x, int32_t y)
{
    static uint32_t before[WIDTH * HEIGHT];
    const struct rect box = {x, y, x + r->right - r->left, y + r->bottom - r->top};
    uint64_t addr, image = surface_image(d, 0, WIDTH, HEIGHT);
    QXLDrawable *p = driver_drawable(d, QXL_DRAW_COPY, 0, to_qxl(&box), &addr);

    p->u.copy.src_bitmap = image;
    p->u.copy.src_area = to_qxl(r);
    p->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    driver_push(d, QXL_CMD_DRAW, addr);
    memcpy(before, oracle, sizeof(before));
    for (int32_t i = box.top; i < MIN(box.bottom, HEIGHT); i++)
        for (int32_t k = box.left; k < MIN(box.right, WIDTH); k++)
            oracle[i * WIDTH + k] = before[(i - y + r->top) * WIDTH + k - x + r->left];
}

/* Few places, so that commands meet each other. */
static void random_command(struct driver *d)
{
    struct rect r = random_rect(WIDTH, HEIGHT, rnd() % 4), other = random_rect(WIDTH, HEIGHT, rnd() % 4);

    switch (rnd() % 8) {
    case 0:
    case 1:
    case 2:
        driver_fill(d, &r, rnd() & 0xffffff);
        break;
    case 3:
        random_copy(d);
        break;
    case 4:
        invert(d, &r);
        break;
    case 5:
        driver_move(d, &r, other.left - r.left, other.top - r.top);
        break;
    case 6:
        copy_of_itself(d, &r, other.left, other.top);
        break;
    default:
        driver_move(d, &r, 0, (int32_t)(rnd() % 40) - 20);
    }
}

/* --- tests --- */

static void nothing_is_missed(void **state)
{
    struct driver *d = *state;
    struct follower f;

    follow(&f, d);
    for (unsigned round = 0; round < 150; round++) {
        for (unsigned i = rnd() % 60; i > 0; i--)
            random_command(d);
        look(d, &f);
    }
    assert_false(in_bug(d));
    unfollow(&f);
}

/* Something beside the rectangle that moves, or in spite of it. */
static void draw_between(struct driver *d, const struct rect *to, int32_t dx, int32_t dy)
{
    const struct rect from = {to->left + dx, to->top + dy, to->right + dx, to->bottom + dy};
    struct rect r = from;

    if (dy > 0)
        r.top = MAX(to->bottom, from.top);
    else if (dy < 0)
        r.bottom = MIN(to->top, from.bottom);
    if (dy == 0 && dx > 0)
        r.left = MAX(to->right, from.left);
    else if (dy == 0 && dx < 0)
        r.right = MIN(to->left, from.right);
    if (rect_empty(&r) || rnd() % 16 == 0)
        random_command(d);
    else if (rnd() % 4)
        driver_fill(d, &r, rnd() & 0xffffff);
    else
        invert(d, &r);
}

static void moves_in_a_row(void **state)
{
    struct driver *d = *state;
    struct follower f;

    follow(&f, d);
    for (unsigned round = 0; round < 400; round++) {
        struct rect bounds = {0, 0, WIDTH, HEIGHT}, to = random_rect(WIDTH, HEIGHT, false);
        int32_t dx = rnd() % 3 ? 0 : (int32_t)(rnd() % 50) - 25, dy = (int32_t)(rnd() % 50) - 25;
        const struct rect possible = {-dx, -dy, WIDTH - dx, HEIGHT - dy};

        to = rect_intersect(&to, &possible);
        to = rect_intersect(&to, &bounds);
        if (rect_empty(&to))
            continue;
        for (unsigned i = 1 + rnd() % 12; i > 0; i--) {
            driver_move(d, &to, dx, dy);
            for (unsigned k = rnd() % 3; k > 0; k--)
                draw_between(d, &to, dx, dy);
        }
        look(d, &f);
    }
    assert_true(f.moves > 300);
    assert_false(in_bug(d));
    unfollow(&f);
}

/* A copy of a picture whose pixels are nowhere: who draws it finds out. */
static void bad_copy(struct driver *d, int32_t x, int32_t y)
{
    static const uint32_t pixels[32 * 32];
    uint64_t image = driver_bitmap(d, SPICE_BITMAP_FMT_32BIT, 32, 32, 128, pixels, 0, true);

    ((QXLImage *)(d->ram + (image & 0xffffffff)))->bitmap.data = 0x0000ffff00000000;
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, x, y, 32, 32, image));
}

static void pause_drawing(void *arg)
{
    pthread_barrier_wait(arg);
    pthread_barrier_wait(arg);
}

/* While the display's thread is held, so that both commands are taken together. */
static void cover_bad_copy(struct driver *d, const struct rect *cover)
{
    pthread_barrier_t barrier;

    pthread_barrier_init(&barrier, NULL, 2);
    loop_call(d->display->loop, pause_drawing, &barrier);
    pthread_barrier_wait(&barrier);
    bad_copy(d, 32, 48);
    driver_fill(d, cover, 0x123456);
    pthread_barrier_wait(&barrier);
    check_picture(d);
    pthread_barrier_destroy(&barrier);
}

static void hidden_is_left_out(void **state)
{
    struct driver *d = *state;

    cover_bad_copy(d, &(struct rect){32, 48, 64, 80});
    assert_false(in_bug(d));
    cover_bad_copy(d, &(struct rect){0, 0, WIDTH, HEIGHT});
    assert_false(in_bug(d));
    driver_out(d, QXL_IO_FLUSH_RELEASE, 0);
    driver_collect(d);
    assert_int_equal(d->release_count, 4); /* what was left out is given back too */
}

static void visible_is_not(void **state)
{
    struct driver *d = *state;

    memset(oracle, 0, sizeof(oracle));
    bad_copy(d, 32, 48);
    driver_fill(d, &(struct rect){32, 48, 63, 80}, 0x123456);
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    expect_bug(d);
}

/* Nobody looks: it is drawn and given back all the same. */
static bool all_given_back(struct driver *d)
{
    driver_collect(d);
    return d->release_count == 40;
}

static void drawn_soon(void **state)
{
    struct driver *d = *state;

    for (unsigned i = 0; i < 40; i++)
        random_fill(d);
    for (unsigned i = 0; i < 1000 && !all_given_back(d); i++)
        usleep(5000);
    assert_true(all_given_back(d));
    check_picture(d);
}

#define WAITING(name) cmocka_unit_test_setup_teardown(name, setup_unrecorded, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_hidden), cmocka_unit_test(the_rest_is_small), WAITING(nothing_is_missed),
        WAITING(moves_in_a_row), WAITING(hidden_is_left_out), WAITING(visible_is_not), WAITING(drawn_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

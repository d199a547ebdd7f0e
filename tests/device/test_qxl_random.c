/*
 * test_qxl_random.c - every command with random parameters, compared with an oracle: guest/payload/draw.c without a guest.
 *
 *   test_qxl_random [FIRST [COUNT]]    seeds; after each command of a seed that fails the surface is compared
 */
#include "tests/device/qxl_driver.h"
#include "tests/lib/drawing_describe.h"
#include "tests/lib/drawing_oracle.h"

#define SEEDS    200
#define COMMANDS 60
#define SPARE    MIB(1) /* for what finds no room */

static unsigned first_seed = 1, seeds = SEEDS;
static struct oracle_streams streams;

struct run {
    struct driver *d;
    struct drawing_surface surfaces[DRAWING_SURFACES];
    struct drawing_memory memory;
    struct oracle oracle;
};

static uint64_t data_of(const struct run *r, unsigned surface)
{
    return surface ? r->d->vram_slot | surface << 17 : r->d->main_slot;
}

static const uint8_t *memory_of(const struct run *r, unsigned surface)
{
    return surface ? r->d->vram + (surface << 17) : r->d->ram;
}

static bool compare(struct run *r, unsigned surface, const char *after)
{
    const struct drawing_surface *s = &r->surfaces[surface];

    memcpy(FIELD(r->d, update_area), &(QXLRect){.right = s->width, .bottom = s->height}, sizeof(QXLRect));
    memcpy(FIELD(r->d, update_surface), &surface, sizeof(uint32_t));
    driver_out(r->d, QXL_IO_UPDATE_AREA, 0);
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            uint32_t is = drawing_pixel(s, memory_of(r, surface), x, y), should = oracle_pixel(&r->oracle, surface, x, y);

            if (is == should)
                continue;
            if (after)
                print_error("%s: pixel (%d, %d) of surface %u, format %u, is %08x instead of %08x\n", after, x, y, surface,
                            s->format, is, should);
            return false;
        }
    return true;
}

static void push(struct driver *d, uint32_t type, uint64_t addr)
{
    assert_true(command_ring_has_room(d) || fake_machine_wait(&d->machine, command_ring_has_room, d, WAIT_MS));
    driver_put(d, type, addr);
}

static void begin(struct run *r, struct driver *d, unsigned seed, struct drawing_random *random)
{
    *r = (struct run){.d = d};
    drawing_start(random, seed, r->surfaces);
    driver_start(d);
    driver_create_primary(d, r->surfaces[0].width, r->surfaces[0].height, drawing_stride(&r->surfaces[0]),
                          r->surfaces[0].format, 0);
    r->memory = (struct drawing_memory){.base = d->ram,
                                        .slot = d->main_slot,
                                        .next = d->rom->pages_offset,
                                        .end = d->rom->ram_header_offset - SPARE,
                                        .streams = streams.data,
                                        .stream_types = streams.types};
    for (unsigned i = 1; i < DRAWING_SURFACES; i++)
        push(d, QXL_CMD_SURFACE,
             drawing_encode_surface(&r->memory, i, &r->surfaces[i], data_of(r, i), true, false));
    oracle_init(&r->oracle, &streams, r->surfaces);
}

static void give(struct run *r, const struct drawing *g)
{
    if (g->type != DRAWING_REMAKE) {
        push(r->d, QXL_CMD_DRAW, drawing_encode(&r->memory, g));
        return;
    }
    for (int create = 0; create < 2; create++)
        push(r->d, QXL_CMD_SURFACE,
                    drawing_encode_surface(&r->memory, g->surface, &r->surfaces[g->surface], data_of(r, g->surface), create,
                                           true));
}

/* careful: compare after each command, which also has them drawn one by one. */
static bool run_seed(struct driver *d, unsigned seed, bool careful)
{
    struct drawing_random random;
    struct run r;
    bool good = true;
    char text[400];

    begin(&r, d, seed, &random);
    for (unsigned i = 0; i < COMMANDS && good; i++) {
        struct drawing g;

        drawing_next(&random, r.surfaces, &streams.streams, &g);
        give(&r, &g);
        oracle_draw(&r.oracle, &g);
        assert_false(r.memory.full);
        snprintf(text, sizeof(text), "seed %u, command %u: ", seed, i);
        drawing_describe(&g, text + strlen(text), sizeof(text) - strlen(text));
        if (careful)
            good = compare(&r, g.surface, text);
    }
    for (unsigned i = 0; i < DRAWING_SURFACES && good; i++)
        good = compare(&r, i, careful ? "all together" : NULL);
    oracle_fini(&r.oracle);
    assert_false(shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_ERROR);
    return good;
}

static void random_commands(void **state UNUSED)
{
    struct driver *d = driver_create_with(&(struct qxl_config){.ram = MIB(64)});
    unsigned bad = 0;

    for (unsigned seed = first_seed; seed < first_seed + seeds && bad < 5; seed++) {
        if (run_seed(d, seed, false))
            continue;
        bad++;
        if (run_seed(d, seed, true))
            print_error("seed %u: each command alone is right, all together are not\n", seed);
    }
    driver_destroy(d);
    assert_int_equal(bad, 0);
}

/* Seeds that found something: strokes of many runs and of several lines, with the surface itself for a pattern. */
static void found_before(void **state UNUSED)
{
    static const unsigned found[] = {3996, 8357, 19237};
    struct driver *d = driver_create_with(&(struct qxl_config){.ram = MIB(64)});

    for (size_t i = 0; i < ARRAY_SIZE(found); i++)
        assert_true(run_seed(d, found[i], false));
    driver_destroy(d);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_before), cmocka_unit_test(random_commands)};
    int failed;

    if (argc > 1)
        first_seed = (unsigned)atoi(argv[1]);
    if (argc > 2)
        seeds = (unsigned)atoi(argv[2]);
    oracle_streams_init(&streams);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    oracle_streams_fini(&streams);
    return failed;
}

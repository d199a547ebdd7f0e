/* What a client is told to keep: the latest, or a part of what goes round. */
#include "spice/server/pixmap_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROOM 100 /* pictures of PIXELS */
#define PIXELS 1000

static struct pixmap_cache cache;

static int start(void **state UNUSED)
{
    pixmap_cache_init(&cache, ROOM * PIXELS);
    return 0;
}

static int stop(void **state UNUSED)
{
    pixmap_cache_fini(&cache);
    return 0;
}

/* Whether the client had it; now it has. */
static bool show(uint64_t id)
{
    uint64_t gone[PIXMAP_CACHE_MAX_COUNT];
    size_t count;

    if (pixmap_cache_use(&cache, id))
        return true;
    assert_true(pixmap_cache_add(&cache, id, PIXELS, gone, &count));
    assert_true(cache.count <= ROOM);
    for (size_t i = 0; i < count; i++)
        assert_false(pixmap_cache_use(&cache, gone[i]));
    return false;
}

static unsigned show_all(uint64_t first, unsigned count)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < count; i++)
        hits += show(first + i);
    return hits;
}

static void test_latest(void **state UNUSED)
{
    assert_int_equal(show_all(1, 150), 0);
    assert_int_equal(show_all(51, 100), 100);
    assert_int_equal(show_all(1000, 50), 0);
    assert_int_equal(show_all(101, 50), 50); /* the older half went */
    assert_int_equal(show_all(51, 50), 0);
}

/* Twice what there is room for, round and round: about half of it is kept; and then the latest again. */
static void test_round(void **state UNUSED)
{
    for (unsigned round = 0; round < 3; round++)
        show_all(1, 2 * ROOM);
    for (unsigned round = 0; round < 10; round++)
        assert_in_range(show_all(1, 2 * ROOM), ROOM * 8 / 10, ROOM);
    assert_int_equal(show_all(5000, 1000), 0);
    assert_int_equal(show_all(6000 - ROOM, ROOM), ROOM);
}

static void test_limits(void **state UNUSED)
{
    uint64_t gone[PIXMAP_CACHE_MAX_COUNT];
    size_t count;

    assert_false(pixmap_cache_add(&cache, 1, ROOM * PIXELS / 4 + 1, gone, &count));
    for (uint64_t id = 1; id < 3 * PIXMAP_CACHE_MAX_COUNT; id++)
        assert_true(pixmap_cache_add(&cache, id, 1, gone, &count));
    assert_int_equal(cache.count, PIXMAP_CACHE_MAX_COUNT);
    pixmap_cache_fini(&cache);
    pixmap_cache_init(&cache, -5);
    assert_false(pixmap_cache_add(&cache, 1, 1, gone, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_latest, start, stop),
        cmocka_unit_test_setup_teardown(test_round, start, stop),
        cmocka_unit_test_setup_teardown(test_limits, start, stop),
    };

    return cmocka_run_group_tests_name("pixmap_cache", tests, NULL, NULL);
}

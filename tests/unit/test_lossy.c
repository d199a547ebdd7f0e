/* What a client shows nearly, and how fast its way is. */
#include "spice/server/lossy.h"
#include "spice/server/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WIDTH  100 /* 7 tiles, the last one narrow */
#define HEIGHT 70  /* 5, the last one low */

static struct lossy l;

static int start(void **state UNUSED)
{
    return lossy_init(&l, WIDTH, HEIGHT);
}

static int stop(void **state UNUSED)
{
    lossy_fini(&l);
    return 0;
}

static void add(int32_t left, int32_t top, int32_t right, int32_t bottom)
{
    lossy_add(&l, &(struct rect){left, top, right, bottom});
}

/* What has rested, all of it, is these rectangles. */
static void expect(const struct rect *rects, size_t count)
{
    struct rect r;

    for (size_t i = 0; i < count; i++) {
        assert_true(lossy_take(&l, &r));
        assert_memory_equal(&r, &rects[i], sizeof(r));
    }
    assert_false(lossy_take(&l, &r));
}

static void test_rests(void **state UNUSED)
{
    expect(NULL, 0);
    add(20, 5, 40, 20);
    expect(NULL, 0); /* it is young */
    lossy_age(&l);
    assert_true(l.any);
    add(16, 0, 17, 1); /* drawn again: young again */
    expect((struct rect[]){{32, 0, 48, 16}, {16, 16, 48, 32}}, 2);
    lossy_age(&l);
    expect(&(struct rect){16, 0, 32, 16}, 1);
    lossy_age(&l);
    assert_false(l.any);
}

static void test_edges(void **state UNUSED)
{
    add(90, 60, WIDTH, HEIGHT);
    lossy_age(&l);
    expect((struct rect[]){{80, 48, WIDTH, 64}, {80, 64, WIDTH, HEIGHT}}, 2);
}

/* Only whole tiles are exact again, be they young or old. */
static void test_exact(void **state UNUSED)
{
    add(0, 0, 48, 16);
    lossy_age(&l);
    add(0, 16, 48, 32);
    lossy_remove(&l, &(struct rect){1, 0, 32, 32});
    lossy_age(&l);
    expect((struct rect[]){{0, 0, 16, 16}, {32, 0, 48, 16}, {0, 16, 16, 32}, {32, 16, 48, 32}}, 4);
}

static void test_moved(void **state UNUSED)
{
    add(16, 16, 32, 32);
    lossy_moved(&l, &(struct rect){60, 40, 64, 44}, 28, 25); /* from 32, 15: beside it */
    lossy_moved(&l, &(struct rect){64, 48, 68, 52}, 33, 32); /* from 31, 16: in it */
    lossy_age(&l);
    lossy_moved(&l, &(struct rect){0, 0, 16, 16}, -17, -16); /* an old one's content */
    expect((struct rect[]){{16, 16, 32, 32}, {64, 48, 80, 64}}, 2);
    lossy_age(&l);
    expect(&(struct rect){0, 0, 16, 16}, 1);
}

/* A way that is slow must become much faster to count as fast, so that it does not change all the time. */
static void test_rate(void **state UNUSED)
{
    static const struct {
        uint64_t rate;
        bool slow;
    } steps[] = {{0, false}, {2000000, false}, {1300000, false}, {1200000, true}, {2400000, true},
                 {2600000, false}, {1300000, false}, {1, true}};
    struct rate r = {0};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        rate_set(&r, steps[i].rate);
        assert_int_equal(r.slow, steps[i].slow);
    }
}

/* A socket that has no TCP below changes nothing. */
static void test_rate_unknown(void **state UNUSED)
{
    struct rate r = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    rate_measure(&r, fds[0]);
    assert_false(r.slow || r.bytes_per_s);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rests, start, stop),
        cmocka_unit_test_setup_teardown(test_edges, start, stop),
        cmocka_unit_test_setup_teardown(test_exact, start, stop),
        cmocka_unit_test_setup_teardown(test_moved, start, stop),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

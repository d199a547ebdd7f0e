/* Frames a second, and from what the user does to the next change. */
#include "client/tempo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <uv.h>

static void test_frames(void **state UNUSED)
{
    static const uint64_t turns[] = {1000, 1000, 1010, 1010, 1010, 1020, 1500};
    struct tempo t = {0};

    assert_true(tempo_rate(&t) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
        tempo_drawn(&t, turns[i]);
    assert_int_equal(t.frames, 4);
    assert_true(tempo_rate(&t) == 6); /* three more within half a second */
    assert_true(tempo_latency_ms(&t, 0.5) < 0);
}

/* The first input counts, not the next one before the change; one that nothing answers within a second does not. */
static void test_latency(void **state UNUSED)
{
    struct tempo t = {0};
    uint64_t now = uv_hrtime();

    tempo_input(&t, now - 100000000);
    tempo_input(&t, now);
    tempo_drawn(&t, 1);
    assert_int_equal(t.answered, 1);
    assert_in_range((uint64_t)tempo_latency_ms(&t, 0.5), 100, 600);
    tempo_drawn(&t, 2);
    assert_int_equal(t.answered, 1);
    tempo_input(&t, now - 5000000000);
    tempo_drawn(&t, 3);
    assert_int_equal(t.answered, 1);
    for (unsigned i = 0; i < 2 * TEMPO_LATENCIES; i++) {
        tempo_input(&t, uv_hrtime() - 1000000);
        tempo_drawn(&t, 4 + i);
    }
    assert_int_equal(t.answered, 1 + 2 * TEMPO_LATENCIES);
    assert_in_range((uint64_t)tempo_latency_ms(&t, 0.5), 1, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_frames), cmocka_unit_test(test_latency)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

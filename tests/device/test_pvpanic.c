/* test_pvpanic.c - the panic port as Linux' pvpanic driver uses it. */
#include "devices/platform/pvpanic.h"
#include "tests/lib/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

static void a_panic_is_a_crash(void **state UNUSED)
{
    struct fake_machine m;

    assert_int_equal(fake_machine_init(&m, KIB(640), false), 0);
    assert_int_equal(fake_in(&m, PVPANIC_PORT, 1), 0xff);
    assert_non_null(pvpanic_create(&m.base));
    fake_machine_reset(&m);
    assert_int_equal(fake_in(&m, PVPANIC_PORT, 1), 3);
    fake_out(&m, PVPANIC_PORT, 2, 1); /* the guest's own crash kernel goes on */
    fake_out(&m, PVPANIC_PORT, 0xfc, 1);
    assert_int_equal(m.requests[MACHINE_CRASH], 0);
    fake_out(&m, PVPANIC_PORT, 1, 1);
    assert_int_equal(m.requests[MACHINE_CRASH], 1);
    fake_machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_panic_is_a_crash)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every operator gives the bits that golden.def holds, whatever the machine, compiler and C
 * library. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    const char *expr;
    uint64_t hash;
    double last;
} golden[] = {
#define GOLDEN(expr, hash, last) {expr, hash, last},
#include "golden.def"
};

static void compare(const char *expr, struct golden g, void *arg)
{
    size_t *n = arg;
    ++*n;
    for (size_t i = 0; i < AC_ARRAY_LEN(golden); i++) {
        if (strcmp(golden[i].expr, expr) != 0)
            continue;
        if (g.hash != golden[i].hash)
            fail_msg("%s has other bits: hash %016llx, not %016llx; last known value %a, not %a",
                     expr, (unsigned long long)g.hash, (unsigned long long)golden[i].hash, g.last,
                     golden[i].last);
        return;
    }
    fail_msg("golden.def lacks %s: build golden_print.c (docs/rules.md) and add its line", expr);
}

static void every_operator_keeps_its_bits(void **st)
{
    (void)st;
    size_t n = 0;
    golden_each(compare, &n);
    assert_int_equal(n, AC_ARRAY_LEN(golden));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_keeps_its_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

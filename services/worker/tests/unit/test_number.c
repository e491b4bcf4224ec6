/* Elements of every numeric type, read and written. */
#include "number.h"
#include "onnx.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <aceso/base.h>

/* Every bit pattern of 16 comes back, and lies between its neighbours. */
static void test_all_short_floats(void **state)
{
    (void)state;
    static const int types[] = {WK_F16, WK_BF16};
    for (size_t t = 0; t < AC_ARRAY_LEN(types); t++) {
        double before = 0;
        for (uint32_t bits = 0; bits < 65536; bits++) {
            uint16_t h = (uint16_t)bits, back = 0;
            double v = wk_real_at(types[t], &h, 0);
            wk_put_real(types[t], &back, 0, v);
            if (isnan(v)) {
                assert_true(isnan(wk_real_at(types[t], &back, 0)));
                continue;
            }
            assert_int_equal(back, h);
            assert_true((bits & 0x7fff) == 0 || fabs(v) > before);
            before = fabs(v);
        }
    }
}

/* Half way between two, the one whose last bit is 0; beyond the largest, infinity. */
static void test_short_floats_round(void **state)
{
    (void)state;
    static const struct {
        int dtype;
        double v;
        uint16_t want;
    } rounded[] = {{WK_F16, 1 + 1.0 / 2048, 0x3c00},
                   {WK_F16, 1 + 3.0 / 2048, 0x3c02},
                   {WK_F16, -1 - 1.1 / 2048, 0xbc01},
                   {WK_F16, 65519, 0x7bff},
                   {WK_F16, 65520, 0x7c00},
                   {WK_F16, -1e300, 0xfc00},
                   {WK_F16, 0x1p-25, 0},
                   {WK_F16, 0x1.1p-25, 1},
                   {WK_F16, 0x1.ffcp-15, 0x0400},
                   {WK_F16, -0.0, 0x8000},
                   {WK_BF16, 1 + 1.0 / 256, 0x3f80},
                   {WK_BF16, 1 + 3.0 / 256, 0x3f82},
                   {WK_BF16, (double)INFINITY, 0x7f80}};
    for (size_t i = 0; i < AC_ARRAY_LEN(rounded); i++) {
        uint16_t got = 0;
        wk_put_real(rounded[i].dtype, &got, 0, rounded[i].v);
        assert_int_equal(got, rounded[i].want);
    }
}

static void test_whole_numbers(void **state)
{
    (void)state;
    unsigned char at[16] = {0};
    wk_put_int(WK_I8, at, 3, -2);
    assert_int_equal(wk_int_at(WK_I8, at, 3), -2);
    assert_int_equal(wk_int_at(WK_U8, at, 3), 254);
    wk_put_int(WK_U16, at, 1, 65537); /* low bits */
    assert_int_equal(wk_int_at(WK_U16, at, 1), 1);
    wk_put_real(WK_I32, at, 1, -2.9); /* towards zero */
    assert_int_equal(wk_int_at(WK_I32, at, 1), -2);
    wk_put_int(WK_BOOL, at, 0, 256);
    assert_int_equal(at[0], 1);
    wk_put_real(WK_U64, at, 1, 0x1p63);
    assert_true(wk_real_at(WK_U64, at, 1) == 0x1p63);
    wk_put_real(WK_I64, at, 1, 1e300);
    assert_true(wk_int_at(WK_I64, at, 1) == INT64_MAX);
    wk_put_real(WK_I64, at, 1, (double)NAN);
    assert_true(wk_int_at(WK_I64, at, 1) == INT64_MIN);
    wk_put_real(WK_F64, at, 1, -7.75);
    assert_int_equal(wk_int_at(WK_F64, at, 1), -7);
    wk_put_int(WK_F32, at, 2, 3);
    assert_true(wk_real_at(WK_F32, at, 2) == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_short_floats),
        cmocka_unit_test(test_short_floats_round),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

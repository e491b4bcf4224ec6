/* Tensors are compared as what they are: whole numbers to the last bit, NaN and infinities. */
#include "tensor_diff.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DIFF(TYPE, DTYPE, A, B) wk_tensor_diff(&(const TYPE){A}, &(const TYPE){B}, DTYPE, 1)

static void test_whole_numbers(void **state)
{
    (void)state;
    assert_true(DIFF(int64_t, WK_I64, -1, -2) == 1);
    assert_true(DIFF(int64_t, WK_I64, -1, 1) == 2);
    assert_true(DIFF(int64_t, WK_I64, (1LL << 60) + 1, 1LL << 60) == 1);
    assert_true(DIFF(int64_t, WK_I64, INT64_MIN, INT64_MAX) == 0x1p64);
    assert_true(DIFF(uint64_t, WK_U64, UINT64_MAX, UINT64_MAX - 3) == 3);
    assert_true(DIFF(int32_t, WK_I32, -5, 7) == 12);
    assert_true(DIFF(uint32_t, WK_U32, 0, UINT32_MAX) == (double)UINT32_MAX);
    assert_true(DIFF(int16_t, WK_I16, -1, 0) == 1);
    assert_true(DIFF(uint16_t, WK_U16, 65535, 0) == 65535);
    assert_true(DIFF(int8_t, WK_I8, -128, 127) == 255);
    assert_true(DIFF(uint8_t, WK_U8, 255, 0) == 255);
    assert_true(DIFF(uint8_t, WK_BOOL, 1, 0) == 1);
}

static void test_real_numbers(void **state)
{
    (void)state;
    assert_true(DIFF(float, WK_F32, 1.5f, -1) == 2.5);
    assert_true(DIFF(double, WK_F64, 0, 3e-300) == 3e-300);
    assert_true(DIFF(double, WK_F64, (double)INFINITY, (double)INFINITY) == 0);
    assert_true(isinf(DIFF(double, WK_F64, (double)INFINITY, 1)));
    assert_true(DIFF(float, WK_F32, NAN, NAN) == 0);
    assert_true(isnan(DIFF(float, WK_F32, NAN, 1)));
    /* 1 and 1 + 1/1024; the least number above 0; -2 and 2; the largest one; infinity */
    assert_true(DIFF(uint16_t, WK_F16, 0x3c00, 0x3c01) == 0x1p-10);
    assert_true(DIFF(uint16_t, WK_F16, 0, 1) == 0x1p-24);
    assert_true(DIFF(uint16_t, WK_F16, 0xc000, 0x4000) == 4);
    assert_true(DIFF(uint16_t, WK_F16, 0x7bff, 0) == 65504);
    assert_true(isinf(DIFF(uint16_t, WK_F16, 0x7c00, 0)));
    assert_true(isnan(DIFF(uint16_t, WK_F16, 0x7e00, 0)));
    assert_true(DIFF(uint16_t, WK_BF16, 0x3f80, 0xbf80) == 2);
}

static void test_the_worst_of_all(void **state)
{
    (void)state;
    const int64_t a[] = {1, 2, 3, 4}, b[] = {1, 5, 3, 2};
    assert_true(wk_tensor_diff(a, b, WK_I64, 4) == 3);
    assert_true(wk_tensor_diff(a, b, WK_I64, 1) == 0);
    assert_true(wk_tensor_diff(a, b, WK_I64, 0) == 0);
    const float c[] = {1, NAN, 3}, d[] = {1, 2, 300};
    assert_true(isnan(wk_tensor_diff(c, d, WK_F32, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_real_numbers),
        cmocka_unit_test(test_the_worst_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

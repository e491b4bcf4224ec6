/* Any bytes as a zone file: refused, or every time has an offset within a day or so. */
#include <stdint.h>

#include <aceso/base.h>
#include <aceso/rules_zone.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {INT64_MIN,           -1,       0, 1700000000000000000,
                                    4000000000000000000, INT64_MAX};
    struct ac_zone *z = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (ac_zone_parse("fuzz", data, size, &z, &err) < 0) {
        AC_ASSERT(err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < AC_ARRAY_LEN(times); i++) {
        int32_t s = ac_zone_offset_s(z, times[i]);
        AC_ASSERT(s >= -200000 && s <= 200000);
    }
    ac_zone_destroy(z);
    return 0;
}

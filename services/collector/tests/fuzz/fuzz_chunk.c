/* Bytes as a stored chunk: the first is the number of samples. What decodes must be encoded again
 * to something that decodes to the same. */
#include "chunk.h"

#include <string.h>

#include <aceso/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t t[256], t2[256];
    double v[256], v2[256];
    struct ac_buf b;
    size_t at = 0, len = 0;
    if (size == 0)
        return 0;
    ac_buf_init(&b, 1 << 20);
    if (col_chunk_decode(data + 1, size - 1, data[0], t, v, NULL) == 0) {
        col_chunk_encode(t, v, data[0], &b);
        AC_ASSERT(col_chunk_decode(ac_buf_str(&b), b.len, data[0], t2, v2, NULL) == 0);
        AC_ASSERT(memcmp(t, t2, data[0] * sizeof(*t)) == 0);
        AC_ASSERT(memcmp(v, v2, data[0] * sizeof(*v)) == 0);
        ac_buf_reset(&b);
    }
    if (col_records_inflate(data, size, &b, NULL) == 0)
        while (col_record_next(&b, &at, &len))
            continue;
    ac_buf_fini(&b);
    return 0;
}

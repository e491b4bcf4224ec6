/* Bytes as a protobuf body. */
#include <stdint.h>

#include "core/js.h"
#include "core/kpb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_err err = AC_ERR_INIT;
    js_auto o = NULL;
    (void)!cl_kpb_decode(data, size, &o, &err);
    return 0;
}

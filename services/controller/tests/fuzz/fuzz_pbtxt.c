/* Text as a config.pbtxt. */
#include "catalog.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <aceso/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = ac_xstrndup((const char *)data, size);
    int v = -1;
    if (ctl_config_max_batch(text, &v, NULL) == 0)
        AC_ASSERT(v >= -1 && v < 1000000);
    free(text);
    return 0;
}

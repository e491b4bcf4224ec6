/* Bytes as a service's /metrics page. */
#include "scrape.h"

#include <string.h>

#include <aceso/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct console_scrape got;
    console_scrape_parse((const char *)data, size, &got);
    AC_ASSERT(got.started_ns >= 0 && memchr(got.version, '\0', sizeof(got.version)));
    return 0;
}

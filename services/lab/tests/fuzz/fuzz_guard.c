/* Bytes as an agent's command line: what is let through is kubectl, whole, and names no other
 * namespace. */
#include "guard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_command c;
    struct ac_err err = AC_ERR_INIT;
    char *line = ac_xstrndup((const char *)data, size);
    if (lab_guard(line, "hotel-1", &c, &err) == 0) {
        AC_ASSERT(c.n >= 2 && c.n <= LAB_ARGS_MAX && !c.argv[c.n]);
        AC_ASSERT(ac_streq(c.argv[0], "kubectl"));
        for (int i = 0; i < c.n; i++) {
            AC_ASSERT(c.argv[i] >= c.text && c.argv[i] < c.text + sizeof(c.text));
            AC_ASSERT(!ac_streq(c.argv[i], "-A") && !ac_str_starts(c.argv[i], "--kubeconfig"));
        }
    } else {
        AC_ASSERT(err.msg[0]);
    }
    free(line);
    return 0;
}

/* Text → selector → text → selector: the same text again. */
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>

#include "core/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_err err = AC_ERR_INIT;
    struct cl_selector *a = NULL, *b = NULL;
    ac_cleanup(ac_free_p) char *text = ac_xstrndup((const char *)data, size);
    if (cl_fields_parse(text, &a, &err) == 0)
        cl_selector_destroy(a);
    a = NULL;
    if (cl_selector_parse(text, &a, &err) != 0)
        return 0;
    ac_cleanup(ac_free_p) char *once = cl_selector_text(a);
    AC_ASSERT(cl_selector_parse(once, &b, &err) == 0);
    ac_cleanup(ac_free_p) char *twice = cl_selector_text(b);
    AC_ASSERT(strcmp(once, twice) == 0);
    cl_selector_destroy(a);
    cl_selector_destroy(b);
    return 0;
}

/* First line: the target; the rest: a patch, tried as each of the three kinds. */
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>

#include "core/js.h"
#include "core/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_err err = AC_ERR_INIT;
    const uint8_t *eol = size > 0 ? memchr(data, '\n', size) : NULL;
    if (eol == NULL)
        return 0;
    size_t n = (size_t)(eol - data);
    js_auto target = json_loadb((const char *)data, n, 0, NULL);
    js_auto patch = json_loadb((const char *)eol + 1, size - n - 1, JSON_DECODE_ANY, NULL);
    if (target == NULL || patch == NULL)
        return 0;
    js_auto before = json_deep_copy(target);
    js_auto merged = cl_patch_merge(target, patch);
    AC_ASSERT(merged != NULL);
    js_auto a = NULL;
    js_auto b = NULL;
    (void)!cl_patch_json(target, patch, &a, &err);
    (void)!cl_patch_strategic(target, patch, &b, &err);
    AC_ASSERT(json_equal(before, target));
    return 0;
}

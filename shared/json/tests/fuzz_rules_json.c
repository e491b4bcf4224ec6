/* Any bytes as rules in JSON: refused with a message, or a set whose JSON reads back as itself. */
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_json.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_ruleset *s = NULL, *again = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (ac_ruleset_from_json("fuzz", (const char *)data, size, &s, &err) < 0) {
        AC_ASSERT(err.msg[0]);
        return 0;
    }
    struct ac_buf a, b;
    ac_buf_init(&a, 64u << 20);
    ac_buf_init(&b, 64u << 20);
    AC_ASSERT(ac_ruleset_json(s, &a));
    AC_ASSERT(ac_ruleset_from_json("again", a.data, a.len, &again, &err) == 0);
    AC_ASSERT(ac_ruleset_json(again, &b) && strcmp(a.data, b.data) == 0);
    ac_ruleset_destroy(s);
    ac_ruleset_destroy(again);
    ac_buf_fini(&a);
    ac_buf_fini(&b);
    return 0;
}

/* Any bytes as the collector's answer to a job: refused, or rules that compile and are small. */
#include "healthy.h"

#include <stdint.h>
#include <string.h>

#include <aceso/base.h>

#include "adapters/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct healthy_rule *r = NULL;
    size_t n = 0, series = 0;
    struct ac_err err = AC_ERR_INIT;
    if (train_sample(data, size, &r, &n, &series, &err) < 0) {
        AC_ASSERT(err.msg[0]);
        return 0;
    }
    AC_ASSERT(n <= series);
    for (size_t i = 0; i < n; i++) {
        struct ac_ruleset *set = NULL;
        AC_ASSERT(ac_ruleset_parse(r[i].text, strlen(r[i].text), &set, NULL) == 0);
        AC_ASSERT(strcmp(ac_rule_name(ac_ruleset_get(set, 0)), r[i].name) == 0);
        ac_ruleset_destroy(set);
    }
    healthy_rules_free(r, n);
    return 0;
}

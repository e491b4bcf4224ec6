/* What can be chosen of each baseline. */
#include "baseline.h"

#include <aceso/base.h>
#include <aceso/clock.h>

static const struct bl_style *style_of(const struct policy_ops *policy)
{
    return policy == &policy_clipper  ? &bl_clipper
           : policy == &policy_triton ? &bl_triton
           : policy == &policy_nexus  ? &bl_nexus
                                      : NULL;
}

const struct baseline_params *baseline_defaults(const struct policy_ops *policy)
{
    const struct bl_style *s = style_of(policy);
    return s ? &s->params : NULL;
}

/* Takes the next digit of a number in mixed bases. */
static uint32_t digit(uint32_t *i, uint32_t base)
{
    uint32_t d = *i % base;
    *i /= base;
    return d;
}

bool baseline_candidate(const struct policy_ops *policy, uint32_t i, struct baseline_params *ret_p)
{
    static const double shares[] = {0.5, 0.75, 1};
    static const int64_t delays[] = {0, 1, 5};
    static const struct {
        uint32_t preferred;
        int64_t delay_ms;
    } batches[] = {{0, 0}, {4, 1}, {4, 5}, {8, 1}, {8, 5}, {16, 1}, {16, 5}};
    const struct bl_style *s = style_of(policy);
    if (!s)
        return false;
    struct baseline_params p = s->params;
    p.replicas = digit(&i, 2); /* one on each device, or one in all */
    if (s == &bl_clipper) {
        p.share = shares[digit(&i, 3)];
        p.delay_ns = delays[digit(&i, 3)] * AC_NS_PER_MS;
    } else if (s == &bl_triton) {
        p.instances = 1 + digit(&i, 2);
        uint32_t k = digit(&i, AC_ARRAY_LEN(batches));
        p.preferred = batches[k].preferred;
        p.delay_ns = batches[k].delay_ms * AC_NS_PER_MS;
    } else {
        p.replicas = 1;
        p.share = shares[digit(&i, 3)];
        p.epoch_ns = (digit(&i, 2) ? 10 : 2) * AC_NS_PER_S;
    }
    if (i)
        return false;
    *ret_p = p;
    return true;
}

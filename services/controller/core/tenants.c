#include "tenants.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define WEIGHT_MIN 0.001
#define WEIGHT_MAX 1e6

static int add(struct ctl_tenants *t, const char *text, struct ac_err *err)
{
    char name[CTL_NAME_MAX] = "";
    const char *eq = strchr(text, '=');
    double weight = 0;
    if (!eq || eq == text || (size_t)(eq - text) >= sizeof(name) ||
        !ac_str_to_f64(eq + 1, &weight) || !(weight >= WEIGHT_MIN && weight <= WEIGHT_MAX))
        return ac_err_set(err, AC_EINVAL,
                          "tenant \"%.80s\": NAME=WEIGHT with a weight from 0.001 to 1e6", text);
    memcpy(name, text, (size_t)(eq - text));
    if (!ctl_name_ok(name))
        return ac_err_set(err, AC_EINVAL, "tenant \"%.80s\": a name has letters, digits, . _ -",
                          name);
    uint32_t i = 0;
    while (i < t->n && !ac_streq(t->list[i].name, name))
        i++;
    /* The first stands there from the start, with a weight of 0 until it is named. */
    if (i < t->n && (i > 0 || t->list[0].weight > 0))
        return ac_err_set(err, AC_EINVAL, "tenant \"%.80s\" is there twice", name);
    if (i == POLICY_TENANTS)
        return ac_err_set(err, AC_ERANGE, "more than %d tenants", POLICY_TENANTS);
    memcpy(t->list[i].name, name, sizeof(name));
    t->list[i].weight = weight;
    t->n = AC_MAX(t->n, i + 1);
    return 0;
}

int ctl_tenants_parse(char *const *list, struct ctl_tenants *ret_t, struct ac_err *err)
{
    struct ctl_tenants t = {.n = 1, .list = {{.name = "default"}}};
    for (; list && *list; list++) {
        int rc = add(&t, *list, err);
        if (rc)
            return rc;
    }
    if (!(t.list[0].weight > 0))
        t.list[0].weight = 1;
    *ret_t = t;
    return 0;
}

int ctl_tenants_find(const struct ctl_tenants *t, const char *name, uint32_t *ret_number,
                     struct ac_err *err)
{
    uint32_t i = 0;
    while (i < t->n && !ac_str_empty(name) && !ac_streq(t->list[i].name, name))
        i++;
    if (i == t->n)
        return ac_err_set(err, AC_EINVAL, "tenant \"%.64s\" is not one of --tenants", name);
    *ret_number = i;
    return 0;
}

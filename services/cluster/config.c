#include "config.h"

#include <aceso/base.h>

const struct ac_conf_opt cluster_opts[] = {
#define CLUSTER_OPT(field, key, type, def, lo, hi, flags, help)                                    \
    {key, type, offsetof(struct cluster_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef CLUSTER_OPT
};
const size_t cluster_n_opts = AC_ARRAY_LEN(cluster_opts);

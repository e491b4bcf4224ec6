#include "config.h"

#include <aceso/base.h>

const struct ac_conf_opt lab_opts[] = {
#define AC_OPT(field, key, type, def, min, max, flags, help)                                       \
    {key, type, offsetof(struct lab_conf, field), def, min, max, flags, help},
#include "config.def"
#undef AC_OPT
};

const size_t lab_n_opts = AC_ARRAY_LEN(lab_opts);

#include "rule/out_name.h"

#include <aceso/str.h>

int out_name_add(struct out_name *names, size_t n, const char *const *files, const char *series,
                 struct ac_err *err)
{
    char *s = names[n].text;
    ac_str_copy(s, sizeof names[n].text, series);
    for (char *p = s; *p; p++)
        *p = *p == '/' || (unsigned char)*p < 0x20 ? '_' : *p;
    for (size_t i = 0; i < n; i++) {
        if (ac_streq(names[i].text, s))
            return ac_err_set(err, AC_EINVAL,
                              "%s: its series %s is that of %s, too: take one of them, or both to "
                              "folders of their own",
                              files[n], s, files[i]);
    }
    return 0;
}

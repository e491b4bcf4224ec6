/* Doubles to text and back, the same in every locale. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <locale.h>

#include <aceso/base.h>
#include <aceso/str.h>

static locale_t c_locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    AC_ASSERT(c_locale != (locale_t)0);
}

static bool number_like(const char *s)
{
    /* strtod also takes blanks, hexadecimal and nan(...): none of them is a number in our files. */
    static const char ok[] = "+-.0123456789eEnNaAiIfFtTyY";
    return *s && s[strspn(s, ok)] == '\0';
}

bool ac_str_to_f64(const char *s, double *ret_v)
{
    if (!s || !number_like(s))
        return false;
    pthread_once(&once, make_locale);
    char *end;
    int saved = errno;
    errno = 0;
    double v = strtod_l(s, &end, c_locale);
    bool overflow = errno == ERANGE && isinf(v); /* the tiny ones that become 0 are fine */
    errno = saved;
    if (end == s || *end || overflow)
        return false;
    *ret_v = v;
    return true;
}

int ac_str_from_f64(char *dst, size_t dst_size, double v)
{
    if (isnan(v))
        return snprintf(dst, dst_size, "nan");
    if (isinf(v))
        return snprintf(dst, dst_size, v < 0 ? "-inf" : "inf");
    pthread_once(&once, make_locale);
    locale_t old = uselocale(c_locale);
    char text[32];
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod_l(text, NULL, c_locale) == v)
            break;
    }
    uselocale(old);
    ac_str_copy(dst, dst_size, text);
    return n;
}

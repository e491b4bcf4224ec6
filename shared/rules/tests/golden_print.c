/* Prints golden.def. It needs the pure library's sources alone, so that it is easily built for
 * another machine (docs/rules.md, "The same bits everywhere"). */
#include "golden.h"

static void print(const char *expr, struct golden g, void *arg)
{
    (void)arg;
    printf("GOLDEN(");
    putchar('"');
    for (; *expr; expr++)
        printf(*expr == '"' ? "\\%c" : "%c", *expr);
    printf("\", 0x%016llx, %a)\n", (unsigned long long)g.hash, g.last);
}

int main(void)
{
    golden_each(print, NULL);
    return 0;
}

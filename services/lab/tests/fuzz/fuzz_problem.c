/* Bytes as a problem file. */
#include <stdint.h>

/* The reader is an adapter; a fuzz target links the core alone. */
#include "adapters/problem_yaml.c" /* NOLINT(bugprone-suspicious-include) */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_problem *list = NULL;
    size_t n = 0;
    struct ac_err err = AC_ERR_INIT;
    int rc = lab_problems_parse("input", (const char *)data, size, &list, &n, &err);
    AC_ASSERT(rc == 0 || err.msg[0]);
    for (size_t i = 0; i < n; i++)
        AC_ASSERT(list[i].n_faults <= LAB_FAULTS_MAX && list[i].n_answers <= LAB_ANSWERS_MAX &&
                  list[i].number > 0);
    lab_problems_free(list, n);
    return 0;
}

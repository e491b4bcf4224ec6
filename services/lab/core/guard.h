/* What an agent's shell may run: one kubectl command at a time, in the session's namespace, nothing
 * that reads this machine's files, starts programs or reaches another namespace. */
#pragma once

#include <aceso/err.h>

#define LAB_LINE_MAX 4096
#define LAB_ARGS_MAX 64

struct lab_command {
    char text[LAB_LINE_MAX + LAB_ARGS_MAX]; /* the words, each with its NUL */
    char *argv[LAB_ARGS_MAX + 1];           /* into text; NULL-ended */
    int n;
};

/** Splits a line as a shell would, without running one, and checks it. The error says what is not
 * allowed and what is. */
int lab_guard(const char *line, const char *ns, struct lab_command *ret,
              struct ac_err *err) AC_MUST_USE;

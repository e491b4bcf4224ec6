#include "problem.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const struct {
    enum lab_task task;
    const char *name;
} TASKS[] = {{LAB_TASK_DETECTION, "detection"},
             {LAB_TASK_LOCALIZATION, "localization"},
             {LAB_TASK_ANALYSIS, "analysis"},
             {LAB_TASK_MITIGATION, "mitigation"}};

const char *lab_task_name(enum lab_task t)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(TASKS); i++) {
        if (TASKS[i].task == t)
            return TASKS[i].name;
    }
    return "all";
}

unsigned lab_task_from_name(const char *name)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(TASKS); i++) {
        if (ac_streq(TASKS[i].name, name))
            return TASKS[i].task;
    }
    return 0;
}

void lab_problem_split_id(const char *id, char *stem, unsigned *ret_task, int *ret_number)
{
    *ret_task = 0;
    *ret_number = 0;
    ac_str_copy(stem, LAB_NAME_MAX, id);
    char *dash = strrchr(stem, '-');
    int64_t number;
    if (dash && ac_str_to_i64(dash + 1, &number) && number > 0 && number < 1000) {
        *ret_number = (int)number;
        *dash = 0;
        dash = strrchr(stem, '-');
    }
    if (dash && lab_task_from_name(dash + 1)) {
        *ret_task = lab_task_from_name(dash + 1);
        *dash = 0;
    }
}

const struct lab_problem *lab_problem_find(const struct lab_problem *all, size_t n, const char *id,
                                           unsigned *ret_task)
{
    char stem[LAB_NAME_MAX];
    int number;
    lab_problem_split_id(id, stem, ret_task, &number);
    const struct lab_problem *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!ac_streq(all[i].stem, stem) || (number != 0 && all[i].number != number))
            continue;
        if (*ret_task && !(all[i].tasks & *ret_task))
            continue;
        if (!best || all[i].number < best->number)
            best = &all[i];
    }
    return best;
}

static const char *const AGENTS[] = {"responder", "none", "remote"};

int lab_problem_wanted(const struct lab_problem *all, size_t n, const char *id, const char *agent,
                       const struct lab_problem **ret, unsigned *ret_task, struct ac_err *err)
{
    bool known = false;
    for (size_t i = 0; i < AC_ARRAY_LEN(AGENTS); i++)
        known |= ac_streq(AGENTS[i], agent);
    if (!known)
        return ac_err_set(err, AC_EINVAL, "agent '%.30s' is not known: responder, none or remote",
                          agent);
    *ret = lab_problem_find(all, n, id, ret_task);
    if (!*ret)
        return ac_err_set(err, AC_ENOTFOUND,
                          "there is no problem '%.60s'; ListProblems (aceso lab problems) has all",
                          id);
    return 0;
}

bool lab_problem_answer_right(const struct lab_problem *p, const char *component)
{
    for (int i = 0; i < p->n_answers; i++) {
        if (ac_streq(p->answers[i], component))
            return true;
    }
    return false;
}

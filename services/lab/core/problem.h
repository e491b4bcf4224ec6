/* A problem of the benchmark as plain data: what runs, what is broken, who is to blame, what the
 * agent is asked. Read from a YAML file by the adapter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <aceso/err.h>

#define LAB_FAULTS_MAX  4
#define LAB_ANSWERS_MAX 4
#define LAB_NAME_MAX    64
#define LAB_TEXT_MAX    256

enum lab_fault_kind {
    LAB_FAULT_NONE,
    LAB_FAULT_POD_FAILURE,   /* PodChaos pod-failure on the component's pods of that moment */
    LAB_FAULT_NETWORK_DELAY, /* NetworkChaos delay */
    LAB_FAULT_SQL,           /* statements run as the store's administrator */
    LAB_FAULT_DELETE_POD     /* deletes the pods once; nothing to revert */
};

struct lab_fault {
    enum lab_fault_kind kind;
    char component[LAB_NAME_MAX];
    char latency[16]; /* NETWORK_DELAY: "10s" */
    char *inject;     /* SQL; owned by the problem */
    char *revert;     /* SQL: brings the declared state back */
    /* SQL: who runs it, where, and the Secret and its key that hold the password. */
    char user[LAB_NAME_MAX], database[LAB_NAME_MAX], secret[LAB_NAME_MAX], key[LAB_NAME_MAX];
};

enum lab_task {
    LAB_TASK_DETECTION = 1,
    LAB_TASK_LOCALIZATION = 2,
    LAB_TASK_ANALYSIS = 4,
    LAB_TASK_MITIGATION = 8
};

struct lab_problem {
    char id[LAB_NAME_MAX]; /* "revoke_auth_mongodb-1": stem and number */
    char stem[LAB_NAME_MAX];
    int number;
    char application[16];
    char summary[LAB_TEXT_MAX];
    unsigned tasks;           /* enum lab_task bits */
    char level[32], type[48]; /* truth of the analysis task; "" = not asked */
    char answers[LAB_ANSWERS_MAX]
                [LAB_NAME_MAX]; /* components; the first is the truth, any is right */
    int n_answers;
    struct lab_fault faults[LAB_FAULTS_MAX];
    int n_faults;
    double load_rate;            /* requests a second; 0 = the application's default */
    char load_mix[LAB_TEXT_MAX]; /* "search=60,recommend=39,..."; "" = the published mix */
};

const char *lab_task_name(enum lab_task t);
/** "detection" and so on; 0 for an unknown name. */
unsigned lab_task_from_name(const char *name);

/** Splits "stem-task-number", "stem-number" or "stem": any part may be missing (task 0, number 0
 * then). stem of at least LAB_NAME_MAX bytes. */
void lab_problem_split_id(const char *id, char *stem, unsigned *ret_task, int *ret_number);
/** The problem that an id names, and the task it asks for (0 = all levels, end to end); NULL when
 * there is none. */
const struct lab_problem *lab_problem_find(const struct lab_problem *all, size_t n, const char *id,
                                           unsigned *ret_task);
/** The same for what somebody asks for: an unknown agent is AC_EINVAL, an unknown problem
 * AC_ENOTFOUND. */
int lab_problem_wanted(const struct lab_problem *all, size_t n, const char *id, const char *agent,
                       const struct lab_problem **ret, unsigned *ret_task,
                       struct ac_err *err) AC_MUST_USE;
bool lab_problem_answer_right(const struct lab_problem *p, const char *component);

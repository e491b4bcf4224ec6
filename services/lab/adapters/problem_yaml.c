#include "problem_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#define PROBLEM_FILE_MAX (1u << 20)

static const struct {
    const char *name;
    enum lab_fault_kind kind;
} FAULTS[] = {{"none", LAB_FAULT_NONE},
              {"pod_failure", LAB_FAULT_POD_FAILURE},
              {"network_delay", LAB_FAULT_NETWORK_DELAY},
              {"sql", LAB_FAULT_SQL},
              {"delete_pod", LAB_FAULT_DELETE_POD}};

/* Unknown keys are errors: a misspelt one would silently change the problem. */
static int check_keys(const struct ac_yaml_doc *d, const struct ac_yaml *map,
                      const char *const *known, struct ac_err *err)
{
    if (!map || map->kind != AC_YAML_MAP)
        return ac_yaml_err(d, map ? map : ac_yaml_root(d, 0), err, "expected a mapping");
    for (size_t i = 0; i < map->len; i++) {
        const char *const *k = known;
        while (*k && !ac_streq(*k, map->keys[i]))
            k++;
        if (!*k)
            return ac_yaml_err(d, map->items[i], err, "unknown key '%s'", map->keys[i]);
    }
    return 0;
}

static int text(const struct ac_yaml_doc *d, const struct ac_yaml *map, const char *key,
                bool required, char *dst, size_t size, struct ac_err *err)
{
    const struct ac_yaml *v = ac_yaml_get(map, key);
    if (!v)
        return required ? ac_yaml_err(d, map, err, "key '%s' is missing", key) : 0;
    if (v->kind != AC_YAML_SCALAR)
        return ac_yaml_err(d, v, err, "'%s' must be a text", key);
    if (!ac_str_copy(dst, size, v->scalar))
        return ac_yaml_err(d, v, err, "'%s' is longer than %zu bytes", key, size - 1);
    return 0;
}

static int parse_fault(const struct ac_yaml_doc *d, const struct ac_yaml *m, struct lab_fault *f,
                       struct ac_err *err)
{
    static const char *const known[] = {"kind", "component", "latency", "inject", "revert",
                                        "user", "database",  "secret",  "key",    NULL};
    char kind[32] = "";
    int rc = check_keys(d, m, known, err);
    if (rc == 0)
        rc = text(d, m, "kind", true, kind, sizeof(kind), err);
    if (rc != 0)
        return rc;
    size_t i = 0;
    while (i < AC_ARRAY_LEN(FAULTS) && !ac_streq(FAULTS[i].name, kind))
        i++;
    if (i == AC_ARRAY_LEN(FAULTS))
        return ac_yaml_err(d, ac_yaml_get(m, "kind"), err, "unknown kind of fault '%s'", kind);
    f->kind = FAULTS[i].kind;
    rc = text(d, m, "component", true, f->component, sizeof(f->component), err);
    if (rc == 0)
        rc = text(d, m, "latency", f->kind == LAB_FAULT_NETWORK_DELAY, f->latency,
                  sizeof(f->latency), err);
    const struct {
        const char *key;
        char *dst;
    } sql[] = {
        {"user", f->user}, {"database", f->database}, {"secret", f->secret}, {"key", f->key}};
    for (i = 0; rc == 0 && i < AC_ARRAY_LEN(sql); i++)
        rc = text(d, m, sql[i].key, f->kind == LAB_FAULT_SQL, sql[i].dst, LAB_NAME_MAX, err);
    if (rc != 0)
        return rc;
    int64_t ns;
    if (f->kind == LAB_FAULT_NETWORK_DELAY && !ac_str_to_duration_ns(f->latency, &ns))
        return ac_yaml_err(d, ac_yaml_get(m, "latency"), err, "'%s' is no duration (as 10s)",
                           f->latency);
    f->inject = ac_xstrdup(ac_yaml_str(m, "inject", NULL));
    f->revert = ac_xstrdup(ac_yaml_str(m, "revert", NULL));
    if (f->kind == LAB_FAULT_SQL && (!f->inject || !f->revert))
        return ac_yaml_err(d, m, err, "a fault of kind sql needs 'inject' and 'revert'");
    return 0;
}

static int parse_variant(const struct ac_yaml_doc *d, const struct ac_yaml *m,
                         struct lab_problem *p, struct ac_err *err)
{
    static const char *const known[] = {"number", "answers", "faults", NULL};
    char number[16] = "";
    int64_t n = 0;
    int rc = check_keys(d, m, known, err);
    if (rc == 0)
        rc = text(d, m, "number", true, number, sizeof(number), err);
    if (rc != 0)
        return rc;
    if (!ac_str_to_i64(number, &n) || n < 1 || n > 999)
        return ac_yaml_err(d, ac_yaml_get(m, "number"), err, "'number' must be 1 to 999");
    p->number = (int)n;
    snprintf(p->id, sizeof(p->id), "%.*s-%d", LAB_NAME_MAX - 6, p->stem, p->number);
    const struct ac_yaml *answers = ac_yaml_get(m, "answers"), *faults = ac_yaml_get(m, "faults");
    if (!answers || answers->kind != AC_YAML_SEQ || answers->len > LAB_ANSWERS_MAX)
        return ac_yaml_err(d, m, err, "'answers' must be a list of at most %d components",
                           LAB_ANSWERS_MAX);
    for (size_t i = 0; i < answers->len; i++) {
        if (answers->items[i]->kind != AC_YAML_SCALAR ||
            !ac_str_copy(p->answers[p->n_answers++], LAB_NAME_MAX, answers->items[i]->scalar))
            return ac_yaml_err(d, answers->items[i], err, "an answer is the name of a component");
    }
    if (!faults || faults->kind != AC_YAML_SEQ || faults->len > LAB_FAULTS_MAX)
        return ac_yaml_err(d, m, err, "'faults' must be a list of at most %d faults",
                           LAB_FAULTS_MAX);
    for (size_t i = 0; rc == 0 && i < faults->len; i++)
        rc = parse_fault(d, faults->items[i], &p->faults[p->n_faults++], err);
    return rc;
}

static int parse_head(const struct ac_yaml_doc *d, const struct ac_yaml *root,
                      struct lab_problem *p, struct ac_err *err)
{
    static const char *const known[] = {"stem", "application", "summary",  "tasks", "level",
                                        "type", "load",        "variants", NULL};
    int rc = check_keys(d, root, known, err);
    if (rc == 0)
        rc = text(d, root, "stem", true, p->stem, sizeof(p->stem), err);
    if (rc == 0)
        rc = text(d, root, "application", true, p->application, sizeof(p->application), err);
    if (rc == 0)
        rc = text(d, root, "summary", true, p->summary, sizeof(p->summary), err);
    if (rc == 0)
        rc = text(d, root, "level", false, p->level, sizeof(p->level), err);
    if (rc == 0)
        rc = text(d, root, "type", false, p->type, sizeof(p->type), err);
    const struct ac_yaml *tasks = ac_yaml_get(root, "tasks"), *load = ac_yaml_get(root, "load");
    if (rc == 0 && (!tasks || tasks->kind != AC_YAML_SEQ || tasks->len == 0))
        return ac_yaml_err(d, root, err, "'tasks' must be a list");
    for (size_t i = 0; rc == 0 && i < tasks->len; i++) {
        unsigned bit = tasks->items[i]->kind == AC_YAML_SCALAR
                           ? lab_task_from_name(tasks->items[i]->scalar)
                           : 0;
        if (!bit)
            return ac_yaml_err(d, tasks->items[i], err,
                               "a task is detection, localization, analysis or mitigation");
        p->tasks |= bit;
    }
    if (rc == 0 && load) {
        static const char *const load_keys[] = {"rate", "mix", NULL};
        const char *rate = ac_yaml_str(load, "rate", "0");
        rc = check_keys(d, load, load_keys, err);
        if (rc == 0 &&
            (!ac_str_to_f64(rate, &p->load_rate) || !(p->load_rate >= 0 && p->load_rate <= 1e5)))
            return ac_yaml_err(d, load, err, "'rate' must be a number of requests a second");
        if (rc == 0)
            rc = text(d, load, "mix", false, p->load_mix, sizeof(p->load_mix), err);
    }
    return rc;
}

static void free_problem(struct lab_problem *p)
{
    for (int i = 0; i < p->n_faults; i++) {
        free(p->faults[i].inject);
        free(p->faults[i].revert);
    }
}

int lab_problems_parse(const char *name, const char *data, size_t len, struct lab_problem **list,
                       size_t *n, struct ac_err *err)
{
    struct ac_yaml_doc *d = NULL;
    int rc = ac_yaml_parse(name, data, len, &d, err);
    if (rc != 0)
        return rc;
    const struct ac_yaml *root = ac_yaml_root(d, 0);
    struct lab_problem head = {0};
    if (!root)
        rc = ac_err_set(err, AC_EINVAL, "%s: empty", name);
    else
        rc = parse_head(d, root, &head, err);
    const struct ac_yaml *variants = rc == 0 ? ac_yaml_get(root, "variants") : NULL;
    if (rc == 0 &&
        (!variants || variants->kind != AC_YAML_SEQ || variants->len == 0 || variants->len > 64))
        rc = ac_yaml_err(d, root, err, "'variants' must be a list of 1 to 64");
    for (size_t i = 0; rc == 0 && i < variants->len; i++) {
        struct lab_problem p = head;
        rc = parse_variant(d, variants->items[i], &p, err);
        if (rc != 0) {
            free_problem(&p);
            break;
        }
        struct lab_problem *grown = ac_xrealloc(*list, (*n + 1) * sizeof(**list));
        grown[(*n)++] = p;
        *list = grown;
    }
    ac_yaml_destroy(d);
    return rc;
}

static int only_yaml(const struct dirent *e)
{
    return ac_str_ends(e->d_name, ".yaml");
}

int lab_problems_load(const char *dir, struct lab_problem **ret, size_t *ret_n, struct ac_err *err)
{
    struct dirent **names = NULL;
    int count = scandir(dir, &names, only_yaml, alphasort);
    if (count < 0)
        return ac_err_errno(err, errno, "problems directory %s", dir);
    struct lab_problem *list = NULL;
    size_t n = 0;
    int rc = 0;
    for (int i = 0; i < count; i++) {
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, names[i]->d_name);
        ac_cleanup(ac_free_p) char *data = NULL;
        size_t len;
        free(names[i]);
        if (rc == 0)
            rc = ac_file_read(path, PROBLEM_FILE_MAX, &data, &len, err);
        if (rc == 0)
            rc = lab_problems_parse(path, data, len, &list, &n, err);
    }
    free(names);
    if (rc != 0) {
        lab_problems_free(list, n);
        return rc;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

void lab_problems_free(struct lab_problem *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free_problem(&list[i]);
    free(list);
}

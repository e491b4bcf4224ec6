/* aceso lab: the benchmark's problems and sessions. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>

#include "../../lab/adapters/problem_yaml.h"
#include "session/session.h"

static int cmd_lab(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_lab = {
    "lab", "the benchmark: list problems, run one", cmd_lab,
    "usage: aceso lab problems [--app A] [--task T] [--problems DIR]\n"
    "       aceso lab run ID --agent NAME [--seed N] [--state DIR]\n\n"
    "  ID              stem-task-number (pod_kill_hotel_res-mitigation-1), or a stem: all levels\n"
    "  --agent NAME    responder (ours), none, or remote (an agent that uses AgentCloud)\n"
    "  --seed N        of the load; without it the lab chooses\n"
    "  --state DIR     the instance to run on; started if it is not up. Without it a temporary "
    "one\n"
    "  --problems DIR  problem files; without it those beside the program\n"
    "Exit 0 when the task was solved, 1 when not, or when the run is void.\n"};

struct args {
    const char *app, *task, *dir, *agent, *seed, *state;
};

/* ---- problems ---- */

static void add_problem(json_t *list, const struct lab_problem *p, const struct args *a,
                        unsigned only)
{
    if (a->app && !ac_streq(a->app, p->application))
        return;
    for (unsigned t = LAB_TASK_DETECTION; t <= LAB_TASK_MITIGATION; t <<= 1) {
        if (!(p->tasks & t) || (only && only != t))
            continue;
        ac_cleanup(ac_free_p) char *id =
            ac_xasprintf("%s-%s-%d", p->stem, lab_task_name((enum lab_task)t), p->number);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "id", id, "stem", p->stem,
                                        "number", p->number, "application", p->application, "task",
                                        lab_task_name((enum lab_task)t), "summary", p->summary));
    }
}

static int list_problems(const struct args *a, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct lab_problem *all = NULL;
    size_t n = 0;
    unsigned only = a->task ? lab_task_from_name(a->task) : 0;
    if (a->task && !only)
        return cli_usage("lab", "--task: detection, localization, analysis or mitigation");
    ac_cleanup(ac_free_p) char *dir =
        a->dir ? ac_xstrdup(a->dir) : ac_xasprintf("%s/../share/aceso/problems", ac_exe_dir());
    if (lab_problems_load(dir, &all, &n, &err) != 0)
        return cli_fail_input("lab", &err);
    ac_cleanup_json list = json_array();
    for (size_t i = 0; i < n; i++)
        add_problem(list, &all[i], a, only);
    lab_problems_free(all, n);
    if (ctx->json) {
        ac_cleanup_json out = json_pack("{s:O}", "problems", list);
        ac_cleanup(ac_free_p) char *text = ac_json_text(out);
        puts(text);
        return CLI_OK;
    }
    size_t i;
    json_t *p;
    json_array_foreach(list, i, p)
        printf("%-44s %s\n", ac_json_str(p, "id", ""), ac_json_str(p, "summary", ""));
    return CLI_OK;
}

/* ---- run ---- */

static const struct {
    const char *task, *flag;
} TASKS[] = {{"detection", "detected"}, {"localization", "localised"}, {"mitigation", "mitigated"}};

/* A void run solves nothing. */
static bool solved(const json_t *s, unsigned task)
{
    bool ok = !cli_session_bool(s, "void");
    for (size_t i = 0; i < AC_ARRAY_LEN(TASKS); i++) {
        if (!task || task == lab_task_from_name(TASKS[i].task))
            ok = ok && cli_session_bool(s, TASKS[i].flag);
    }
    return ok;
}

static void print_run(const json_t *s, unsigned task, bool success, const struct cli_ctx *ctx)
{
    static const char *const score_keys[] = {"detected", "localised",  "mitigated", "ttd_s",
                                             "ttl_s",    "ttm_s",      "rule",      "reason",
                                             "evidence", "root_cause", "mitigation"};
    json_t *scores = json_object();
    for (size_t i = 0; i < AC_ARRAY_LEN(score_keys); i++)
        json_object_set(scores, score_keys[i], json_object_get(s, score_keys[i]));
    ac_cleanup_json out = json_pack(
        "{s:O, s:O, s:s, s:b, s:o, s:O, s:O, s:O, s:O}", "session", json_object_get(s, "session"),
        "problem", json_object_get(s, "problem"), "task",
        task ? lab_task_name((enum lab_task)task) : "all", "success", success, "scores", scores,
        "setup_s", json_object_get(s, "setup_s"), "total_s", json_object_get(s, "total_s"), "seed",
        json_object_get(s, "seed"), "void", json_object_get(s, "void"));
    ac_cleanup(ac_free_p) char *text = ac_json_text(out);
    if (ctx->json)
        puts(text);
    else
        printf("%s\n%s\n", text, success ? "solved" : "not solved");
}

static int run(const char *id, const struct args *a, const struct cli_ctx *ctx)
{
    int64_t seed = 0;
    char stem[LAB_NAME_MAX];
    unsigned task = 0;
    int number;
    if (!a->agent)
        return cli_usage("lab", "run needs --agent NAME: responder, none or remote");
    if (a->seed && (!ac_str_to_i64(a->seed, &seed) || seed < 0))
        return cli_usage("lab", "--seed: a whole number from 0 on");
    lab_problem_split_id(id, stem, &task, &number);
    if (task == LAB_TASK_ANALYSIS)
        return cli_usage("lab", "the analysis task is not scored yet; run %s for the others", stem);
    struct ac_err err = AC_ERR_INIT;
    struct cli_stage stage;
    if (!a->state && cli_session_check(id, a->agent, &err) != 0)
        return cli_fail("lab", &err);
    if (cli_stage_open(a->state, &stage, &err) != 0)
        return cli_fail("lab", &err);
    const struct cli_session_ask ask = {.problem = id, .agent = a->agent, .seed = (uint64_t)seed};
    ac_cleanup_json s = NULL;
    int rc = cli_session_run(&stage, &ask, &s, &err);
    cli_stage_close(&stage);
    if (rc != 0)
        return cli_fail("lab", &err);
    bool success = solved(s, task);
    print_run(s, task, success, ctx);
    return success ? CLI_OK : CLI_FAILED;
}

static int cmd_lab(int argc, char **argv, const struct cli_ctx *ctx)
{
    struct args a = {0};
    const struct cli_opt opts[] = {
        {.name = "--app", .has_value = true, .value = &a.app},
        {.name = "--task", .has_value = true, .value = &a.task},
        {.name = "--problems", .has_value = true, .value = &a.dir},
        {.name = "--agent", .has_value = true, .value = &a.agent},
        {.name = "--seed", .has_value = true, .value = &a.seed},
        {.name = "--state", .has_value = true, .value = &a.state},
    };
    int npos, rc = cli_parse(&cli_verb_lab, argc, argv, opts, (int)AC_ARRAY_LEN(opts), &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    if (npos == 1 && ac_streq(argv[1], "problems"))
        return list_problems(&a, ctx);
    if (npos == 2 && ac_streq(argv[1], "run"))
        return run(argv[2], &a, ctx);
    return cli_usage("lab", "say: lab problems, or lab run ID --agent NAME");
}

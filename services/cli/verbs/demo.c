/* aceso demo: the main job from start to end, on this machine. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>

#include "session/session.h"

static int cmd_demo(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_demo = {
    "demo", "break a live application and watch it being healed", cmd_demo,
    "  aceso demo [--problem ID] [--seed N] [--state DIR]\n\n"
    "Starts the whole system, deploys the hotel application under load, learns rules from its\n"
    "healthy telemetry, injects a fault, and shows the alert with its reason, the root cause with\n"
    "its evidence, the mitigation and the score. Exit 0 when all was detected, localised and "
    "mitigated.\n"
    "  --problem ID    one problem (aceso lab problems); without it three, one after another\n"
    "  --seed N        of the load; without it the lab chooses\n"
    "  --state DIR     keep everything there; without it a temporary directory is used and "
    "removed\n"};

static const char *const PROBLEMS[] = {"pod_kill_hotel_res", "network_delay_hotel_res",
                                       "revoke_auth_mongodb"};

static bool healed(const json_t *s)
{
    return cli_session_bool(s, "detected") && cli_session_bool(s, "localised") &&
           cli_session_bool(s, "mitigated") && !cli_session_bool(s, "void");
}

static void print_seconds(const json_t *s, const char *what, const char *key, const char *time)
{
    const json_t *t = json_object_get(s, time);
    if (cli_session_bool(s, key))
        printf("  %-10s yes, %.1f s after the users felt it\n", what, json_number_value(t));
    else
        printf("  %-10s no\n", what);
}

static void print_score(const json_t *s)
{
    printf("\n%s (seed %lld)%s\n", ac_json_str(s, "problem", ""),
           (long long)ac_json_i64(s, "seed", 0),
           cli_session_bool(s, "void") ? ": void, the fault did not show or did not go" : "");
    print_seconds(s, "detected", "detected", "ttd_s");
    printf("             %s: %s\n", ac_json_str(s, "rule", ""), ac_json_str(s, "reason", ""));
    print_seconds(s, "localised", "localised", "ttl_s");
    printf("             %s\n", ac_json_str(s, "root_cause", ""));
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(s, "evidence"), i, e)
        printf("             - %s\n", json_string_value(e));
    print_seconds(s, "mitigated", "mitigated", "ttm_s");
    printf("             %s\n", ac_json_str(s, "mitigation", ""));
    printf("  set up in %.1f s, %.1f s in all\n", ac_json_f64(s, "setup_s", 0),
           ac_json_f64(s, "total_s", 0));
}

/* Of several: true when all are, the longest time, the texts one after another. */
static void join(json_t *all, const json_t *one)
{
    static const char *const flags[] = {"detected", "localised", "mitigated"};
    static const char *const times[] = {"ttd_s", "ttl_s", "ttm_s", "setup_s"};
    static const char *const texts[] = {"problem", "rule", "reason", "root_cause", "mitigation"};
    for (size_t i = 0; i < AC_ARRAY_LEN(flags); i++)
        json_object_set_new(
            all, flags[i],
            json_boolean(cli_session_bool(all, flags[i]) && cli_session_bool(one, flags[i])));
    for (size_t i = 0; i < AC_ARRAY_LEN(times); i++) {
        json_t *a = json_object_get(all, times[i]), *b = json_object_get(one, times[i]);
        if (!json_is_number(b) ||
            (json_is_number(a) && json_number_value(b) > json_number_value(a)))
            json_object_set(all, times[i], b);
    }
    for (size_t i = 0; i < AC_ARRAY_LEN(texts); i++) {
        ac_cleanup(ac_free_p) char *joined =
            ac_xasprintf("%s; %s", ac_json_str(all, texts[i], ""), ac_json_str(one, texts[i], ""));
        json_object_set_new(all, texts[i], json_string(joined));
    }
    json_object_set_new(
        all, "void", json_boolean(cli_session_bool(all, "void") || cli_session_bool(one, "void")));
    json_t *evidence = json_copy(json_object_get(all, "evidence"));
    json_array_extend(evidence, json_object_get(one, "evidence"));
    json_object_set_new(all, "evidence", evidence);
}

static int run_all(const struct cli_stage *stage, const char *const *problems, size_t n,
                   uint64_t seed, const struct cli_ctx *ctx, json_t **ret, struct ac_err *err)
{
    json_t *all = NULL, *list = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct cli_session_ask ask = {
            .problem = problems[i], .agent = "responder", .seed = seed};
        json_t *one = NULL;
        rc = cli_session_run(stage, &ask, &one, err);
        if (rc != 0)
            break;
        if (!ctx->json)
            print_score(one);
        json_array_append_new(list, one);
        if (all)
            join(all, one);
        else
            all = json_copy(one);
    }
    if (rc == 0 && n > 1)
        json_object_set(all, "problems", list);
    json_decref(list);
    if (rc != 0)
        json_decref(all);
    else
        *ret = all;
    return rc;
}

static int cmd_demo(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *problem = NULL, *seed_text = "0", *state = NULL;
    const struct cli_opt opts[] = {{.name = "--problem", .has_value = true, .value = &problem},
                                   {.name = "--seed", .has_value = true, .value = &seed_text},
                                   {.name = "--state", .has_value = true, .value = &state}};
    int64_t from = ac_now_ns(), seed;
    int npos, rc = cli_parse(&cli_verb_demo, argc, argv, opts, (int)AC_ARRAY_LEN(opts), &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    if (npos > 0)
        return cli_usage("demo", "unexpected argument '%s'", argv[1]);
    if (!ac_str_to_i64(seed_text, &seed) || seed < 0)
        return cli_usage("demo", "--seed: a whole number from 0 on");
    struct ac_err err = AC_ERR_INIT;
    struct cli_stage stage;
    if (problem && !state && cli_session_check(problem, "responder", &err) != 0)
        return cli_fail("demo", &err);
    if (cli_stage_open(state, &stage, &err) != 0)
        return cli_fail("demo", &err);
    ac_cleanup_json score = NULL;
    rc = problem
             ? run_all(&stage, &problem, 1, (uint64_t)seed, ctx, &score, &err)
             : run_all(&stage, PROBLEMS, AC_ARRAY_LEN(PROBLEMS), (uint64_t)seed, ctx, &score, &err);
    double total = (double)(ac_now_ns() - from) / 1e9;
    cli_stage_close(&stage);
    if (rc != 0)
        return cli_fail("demo", &err);
    json_object_set_new(score, "up_s", json_real(stage.up_s));
    json_object_set_new(score, "total_s", json_real(total));
    if (ctx->json) {
        ac_cleanup(ac_free_p) char *text = ac_json_text(score);
        puts(text);
    } else {
        printf("\n%s: the system started in %.1f s; %.1f s from start to end\n",
               healed(score) ? "healed" : "not healed", stage.up_s, total);
    }
    return healed(score) ? CLI_OK : CLI_FAILED;
}

/* The life of incidents on made alerts, diagnoses and clusters. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define CAUSES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct world w;

static int up(void **state)
{
    (void)state;
    world_init(&w);
    static const char *const services[] = {"frontend", "user", "geo", "search"};
    for (size_t i = 0; i < AC_ARRAY_LEN(services); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s-abc", services[i]);
        world_deploy(&w, services[i], 1, 1);
        world_pod(&w, services[i], name, true);
    }
    world_deploy(&w, "mongodb-geo", 1, 1);
    world_pod(&w, "mongodb-geo", "mongodb-geo-abc", true);
    world_restore(&w, "mongodb-geo", "mongodb-geo-restore");
    return 0;
}

static int down(void **state)
{
    (void)state;
    world_fini(&w);
    return 0;
}

static enum ac_inc_state state_now(void)
{
    return world_incident(&w)->state;
}

static void to_diagnosis(void)
{
    world_policy(&w, true);
    world_alert(&w, "a1", 1, true, "frontend");
    world_run(&w, 4.5);
    assert_int_equal(state_now(), AC_INC_DIAGNOSING);
}

static void pod_failure_is_healed(void **state)
{
    (void)state;
    to_diagnosis();
    assert_int_equal(w.looks, 1);
    world_diagnosed(&w, CAUSES("user:pod", "frontend:errors"));
    assert_int_equal(state_now(), AC_INC_MITIGATING);
    assert_int_equal(w.run_kind, AC_ACT_REPLACE_POD);
    assert_string_equal(w.run_target, "pod/user-abc");
    assert_string_equal(world_incident(&w)->actions[world_incident(&w)->nactions - 1].pin,
                        "uid-user-abc");
    ac_responder_action_done(w.r, w.now_ns, w.run_incident, w.run_action, true, "replaced");
    assert_int_equal(state_now(), AC_INC_VERIFYING);
    world_run(&w, 5);
    world_alert(&w, "a1", 2, false, "frontend");
    assert_int_equal(state_now(), AC_INC_RESOLVED);
    assert_int_equal(w.runs, 1);
    const struct ac_incident *i = world_incident(&w);
    assert_true(i->started_ns < i->detected_ns && i->detected_ns < i->diagnosed_ns);
    assert_true(i->mitigated_ns <= i->resolved_ns);
    assert_non_null(strstr(i->summary, "pod/user-abc"));
}

static void revoked_grant_is_restored_first(void **state)
{
    (void)state;
    to_diagnosis();
    world_diagnosed(&w, CAUSES("mongodb-geo:store_auth", "geo:errors"));
    assert_int_equal(w.run_kind, AC_ACT_RESTORE);
    assert_string_equal(w.run_target, "configmap/mongodb-geo-restore");
}

static void missing_replicas_come_back(void **state)
{
    (void)state;
    w.cluster.deploys[1].replicas = 0;
    to_diagnosis();
    world_diagnosed(&w, CAUSES("user:change"));
    assert_int_equal(w.run_kind, AC_ACT_SCALE);
    assert_string_equal(w.run_target, "deployment/user");
}

static void recent_rollout_is_undone(void **state)
{
    (void)state;
    w.cluster.deploys[2].revision = 3;
    w.cluster.deploys[2].previous = 2;
    w.cluster.deploys[2].changed_ns = w.now_ns - 30 * AC_NS_PER_S;
    to_diagnosis();
    world_diagnosed(&w, CAUSES("geo:errors"));
    assert_int_equal(w.run_kind, AC_ACT_ROLLOUT_UNDO);
    assert_string_equal(world_incident(&w)->actions[world_incident(&w)->nactions - 1].pin, "2");
}

static void without_policy_nothing_is_touched(void **state)
{
    (void)state;
    world_alert(&w, "a1", 1, true, "frontend");
    world_run(&w, 4.5);
    world_diagnosed(&w, CAUSES("user:pod"));
    assert_int_equal(state_now(), AC_INC_NEEDS_HUMAN);
    assert_int_equal(w.runs, 0);
    assert_true(world_count(&w, AC_ACTION_DRY_RUN) >= 1);
    /* A policy that comes later is enough. */
    world_policy(&w, true);
    assert_int_equal(state_now(), AC_INC_DIAGNOSING);
    world_diagnosed(&w, CAUSES("user:pod"));
    assert_int_equal(w.runs, 1);
}

static void policy_limits_hold(void **state)
{
    (void)state;
    const struct ac_policy only_scale = {.act = true, .allow = 1u << AC_ACT_SCALE};
    to_diagnosis();
    ac_responder_set_policy(w.r, w.now_ns, "hotel-1", &only_scale);
    world_diagnosed(&w, CAUSES("user:pod"));
    assert_int_equal(state_now(), AC_INC_NEEDS_HUMAN);
    assert_int_equal(w.runs, 0);
    assert_true(world_count(&w, AC_ACTION_REFUSED) >= 1);
    const struct ac_policy old = {.act = true, .expires_ns = 1};
    ac_responder_set_policy(w.r, w.now_ns, "hotel-1", &old);
    world_diagnosed(&w, CAUSES("user:pod"));
    assert_int_equal(w.runs, 0);
}

static void next_candidate_is_tried_and_the_cap_holds(void **state)
{
    (void)state;
    to_diagnosis();
    char seen[8][200];
    int n = 0;
    for (int round = 0; round < 12 && state_now() != AC_INC_NEEDS_HUMAN; round++) {
        if (state_now() == AC_INC_DIAGNOSING)
            world_diagnosed(&w, CAUSES("user:network", "geo:errors", "search:latency"));
        if (state_now() != AC_INC_MITIGATING)
            continue;
        snprintf(seen[n], sizeof(seen[n]), "%s %s", ac_act_kind_name(w.run_kind), w.run_target);
        for (int k = 0; k < n; k++)
            assert_string_not_equal(seen[k], seen[n]);
        n++;
        ac_responder_action_done(w.r, w.now_ns, w.run_incident, w.run_action, round % 2 == 0, "x");
        world_run(&w, 41);
    }
    assert_int_equal(state_now(), AC_INC_NEEDS_HUMAN);
    assert_int_equal(n, AC_POLICY_MAX_PODS); /* every one of these replaces a pod */
    assert_string_equal(seen[0], "replace_pod pod/user-abc");
    assert_true(world_count(&w, AC_ACTION_REFUSED) >= 1);
    world_alert(&w, "a1", 2, false, "frontend");
    assert_int_equal(state_now(), AC_INC_RESOLVED);
}

static void alerts_are_grouped_and_duplicates_ignored(void **state)
{
    (void)state;
    world_policy(&w, true);
    world_alert(&w, "a1", 1, true, "frontend");
    world_alert(&w, "a2", 1, true, "user");
    int stores = w.stores;
    world_alert(&w, "a2", 1, true, "user");
    assert_int_equal(w.stores, stores);
    assert_int_equal(world_incident(&w)->nalerts, 2);
    assert_null(ac_responder_at(w.r, 1));
    world_alert(&w, "a1", 2, false, "frontend");
    assert_int_equal(state_now(), AC_INC_OPEN);
    world_alert(&w, "a2", 2, false, "user");
    assert_int_equal(state_now(), AC_INC_RESOLVED);
    assert_int_equal(w.looks, 0);
    /* The end of an alert nobody knows, and a late duplicate: nothing. */
    stores = w.stores;
    world_alert(&w, "a9", 2, false, "geo");
    world_alert(&w, "a1", 1, true, "frontend");
    assert_int_equal(w.stores, stores);
}

static void alert_soon_after_resolution_reopens(void **state)
{
    (void)state;
    pod_failure_is_healed(state);
    world_run(&w, 5);
    world_alert(&w, "a3", 1, true, "user");
    assert_null(ac_responder_at(w.r, 1));
    assert_int_equal(state_now(), AC_INC_VERIFYING);
    world_alert(&w, "a3", 2, false, "user");
    assert_int_equal(state_now(), AC_INC_RESOLVED);
    world_run(&w, 60);
    world_alert(&w, "a4", 1, true, "user");
    assert_non_null(ac_responder_at(w.r, 1));
}

static void unsure_diagnosis_is_asked_again_then_left_to_people(void **state)
{
    (void)state;
    to_diagnosis();
    for (int i = 0; i < 6; i++) {
        assert_int_equal(state_now(), AC_INC_DIAGNOSING);
        world_diagnosed(&w, NULL);
        world_run(&w, 3.2);
    }
    assert_int_equal(state_now(), AC_INC_NEEDS_HUMAN);
    assert_int_equal(w.runs, 0);
}

static void lost_diagnosis_is_asked_again(void **state)
{
    (void)state;
    to_diagnosis();
    world_run(&w, 21);
    assert_int_equal(w.looks, 2);
    world_diagnosed(&w, CAUSES("user:pod"));
    world_diagnosed(&w, CAUSES("geo:pod")); /* the late first answer changes nothing */
    assert_int_equal(w.runs, 1);
}

/* A copy as PostgreSQL would give it back. */
static struct ac_incident *stored_copy(const struct ac_incident *i)
{
    struct ac_incident *c = ac_incident_create(i->id, i->namespace_);
    c->state = i->state;
    c->revision = i->revision;
    c->started_ns = i->started_ns;
    c->detected_ns = i->detected_ns;
    c->wake_ns = i->wake_ns;
    for (size_t k = 0; k < i->nalerts; k++) {
        struct ac_inc_alert *a = ac_incident_add_alert(c, i->alerts[k].id);
        a->sequence = i->alerts[k].sequence;
        a->open = i->alerts[k].open;
        a->started_ns = i->alerts[k].started_ns;
    }
    for (size_t k = 0; k < i->nactions; k++) {
        struct ac_inc_action *a = ac_incident_add_action(c, i->actions[k].id);
        a->kind = i->actions[k].kind;
        a->state = i->actions[k].state;
        ac_inc_set_str(&a->target, i->actions[k].target);
        ac_inc_set_str(&a->pin, i->actions[k].pin);
        ac_inc_set_str(&a->component, i->actions[k].component);
    }
    return c;
}

/* kill -9 and start again from what was stored. */
static void restart(void)
{
    struct ac_incident *c = stored_copy(world_incident(&w));
    world_rebuild(&w);
    ac_responder_load(w.r, c);
    world_policy(&w, true);
    ac_responder_resume(w.r, w.now_ns);
}

static void restart_resumes_every_state(void **state)
{
    (void)state;
    world_policy(&w, true);
    world_alert(&w, "a1", 1, true, "frontend");
    restart(); /* open */
    world_run(&w, 4.5);
    assert_int_equal(w.looks, 1);
    restart(); /* diagnosing: asked again */
    assert_int_equal(w.looks, 2);
    world_diagnosed(&w, CAUSES("user:pod"));
    assert_int_equal(w.runs, 1);
    char action[32];
    snprintf(action, sizeof(action), "%s", w.run_action);
    restart(); /* mitigating: the same action again, not another one */
    assert_int_equal(w.runs, 2);
    assert_string_equal(w.run_action, action);
    ac_responder_action_done(w.r, w.now_ns, w.run_incident, w.run_action, true, "ok");
    assert_int_equal(world_incident(&w)->nactions, 2); /* one done, one considered */
    restart();                                         /* verifying */
    assert_int_equal(w.runs, 2);
    world_alert(&w, "a1", 1, true, "frontend"); /* redelivered */
    world_alert(&w, "a1", 2, false, "frontend");
    assert_int_equal(state_now(), AC_INC_RESOLVED);
    assert_int_equal(w.runs, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
    const struct CMUnitTest tests[] = {
        T(pod_failure_is_healed),
        T(revoked_grant_is_restored_first),
        T(missing_replicas_come_back),
        T(recent_rollout_is_undone),
        T(without_policy_nothing_is_touched),
        T(policy_limits_hold),
        T(next_candidate_is_tried_and_the_cap_holds),
        T(alerts_are_grouped_and_duplicates_ignored),
        T(alert_soon_after_resolution_reopens),
        T(unsure_diagnosis_is_asked_again_then_left_to_people),
        T(lost_diagnosis_is_asked_again),
        T(restart_resumes_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

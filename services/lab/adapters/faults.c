#include "store.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/str.h>

static void chaos_name(const struct lab_run *r, int i, char *dst, size_t size)
{
    snprintf(dst, size, "%s-%d", r->s.ns, i);
}

/* Chaos objects live in a namespace of their own: the agent's does not show them. */
static int apply_chaos(struct lab_run *r, int i, const char *kind, json_t *spec, struct ac_err *err)
{
    const struct lab_fault *f = &r->problem->faults[i];
    char name[96];
    chaos_name(r, i, name, sizeof(name));
    json_object_set_new(spec, "mode", json_string("all"));
    json_object_set_new(spec, "selector",
                        json_pack("{s:[s], s:{s:s}}", "namespaces", r->s.ns, "labelSelectors",
                                  "app", f->component));
    ac_cleanup_json chaos =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "chaos-mesh.org/v1alpha1", "kind",
                  kind, "metadata", "name", name, "namespace", LAB_CHAOS_NAMESPACE, "spec", spec);
    ac_cleanup_json ns = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
                                   "metadata", "name", LAB_CHAOS_NAMESPACE);
    int rc = ac_kube_apply(r->lab->kube, ns, NULL, err);
    return rc == 0 ? ac_kube_apply(r->lab->kube, chaos, LAB_CHAOS_NAMESPACE, err) : rc;
}

/* Runs statements in a store as its administrator, over the pod's own address. */
static int run_sql(struct lab_run *r, const struct lab_fault *f, const char *sql,
                   struct ac_err *err)
{
    char selector[LAB_NAME_MAX + 8];
    snprintf(selector, sizeof(selector), "app=%s", f->component);
    ac_cleanup_json secret = NULL;
    ac_cleanup_json pods = NULL;
    int rc = ac_kube_get(r->lab->kube, "v1", "Secret", r->s.ns, f->secret, &secret, err);
    if (rc == 0)
        rc = ac_kube_list(r->lab->kube, "v1", "Pod", r->s.ns, selector, &pods, err);
    if (rc != 0)
        return rc;
    const char *ip = ac_json_str(json_array_get(pods, 0), "status.podIP", "");
    const char *data = json_string_value(json_object_get(json_object_get(secret, "data"), f->key));
    ac_cleanup(ac_free_p) char *password = data ? ac_unbase64(data, NULL) : NULL;
    if (!password)
        return ac_err_set(err, AC_EINVAL, "secret %s of namespace %s has no key %s in base64",
                          f->secret, r->s.ns, f->key);
    if (!ip[0])
        return ac_err_set(err, AC_ENET, "store %s has no pod with an address", f->component);
    const char *keys[] = {"host", "user", "password", "dbname", "connect_timeout", NULL};
    const char *values[] = {ip, f->user, password, f->database, "5", NULL};
    PGconn *c = PQconnectdbParams(keys, values, 0);
    PGresult *res = PQstatus(c) == CONNECTION_OK ? PQexec(c, sql) : NULL;
    if (!res || (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK))
        rc = ac_err_set(err, AC_ENET, "store %s: %.180s", f->component,
                        res ? PQresultErrorMessage(res) : PQerrorMessage(c));
    PQclear(res);
    PQfinish(c);
    return rc;
}

static int delete_pods(struct lab_run *r, const struct lab_fault *f, struct ac_err *err)
{
    char selector[LAB_NAME_MAX + 8];
    snprintf(selector, sizeof(selector), "app=%s", f->component);
    ac_cleanup_json pods = NULL;
    int rc = ac_kube_list(r->lab->kube, "v1", "Pod", r->s.ns, selector, &pods, err);
    size_t i;
    json_t *p;
    json_array_foreach(pods, i, p)
    {
        if (rc == 0)
            rc = ac_kube_delete(r->lab->kube, "v1", "Pod", r->s.ns,
                                ac_json_str(p, "metadata.name", ""), err);
    }
    return rc;
}

static int inject_one(struct lab_run *r, int i, struct ac_err *err)
{
    const struct lab_fault *f = &r->problem->faults[i];
    switch (f->kind) {
    case LAB_FAULT_POD_FAILURE:
        return apply_chaos(r, i, "PodChaos", json_pack("{s:s}", "action", "pod-failure"), err);
    case LAB_FAULT_NETWORK_DELAY:
        return apply_chaos(r, i, "NetworkChaos",
                           json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "action", "delay",
                                     "direction", "to", "delay", "latency", f->latency,
                                     "correlation", "0", "jitter", "0ms"),
                           err);
    case LAB_FAULT_SQL:
        return run_sql(r, f, f->inject, err);
    case LAB_FAULT_DELETE_POD:
        return delete_pods(r, f, err);
    case LAB_FAULT_NONE:
        break;
    }
    return 0;
}

static int revert_one(struct lab_run *r, int i, struct ac_err *err)
{
    const struct lab_fault *f = &r->problem->faults[i];
    char name[96];
    chaos_name(r, i, name, sizeof(name));
    switch (f->kind) {
    case LAB_FAULT_POD_FAILURE:
        return ac_kube_delete(r->lab->kube, "chaos-mesh.org/v1alpha1", "PodChaos",
                              LAB_CHAOS_NAMESPACE, name, err);
    case LAB_FAULT_NETWORK_DELAY:
        return ac_kube_delete(r->lab->kube, "chaos-mesh.org/v1alpha1", "NetworkChaos",
                              LAB_CHAOS_NAMESPACE, name, err);
    case LAB_FAULT_SQL:
        return run_sql(r, f, f->revert, err);
    case LAB_FAULT_DELETE_POD:
    case LAB_FAULT_NONE:
        break;
    }
    return 0;
}

int lab_faults_inject(struct lab_run *r, struct ac_err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < r->problem->n_faults; i++) {
        enum lab_fault_state state = LAB_FAULT_ABSENT;
        rc = lab_journal_get(r->lab->svc->pg, r->s.id, i, &state, err);
        if (rc != 0 || state == LAB_FAULT_INJECTED)
            continue;
        rc = lab_journal_set(r->lab->svc->pg, r->s.id, i, LAB_FAULT_INTENDED, err);
        if (rc == 0)
            rc = inject_one(r, i, err);
        if (rc == 0)
            rc = lab_journal_set(r->lab->svc->pg, r->s.id, i, LAB_FAULT_INJECTED, err);
    }
    return rc;
}

int lab_faults_revert(struct lab_run *r, struct ac_err *err)
{
    int first = 0;
    for (int i = r->problem->n_faults - 1; i >= 0; i--) {
        enum lab_fault_state state = LAB_FAULT_ABSENT;
        struct ac_err one = AC_ERR_INIT;
        int rc = lab_journal_get(r->lab->svc->pg, r->s.id, i, &state, &one);
        if (rc == 0 && (state == LAB_FAULT_INTENDED || state == LAB_FAULT_INJECTED)) {
            rc = revert_one(r, i, &one);
            if (rc == 0)
                rc = lab_journal_set(r->lab->svc->pg, r->s.id, i, LAB_FAULT_REVERTED, &one);
        }
        if (rc != 0 && first == 0) {
            first = rc;
            if (err)
                *err = one;
        }
    }
    return first;
}

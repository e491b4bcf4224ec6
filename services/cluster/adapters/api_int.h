/* Inside of the API: one request on its way through the files api_*.c. */
#pragma once

#include "api.h"

#include <stdbool.h>

#include <aceso/base.h>
#include <aceso/list.h>

#include "core/js.h"
#include "core/kinds.h"
#include "core/selector.h"
#include "core/status.h"

#define API_PATH_MAX 2048

struct api {
    struct api_deps d;
    struct ac_http_server *http;
    struct ac_list watches;
    struct ac_timer *sweep; /* ends watches whose time is over */
};

struct areq {
    struct api *a;
    struct ac_http_req *r;
    struct pki_identity who;
    char path[API_PATH_MAX]; /* cut into the texts below */
    const char *group, *version;
    const char *ns, *name, *sub; /* NULL when absent */
    const struct cl_kind *k;
    const char *method;
};

void api_reply_json(struct areq *q, int http_status, const json_t *j);
/** Same, and gives j away. */
void api_reply_new(struct areq *q, int http_status, json_t *j);
void api_fail(struct areq *q, const struct ac_err *err);
/** Body as JSON (or YAML, of which JSON is a part). AC_EPROTO. */
int api_body(struct areq *q, json_t **ret, struct ac_err *err) AC_MUST_USE;
bool api_wants_table(struct areq *q);
bool api_flag(struct areq *q, const char *key); /* ?key=true or 1 */

/* api_discovery.c: true when the path was one of those. */
bool api_discovery(struct areq *q);
/* api_metrics.c: the same */
bool api_metrics(struct areq *q);
/* api_objects.c */
void api_objects(struct areq *q);
/* api_patch.c */
void api_patch(struct areq *q);
void api_scale(struct areq *q);
/* api_watch.c */
struct api_query {
    struct cl_selector *labels, *fields;
};
int api_query_parse(struct areq *q, struct api_query *ret, struct ac_err *err) AC_MUST_USE;
void api_query_fini(struct api_query *aq);
/** Takes aq's selectors. */
void api_watch_start(struct areq *q, struct api_query *aq);
void api_watch_event(const struct cl_event *ev, void *api);
void api_watch_sweep(void *api);
/** Objects as a Table, with whole objects when ?includeObject=Object. */
json_t *api_table(struct areq *q, const json_t *objects, uint64_t rv, bool header);
/* api_pods.c: log, exec, eviction, token */
void api_pod_sub(struct areq *q);
void api_account_token(struct areq *q);
/* api_exec.c */
void api_exec(struct areq *q, const json_t *pod);
/* api_auth.c */
bool api_allowed(const struct pki_identity *who, const struct cl_kind *k, const char *verb,
                 const char *ns, const char *name);
void api_access_review(struct areq *q);

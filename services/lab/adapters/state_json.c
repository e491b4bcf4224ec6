/* One table describes the state's fields for both directions. */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/json.h>
#include <aceso/str.h>

enum field_kind {
    TEXT,
    I64,
    U64,
    BOOL,
    F64
};

#define F(kind, member)                                                                            \
    {                                                                                              \
#member, kind, offsetof(struct lab_state, member), sizeof(((struct lab_state *)0)->member) \
    }

static const struct {
    const char *name;
    enum field_kind kind;
    size_t offset, size;
} FIELDS[] = {
    F(TEXT, id),
    F(TEXT, request_id),
    F(TEXT, problem),
    F(TEXT, agent),
    F(U64, seed),
    F(TEXT, ns),
    F(TEXT, load_ns),
    F(BOOL, void_run),
    F(TEXT, error),
    F(I64, created_ns),
    F(I64, load_running_ns),
    F(I64, baseline_from_ns),
    F(I64, learned_ns),
    F(I64, ended_ns),
    F(I64, seen.injected_ns),
    F(I64, seen.first_effect_ns),
    F(I64, seen.alert_ns),
    F(I64, seen.diagnosed_ns),
    F(TEXT, seen.root_cause),
    F(I64, seen.mitigated_ns),
    F(I64, seen.held_from_ns),
    F(BOOL, scores.detected),
    F(BOOL, scores.localised),
    F(BOOL, scores.mitigated),
    F(F64, scores.ttd_s),
    F(F64, scores.ttl_s),
    F(F64, scores.ttm_s),
    F(TEXT, rule),
    F(TEXT, reason),
    F(TEXT, mitigation),
};

char *lab_state_text(const struct lab_state *s)
{
    ac_cleanup_json j = json_object();
    for (size_t i = 0; i < AC_ARRAY_LEN(FIELDS); i++) {
        const char *p = (const char *)s + FIELDS[i].offset;
        json_t *v = NULL;
        switch (FIELDS[i].kind) {
        case TEXT:
            v = json_string(p);
            break;
        case I64:
        case U64:
            v = json_integer(*(const json_int_t *)(const void *)p);
            break;
        case BOOL:
            v = json_boolean(*(const bool *)(const void *)p);
            break;
        case F64:
            v = json_real(*(const double *)(const void *)p);
            break;
        }
        json_object_set_new(j, FIELDS[i].name, v ? v : json_null());
    }
    json_object_set_new(j, "phase", json_string(lab_phase_name(s->phase)));
    json_t *evidence = json_array(), *ratio = json_array(), *p90 = json_array(),
           *classes = json_array();
    for (int i = 0; i < s->n_classes; i++)
        json_array_append_new(classes, json_string(s->classes[i]));
    for (int i = 0; i < s->n_evidence; i++)
        json_array_append_new(evidence, json_string(s->evidence[i]));
    for (int i = 0; i < s->objective.classes; i++) {
        json_array_append_new(ratio, json_real(s->objective.max_error_ratio[i]));
        json_array_append_new(p90, json_real(s->objective.max_p90_s[i]));
    }
    json_object_set_new(j, "classes", classes);
    json_object_set_new(j, "evidence", evidence);
    json_object_set_new(j, "max_error_ratio", ratio);
    json_object_set_new(j, "max_p90_s", p90);
    return ac_json_text(j);
}

static void parse_objective(const json_t *j, struct lab_objective *o)
{
    const json_t *ratio = json_object_get(j, "max_error_ratio"),
                 *p90 = json_object_get(j, "max_p90_s");
    size_t n = json_array_size(ratio);
    for (size_t i = 0; i < n && i < LAB_CLASSES_MAX && i < json_array_size(p90); i++) {
        o->max_error_ratio[i] = json_number_value(json_array_get(ratio, i));
        o->max_p90_s[i] = json_number_value(json_array_get(p90, i));
        o->classes = (int)i + 1;
    }
}

int lab_state_parse(const char *text, struct lab_state *ret, struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    int rc = ac_json_parse("session", text, strlen(text), &j, err);
    if (rc != 0)
        return rc;
    struct lab_state s = {0};
    for (size_t i = 0; i < AC_ARRAY_LEN(FIELDS); i++) {
        char *p = (char *)&s + FIELDS[i].offset;
        const json_t *v = json_object_get(j, FIELDS[i].name);
        switch (FIELDS[i].kind) {
        case TEXT:
            ac_str_copy(p, FIELDS[i].size, json_is_string(v) ? json_string_value(v) : "");
            break;
        case I64:
        case U64:
            *(json_int_t *)(void *)p = json_integer_value(v);
            break;
        case BOOL:
            *(bool *)(void *)p = json_is_true(v);
            break;
        case F64:
            *(double *)(void *)p = json_number_value(v);
            break;
        }
    }
    s.phase = lab_phase_from_name(ac_json_str(j, "phase", ""));
    parse_objective(j, &s.objective);
    const json_t *classes = json_object_get(j, "classes");
    for (size_t i = 0; i < json_array_size(classes) && i < LAB_CLASSES_MAX; i++) {
        const char *name = json_string_value(json_array_get(classes, i));
        ac_str_copy(s.classes[s.n_classes++], LAB_CLASS_NAME, name ? name : "");
    }
    const json_t *evidence = json_object_get(j, "evidence");
    for (size_t i = 0; i < json_array_size(evidence) && i < LAB_EVIDENCE_MAX; i++) {
        const char *e = json_string_value(json_array_get(evidence, i));
        ac_str_copy(s.evidence[s.n_evidence++], LAB_LONG_TEXT, e ? e : "");
    }
    *ret = s;
    return 0;
}

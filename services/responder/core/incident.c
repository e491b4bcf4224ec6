#include "incident.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const char *const state_names[] = {
#define X(id, text) [AC_INC_##id] = (text),
    AC_INC_STATES(X)
#undef X
};
static const char *const kind_names[] = {
#define X(id, text) [AC_ACT_##id] = (text),
    AC_ACT_KINDS(X)
#undef X
};
static const char *const action_state_names[] = {
#define X(id, text) [AC_ACTION_##id] = (text),
    AC_ACT_STATES(X)
#undef X
};

static int find_name(const char *const *names, size_t n, const char *s)
{
    for (size_t i = 0; s && i < n; i++)
        if (strcmp(names[i], s) == 0)
            return (int)i;
    return -1;
}

const char *ac_inc_state_name(enum ac_inc_state s)
{
    return (unsigned)s < AC_INC_NSTATES ? state_names[s] : "?";
}

bool ac_inc_state_parse(const char *s, enum ac_inc_state *ret)
{
    int i = find_name(state_names, AC_INC_NSTATES, s);
    if (i >= 0)
        *ret = (enum ac_inc_state)i;
    return i >= 0;
}

const char *ac_act_kind_name(enum ac_act_kind k)
{
    return (unsigned)k < AC_ACT_NKINDS ? kind_names[k] : "?";
}

bool ac_act_kind_parse(const char *s, enum ac_act_kind *ret)
{
    int i = find_name(kind_names, AC_ACT_NKINDS, s);
    if (i >= 0)
        *ret = (enum ac_act_kind)i;
    return i >= 0;
}

const char *ac_act_state_name(enum ac_act_state s)
{
    return (unsigned)s < AC_ACTION_NSTATES ? action_state_names[s] : "?";
}

bool ac_act_state_parse(const char *s, enum ac_act_state *ret)
{
    int i = find_name(action_state_names, AC_ACTION_NSTATES, s);
    if (i >= 0)
        *ret = (enum ac_act_state)i;
    return i >= 0;
}

void ac_inc_set_str(char **dst, const char *src)
{
    char *copy = ac_xstrdup(src ? src : "");
    free(*dst);
    *dst = copy;
}

struct ac_incident *ac_incident_create(const char *id, const char *ns)
{
    struct ac_incident *i = ac_xcalloc(1, sizeof(*i));
    i->id = ac_xstrdup(id);
    i->namespace_ = ac_xstrdup(ns);
    i->summary = ac_xstrdup("");
    return i;
}

static void free_causes(struct ac_incident *i)
{
    for (size_t k = 0; k < i->ncauses; k++) {
        free(i->causes[k].component);
        free(i->causes[k].fault);
        free(i->causes[k].text);
    }
    free(i->causes);
    i->causes = NULL;
    i->ncauses = 0;
}

void ac_incident_destroy(struct ac_incident *i)
{
    if (!i)
        return;
    for (size_t k = 0; k < i->nalerts; k++) {
        free(i->alerts[k].id);
        free(i->alerts[k].component);
        free(i->alerts[k].blob);
    }
    for (size_t k = 0; k < i->nactions; k++) {
        free(i->actions[k].id);
        free(i->actions[k].target);
        free(i->actions[k].pin);
        free(i->actions[k].component);
        free(i->actions[k].reason);
        free(i->actions[k].detail);
    }
    free_causes(i);
    free(i->alerts);
    free(i->actions);
    free(i->diagnosis);
    free(i->summary);
    free(i->id);
    free(i->namespace_);
    free(i);
}

size_t ac_incident_open_alerts(const struct ac_incident *i)
{
    size_t n = 0;
    for (size_t k = 0; k < i->nalerts; k++)
        n += i->alerts[k].open;
    return n;
}

int ac_incident_find_alert(const struct ac_incident *i, const char *alert_id)
{
    for (size_t k = 0; k < i->nalerts; k++)
        if (strcmp(i->alerts[k].id, alert_id) == 0)
            return (int)k;
    return -1;
}

struct ac_inc_alert *ac_incident_add_alert(struct ac_incident *i, const char *id)
{
    ac_grow(&i->alerts, &i->alerts_cap, i->nalerts + 1, sizeof(i->alerts[0]));
    struct ac_inc_alert *a = &i->alerts[i->nalerts++];
    *a = (struct ac_inc_alert){.id = ac_xstrdup(id), .component = ac_xstrdup("")};
    return a;
}

struct ac_inc_action *ac_incident_add_action(struct ac_incident *i, const char *id)
{
    ac_grow(&i->actions, &i->actions_cap, i->nactions + 1, sizeof(i->actions[0]));
    struct ac_inc_action *a = &i->actions[i->nactions++];
    *a = (struct ac_inc_action){
        .id = ac_xstrdup(id),
        .kind = AC_ACT_NONE,
        .target = ac_xstrdup(""),
        .pin = ac_xstrdup(""),
        .component = ac_xstrdup(""),
        .reason = ac_xstrdup(""),
        .detail = ac_xstrdup(""),
    };
    return a;
}

struct ac_inc_action *ac_incident_running(struct ac_incident *i)
{
    for (size_t k = i->nactions; k > 0; k--)
        if (i->actions[k - 1].state == AC_ACTION_INTENDED)
            return &i->actions[k - 1];
    return NULL;
}

size_t ac_incident_acted(const struct ac_incident *i)
{
    size_t n = 0;
    for (size_t k = 0; k < i->nactions; k++)
        n += i->actions[k].state == AC_ACTION_INTENDED || i->actions[k].state == AC_ACTION_DONE ||
             i->actions[k].state == AC_ACTION_FAILED;
    return n;
}

void ac_incident_set_causes(struct ac_incident *i, const struct ac_inc_cause *causes, size_t n)
{
    struct ac_inc_cause *copy = ac_xcalloc(n + 1, sizeof(*copy));
    for (size_t k = 0; k < n; k++) {
        copy[k] = (struct ac_inc_cause){
            .component = ac_xstrdup(causes[k].component),
            .fault = ac_xstrdup(causes[k].fault ? causes[k].fault : "unknown"),
            .score = causes[k].score,
            .confidence = causes[k].confidence,
            .text = ac_xstrdup(causes[k].text ? causes[k].text : ""),
        };
    }
    free_causes(i);
    i->causes = copy;
    i->ncauses = n;
}

#include "hotel.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>
#include <aceso/str.h>

static const struct {
    const char *from, *to;
    double calls_per_s, latency_s;
} calls[] = {
    {"frontend", "search", 60, 0.012},
    {"frontend", "recommendation", 39, 0.004},
    {"frontend", "user", 2, 0.003},
    {"frontend", "reservation", 1, 0.006},
    {"frontend", "profile", 99, 0.004},
    {"search", "geo", 60, 0.004},
    {"search", "rate", 60, 0.005},
    {"geo", "mongodb-geo", 60, 0.002},
    {"rate", "mongodb-rate", 20, 0.003},
    {"rate", "memcached-rate", 60, 0.0005},
    {"profile", "mongodb-profile", 30, 0.002},
    {"profile", "memcached-profile", 99, 0.0005},
    {"recommendation", "mongodb-recommendation", 2, 0.002},
    {"reservation", "mongodb-reservation", 1, 0.002},
    {"user", "mongodb-user", 2, 0.001},
};

static const struct {
    const char *name;
    double load, latency_s;
} services[] = {{"frontend", 100, 0.020},  {"search", 60, 0.012},  {"geo", 60, 0.004},
                {"rate", 60, 0.005},       {"profile", 99, 0.004}, {"recommendation", 39, 0.004},
                {"reservation", 1, 0.006}, {"user", 2, 0.003}};

int64_t hotel_fault_ns(const struct hotel_opts *o)
{
    return (HOTEL_T0_S + o->healthy_s) * AC_NS_PER_S;
}

static void push(struct ac_rca_case *c, const char *comp, const char *peer, enum ac_rca_kind kind,
                 const char *name, int64_t t, double v)
{
    int a = ac_rca_component(c, comp), b = peer ? ac_rca_component(c, peer) : -1;
    AC_ASSERT(a >= 0);
    for (size_t i = 0; i < c->nmetrics; i++) {
        struct ac_rca_metric *m = &c->metrics[i];
        if (m->component == a && m->peer == b && m->kind == kind) {
            ac_rca_metric_push(m, t, v);
            return;
        }
    }
    int m = ac_rca_metric_add(c, a, b, kind, AC_RCA_MEAN, name);
    AC_ASSERT(m >= 0);
    ac_rca_metric_push(&c->metrics[m], t, v);
}

struct state { /* of one call path at one second */
    double err, extra_s;
    bool gone;
};

/* What the fault does to the server side of a component. */
static struct state server_state(enum hotel_fault f, const char *s)
{
    struct state r = {0};
    if (f == HOTEL_POD_FAILURE && ac_streq(s, "user"))
        r.gone = true;
    if (f == HOTEL_POD_FAILURE && ac_streq(s, "frontend"))
        r.err = 2;
    if (f == HOTEL_NETWORK_DELAY && ac_streq(s, "user"))
        r = (struct state){.err = 100, .extra_s = 1}; /* gives its store up after 1 s */
    if ((f == HOTEL_NETWORK_DELAY || f == HOTEL_NETWORK_INBOUND) && ac_streq(s, "frontend"))
        r = (struct state){.err = 2, .extra_s = 0.04};
    if (f == HOTEL_REVOKED_COLD && ac_streq(s, "geo"))
        r.gone = true;
    if (f == HOTEL_REVOKED_COLD && (ac_streq(s, "search") || ac_streq(s, "frontend")))
        r.err = ac_streq(s, "search") ? 100 : 60;
    if (f == HOTEL_REVOKED && (ac_streq(s, "geo") || ac_streq(s, "search")))
        r.err = 100;
    if (f == HOTEL_REVOKED && ac_streq(s, "frontend"))
        r.err = 60;
    if (f == HOTEL_CPU && ac_streq(s, "rate"))
        r.extra_s = 0.2;
    if (f == HOTEL_CPU && ac_streq(s, "search"))
        r.extra_s = 0.2;
    if (f == HOTEL_CPU && ac_streq(s, "frontend"))
        r.extra_s = 0.12;
    return r;
}

static struct state edge_state(enum hotel_fault f, const char *from, const char *to)
{
    struct state r = {0};
    if (f == HOTEL_POD_FAILURE && ac_streq(to, "user"))
        r.err = 100;
    if (f == HOTEL_POD_FAILURE && ac_streq(from, "user"))
        r.gone = true;
    if ((f == HOTEL_NETWORK_DELAY || f == HOTEL_NETWORK_INBOUND) && ac_streq(to, "user"))
        r = (struct state){.err = 100, .extra_s = 2};
    if (f == HOTEL_NETWORK_DELAY && ac_streq(from, "user"))
        r = (struct state){.err = 100, .extra_s = 1};
    if (f == HOTEL_NETWORK_INBOUND && ac_streq(from, "user"))
        r.gone = true;
    if (f == HOTEL_REVOKED_COLD && ac_streq(from, "geo"))
        r.gone = true;
    if (f == HOTEL_REVOKED_COLD && (ac_streq(to, "geo") || ac_streq(to, "search")))
        r.err = 100;
    if (f == HOTEL_REVOKED &&
        (ac_streq(to, "mongodb-geo") || ac_streq(to, "geo") || ac_streq(to, "search")))
        r.err = 100;
    if (f == HOTEL_CPU && (ac_streq(to, "rate") || ac_streq(to, "search")))
        r.extra_s = 0.2;
    return r;
}

static void second(struct ac_rca_case *c, enum hotel_fault f, int64_t t, struct ac_rng *rng)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(services); i++) {
        const char *s = services[i].name;
        struct state st = server_state(f, s);
        push(c, s, NULL, AC_RCA_UNREADY, "unready", t, st.gone ? 1 : 0);
        if (st.gone)
            continue;
        double load = fmax(0, services[i].load + sqrt(services[i].load) * ac_rng_normal(rng));
        double cpu = f == HOTEL_CPU && ac_streq(s, "rate") ? 0.95 : 0.1;
        push(c, s, NULL, AC_RCA_CPU, "cpu", t, cpu + 0.01 * ac_rng_uniform(rng));
        push(c, s, NULL, AC_RCA_MEM, "memory", t, 5e7 + 1e5 * ac_rng_uniform(rng));
        if (f == HOTEL_NETWORK_INBOUND && ac_streq(s, "user"))
            load = 0; /* requests arrive after their callers have gone */
        push(c, s, NULL, AC_RCA_LOAD, "rate", t, load);
        if (load < 0.5)
            continue;
        push(c, s, NULL, AC_RCA_LAT, "latency", t,
             services[i].latency_s * (1 + 0.1 * ac_rng_normal(rng)) + st.extra_s);
        push(c, s, NULL, AC_RCA_ERR, "errors", t, st.err);
    }
    for (size_t i = 0; i < AC_ARRAY_LEN(calls); i++) {
        struct state st = edge_state(f, calls[i].from, calls[i].to);
        double load = calls[i].calls_per_s + sqrt(calls[i].calls_per_s) * ac_rng_normal(rng);
        if (st.gone || load < 0.5)
            continue;
        push(c, calls[i].from, calls[i].to, AC_RCA_CLOAD, "client.rate", t, load);
        push(c, calls[i].from, calls[i].to, AC_RCA_CLAT, "client.latency", t,
             calls[i].latency_s * (1.05 + 0.1 * ac_rng_normal(rng)) + st.extra_s);
        push(c, calls[i].from, calls[i].to, AC_RCA_CERR, "client.errors", t, st.err);
    }
}

static void event(struct ac_rca_case *c, const char *who, const char *about, const char *text,
                  int64_t t)
{
    struct ac_rca_event e = {.component = ac_rca_component(c, who),
                             .about = ac_rca_component(c, about),
                             .t_ns = t,
                             .count = 20,
                             .cls = ac_rca_event_classify(text),
                             .text = (char *)(uintptr_t)text};
    AC_ASSERT(ac_rca_event_add(c, &e) == 0);
}

/* What one second of the faulty part shows. */
static enum hotel_fault shown(const struct hotel_opts *o, int second_of_fault)
{
    if (second_of_fault < 0)
        return HOTEL_HEALTHY;
    return o->fault == HOTEL_REVOKED_COLD && second_of_fault >= 2 ? HOTEL_REVOKED : o->fault;
}

struct ac_rca_case *hotel_case(const struct hotel_opts *o)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, o->seed);
    for (size_t i = 0; i < AC_ARRAY_LEN(calls); i++) {
        int from = ac_rca_component(c, calls[i].from), to = ac_rca_component(c, calls[i].to);
        AC_ASSERT(ac_rca_edge_add(c, from, to, "spans") == 0);
    }
    for (int i = 0; i < o->healthy_s + o->faulty_s; i++)
        second(c, shown(o, i - o->healthy_s), (HOTEL_T0_S + i) * AC_NS_PER_S, &rng);
    int64_t t = hotel_fault_ns(o) + 2 * AC_NS_PER_S;
    if (o->no_events)
        return c;
    if (o->fault == HOTEL_REVOKED || o->fault == HOTEL_REVOKED_COLD)
        event(c, "geo", "mongodb-geo", "ERROR: permission denied for table geo", t);
    if (o->fault == HOTEL_POD_FAILURE)
        event(c, "user", "user", "Unhealthy: readiness probe failed", t);
    if (o->fault == HOTEL_NETWORK_DELAY || o->fault == HOTEL_NETWORK_INBOUND)
        event(c, "frontend", "user", "call to user: deadline exceeded", t);
    return c;
}

/* An application as a spec describes it: services, their routes, and the steps of each route.
 * docs/app.md is the reference of the format. Made once, read-only afterwards, any thread. */
#pragma once

#include "node.h"
#include "tmpl.h"

#include <stdint.h>

#define APP_MAX_SERVICES 128
#define APP_MAX_ROUTES   64  /* a service */
#define APP_MAX_STORES   32  /* a service */
#define APP_MAX_STEPS    128 /* a route, all levels */
#define APP_MAX_VARS     64  /* a route */
#define APP_MAX_NESTING  8

enum app_store_kind {
    APP_STORE_POSTGRES,
    APP_STORE_REDIS,
    APP_STORE_MODEL
};

struct app_store {
    const char *name; /* also the host's name and the peer's name in telemetry */
    enum app_store_kind kind;
    int port;
    unsigned connections;
    const struct app_tmpl *url, *database, *user, *password; /* may be NULL; see env only */
    int line, column;
};

enum app_step_kind {
    APP_STEP_CALL,
    APP_STEP_QUERY,
    APP_STEP_CACHE_GET,
    APP_STEP_CACHE_SET,
    APP_STEP_CACHE_DEL,
    APP_STEP_MODEL,
    APP_STEP_COMPUTE,
    APP_STEP_DELAY,
    APP_STEP_LET,
    APP_STEP_FAIL,
    APP_STEP_RETURN,
    APP_STEP_PARALLEL,
    APP_STEP_STEPS
};

struct app_block {
    const struct app_step *steps;
    size_t n;
};

struct app_step {
    enum app_step_kind kind;
    int line, column;
    const struct app_tmpl *when;     /* NULL = always */
    const char *as;                  /* variable for the result; NULL = none */
    bool optional;                   /* a failure gives the fallback instead */
    const struct app_tmpl *fallback; /* value when skipped or failed; NULL = null */
    int64_t timeout_ns;              /* 0 = what is left of the route's time */

    const struct app_service *service; /* CALL */
    const struct app_route *route;
    const struct app_store *store;
    size_t store_index;
    const char *sql; /* QUERY */
    bool one;        /* first row or null instead of a list of rows */
    const struct app_tmpl *const *params;
    size_t n_params;
    const struct app_tmpl *key; /* CACHE_*: text or list of texts */
    const struct app_tmpl
        *value; /* CALL: request; CACHE_SET; MODEL: input; RETURN; FAIL: message */
    int64_t ttl_ns;
    const char *model;
    const struct app_tmpl *duration; /* COMPUTE and DELAY: microseconds */
    int fail_code;
    const char *const *names; /* LET */
    const struct app_tmpl *const *values;
    size_t n_names;
    struct app_block block; /* PARALLEL, STEPS */
};

enum app_type {
    APP_TYPE_ANY,
    APP_TYPE_STRING,
    APP_TYPE_NUMBER,
    APP_TYPE_INT,
    APP_TYPE_BOOL,
    APP_TYPE_DATE,
    APP_TYPE_LIST,
    APP_TYPE_MAP
};

struct app_param {
    const char *name;
    enum app_type type;
    bool optional; /* absent gives null */
};

struct app_route {
    bool http;
    const char *method;          /* "GET", or gRPC's "Nearby" */
    const char *path;            /* "/hotels", or "/search.Search/Nearby" */
    const char *package_service; /* "search.Search"; NULL for HTTP */
    const char *label;           /* in telemetry: "GET /hotels", "search.Search/Nearby" */
    int64_t timeout_ns;
    const struct app_param *params;
    size_t n_params;
    bool any_params; /* none declared: the request is taken as it is */
    struct app_block block;
    const struct app_tmpl *reply;
    size_t index;
    int line, column;
};

struct app_service {
    const char *name;
    int port; /* gRPC, or HTTP for services with HTTP routes */
    const struct app_store *stores;
    size_t n_stores;
    const struct app_route *routes;
    size_t n_routes;
    size_t index;
    int line, column;
};

/* A number that a request of a load class draws uniformly. */
struct app_draw {
    const char *name;
    double lo, hi;
    bool whole;
};

struct app_load_class {
    const char *name;
    double share;
    const struct app_draw *draws;
    size_t n_draws;
    const char *method; /* "GET" or "POST" */
    const struct app_tmpl *path;
    const char *expect; /* text that a good answer's beginning holds; NULL = any */
};

struct app_load_spec {
    const struct app_service *service; /* that the requests go to */
    double rate;
    int64_t late_ns, timeout_ns;
    const struct app_load_class *classes;
    size_t n_classes;
};

struct app_spec {
    const char *application;
    const struct app_service *services;
    size_t n_services;
    const struct app_load_spec *load; /* NULL = none */
};

/** Everything in arena a, which must outlive the spec. AC_EINVAL: "file:line:column: text". */
int app_spec_load(struct ac_arena *a, const char *file, const struct app_node *root,
                  const struct app_spec **ret, struct ac_err *err) AC_MUST_USE;
const struct app_service *app_spec_service(const struct app_spec *s, const char *name);
/** NULL when there is none. http: path without query. */
const struct app_route *app_service_route(const struct app_service *s, bool http,
                                          const char *method, const char *path);
/** Converts and checks the declared parameters; the result is the value of "request". */
int app_route_request(const struct app_route *r, struct ac_arena *a, const struct app_value *raw,
                      const struct app_value **ret, struct ac_err *err) AC_MUST_USE;

/* Requests of the page, checked: paths, parameters, and who may ask. Pure; all of it comes from
 * outside. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

enum console_route {
    CONSOLE_NOT_FOUND,
    CONSOLE_ASSET, /* the page and its parts; rest = its name */
    CONSOLE_SERVICES,
    CONSOLE_INCIDENTS,
    CONSOLE_INCIDENT, /* rest = its id */
    CONSOLE_ALERTS,
    CONSOLE_SESSIONS,
    CONSOLE_SERIES,
    CONSOLE_EVENTS
};

/** ret_rest points into path. */
enum console_route console_route_of(const char *path, const char **ret_rest);

/** A page of another site can make a browser that sees a loopback address talk to it under that
 * site's own name (DNS rebinding); the Host header gives it away. host NULL = none was sent. When
 * the console listens elsewhere it cannot know its names, and every host passes. */
bool console_host_allowed(const char *listen, const char *host);

#define CONSOLE_NAME_MAX   253
#define CONSOLE_LABELS_MAX 16
#define CONSOLE_LIST_LIMIT 50
#define CONSOLE_LIST_MAX   200

/* The i-th value of a parameter, NULL after the last. */
struct console_params {
    const char *(*get)(const void *arg, const char *key, unsigned i);
    const void *arg;
};

struct console_list_query {
    const char *namespace_; /* "" = all */
    bool open_only;
    int64_t since_ns;
    uint32_t limit;
};

struct console_label {
    char key[CONSOLE_NAME_MAX + 1];
    const char *value;
};

struct console_series_query {
    const char *namespace_, *component, *metric;
    struct console_label label[CONSOLE_LABELS_MAX];
    size_t n_labels;
    int64_t from_ns, to_ns;
};

/** namespace, open (0 | 1), since (ns), limit (1 .. 200). AC_EINVAL names the parameter. Strings
 * point into the parameters. */
int console_list_parse(const struct console_params *p, struct console_list_query *ret,
                       struct ac_err *err) AC_MUST_USE;
/** namespace, component, metric, from and to (ns, at most a day apart), label=KEY:VALUE any number
 * of times. */
int console_series_parse(const struct console_params *p, struct console_series_query *ret,
                         struct ac_err *err) AC_MUST_USE;
/** An id as the services make them. */
int console_id_check(const char *id, struct ac_err *err) AC_MUST_USE;
/** "nats://user:secret@host:4222/x" as "host:4222": what may be shown of an address
 * (the last of several). Everything up to the last @ is taken for a secret. */
void console_address_show(const char *url, char *dst, size_t size);

/* What identifies a series: namespace, component, metric and sorted labels; how it follows from
 * what a sender says of itself; and the limits on all of it. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/err.h>

#define COL_MAX_LABELS     32
#define COL_MAX_KEY        128  /* bytes of a label's key */
#define COL_MAX_VALUE      256  /* bytes of a label's value */
#define COL_MAX_NAME       255  /* bytes of namespace, component, metric */
#define COL_MAX_UNIT       63   /* bytes of a unit */
#define COL_MAX_ATTRIBUTES 64   /* of a span or log record; more are left out */
#define COL_MAX_ATTR_VALUE 1024 /* bytes of such an attribute; longer is cut */
#define COL_MAX_BODY       (32u << 10)

enum col_kind {
    COL_GAUGE,
    COL_COUNTER, /* cumulative, monotonic */
    COL_DELTA
};
const char *col_kind_name(enum col_kind k);
/** false for an unknown name. */
bool col_kind_parse(const char *name, enum col_kind *ret_kind);

struct col_label {
    const char *key, *value;
};

struct col_key {
    const char *ns, *component, *metric;
    const struct col_label *labels; /* sorted by key, each key once */
    size_t n_labels;
};

/* Who sends: views into the attributes it was made from. */
struct col_source {
    const char *ns, *component;
    const char *pod;      /* "" = none said */
    const char *instance; /* service.instance.id; "" = none said */
};

/** From a resource's attributes: namespace k8s.namespace.name (else "default"), component
 * service.name, else the name of the workload, else the pod's, else "unknown". */
void col_source_of(const struct col_label *attributes, size_t n, struct col_source *ret);

/** Labels of a point: its attributes, and the pod (without one: the instance) of the source. Sorts
 * into out, which has room for COL_MAX_LABELS. AC_EINVAL says what is too long or too many. */
int col_labels(const struct col_label *attributes, size_t n, const struct col_source *from,
               struct col_label *out, size_t *ret_n, struct ac_err *err) AC_MUST_USE;

/** Of labels made elsewhere: as col_labels leaves them. */
int col_labels_check(const struct col_label *labels, size_t n, struct ac_err *err) AC_MUST_USE;

/** Names within their limits and free of control characters. */
int col_key_check(const struct col_key *k, struct ac_err *err) AC_MUST_USE;

/** One text for a key, equal only for equal keys; replaces what is in out. */
void col_key_text(const struct col_key *k, struct ac_buf *out);
/** Labels as one text ("key\x1fvalue\x1e..."), and back: the views point into text, which is
 * changed. -1 when it is no such text or has too many. */
void col_labels_text(const struct col_label *labels, size_t n, struct ac_buf *out);
int col_labels_split(char *text, struct col_label out[COL_MAX_LABELS]);

/** The namespace as one token of a subject: what may not stand there becomes '_'. */
void col_subject_token(const char *ns, char *dst, size_t size);

/** Length of s, cut at max without splitting a UTF-8 character. */
size_t col_cut(const char *s, size_t len, size_t max);

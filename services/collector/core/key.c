#include "key.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const char *const kind_names[] = {"gauge", "counter", "delta"};

const char *col_kind_name(enum col_kind k)
{
    return kind_names[k];
}

bool col_kind_parse(const char *name, enum col_kind *ret_kind)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(kind_names); i++) {
        if (ac_streq(name, kind_names[i])) {
            *ret_kind = (enum col_kind)i;
            return true;
        }
    }
    return false;
}

static const char *find(const struct col_label *a, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (ac_streq(a[i].key, key) && !ac_str_empty(a[i].value))
            return a[i].value;
    return NULL;
}

void col_source_of(const struct col_label *attributes, size_t n, struct col_source *ret)
{
    static const char *const names[] = {
        "service.name",       "k8s.deployment.name", "k8s.statefulset.name",
        "k8s.daemonset.name", "k8s.container.name",  "k8s.pod.name",
    };
    const char *v = find(attributes, n, "k8s.namespace.name");
    ret->ns = v ? v : "default";
    ret->component = "unknown";
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        if ((v = find(attributes, n, names[i]))) {
            ret->component = v;
            break;
        }
    }
    v = find(attributes, n, "k8s.pod.name");
    ret->pod = v ? v : "";
    v = find(attributes, n, "service.instance.id");
    ret->instance = v ? v : "";
}

static int by_key(const void *a, const void *b)
{
    const struct col_label *x = a, *y = b;
    return strcmp(x->key, y->key);
}

/* Valid UTF-8 without control characters: the store takes no other, and keys are separated by
 * them. */
static bool is_text(const char *str)
{
    const unsigned char *s = (const unsigned char *)str;
    for (size_t n; *s; s += n)
        if (*s < 0x20 || *s == 0x7f || (n = ac_utf8_len(s)) == 0)
            return false;
    return true;
}

static int check_label(const struct col_label *l, struct ac_err *err)
{
    if (ac_str_empty(l->key))
        return ac_err_set(err, AC_EINVAL, "an attribute without a key");
    if (strlen(l->key) > COL_MAX_KEY)
        return ac_err_set(err, AC_EINVAL, "attribute %.40s...: its key is longer than %d bytes",
                          l->key, COL_MAX_KEY);
    if (strlen(l->value) > COL_MAX_VALUE)
        return ac_err_set(err, AC_EINVAL, "attribute %s: its value is longer than %d bytes", l->key,
                          COL_MAX_VALUE);
    if (!is_text(l->key) || !is_text(l->value))
        return ac_err_set(err, AC_EINVAL, "an attribute with control characters or invalid UTF-8");
    return 0;
}

int col_labels(const struct col_label *attributes, size_t n, const struct col_source *from,
               struct col_label *out, size_t *ret_n, struct ac_err *err)
{
    size_t m = 0;
    if (n > COL_MAX_LABELS - 1)
        return ac_err_set(err, AC_EINVAL, "%zu attributes; a point may have %d", n,
                          COL_MAX_LABELS - 1);
    for (size_t i = 0; i < n; i++) {
        if (ac_str_empty(attributes[i].value))
            continue; /* as if it were not there */
        int rc = check_label(&attributes[i], err);
        if (rc)
            return rc;
        out[m++] = attributes[i];
    }
    const struct col_label own = from->pod[0] ? (struct col_label){"pod", from->pod}
                                              : (struct col_label){"instance", from->instance};
    if (own.value[0] && !find(out, m, own.key)) {
        int rc = check_label(&own, err);
        if (rc)
            return rc;
        out[m++] = own;
    }
    if (m > 1)
        qsort(out, m, sizeof(*out), by_key);
    for (size_t i = 1; i < m; i++)
        if (strcmp(out[i - 1].key, out[i].key) == 0)
            return ac_err_set(err, AC_EINVAL, "attribute %s is there twice", out[i].key);
    *ret_n = m;
    return 0;
}

int col_labels_check(const struct col_label *labels, size_t n, struct ac_err *err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = check_label(&labels[i], err);
        if (rc)
            return rc;
        if (i > 0 && strcmp(labels[i - 1].key, labels[i].key) >= 0)
            return ac_err_set(err, AC_EINVAL, "labels that are not sorted");
    }
    return 0;
}

static int check_name(const char *what, const char *s, struct ac_err *err)
{
    if (ac_str_empty(s))
        return ac_err_set(err, AC_EINVAL, "%s is empty", what);
    if (strlen(s) > COL_MAX_NAME)
        return ac_err_set(err, AC_EINVAL, "%s %.40s...: longer than %d bytes", what, s,
                          COL_MAX_NAME);
    if (!is_text(s))
        return ac_err_set(err, AC_EINVAL, "%s: control characters or invalid UTF-8", what);
    return 0;
}

int col_key_check(const struct col_key *k, struct ac_err *err)
{
    int rc = check_name("namespace", k->ns, err);
    if (!rc)
        rc = check_name("component", k->component, err);
    if (!rc)
        rc = check_name("metric", k->metric, err);
    return rc;
}

/* Names and labels hold no control characters, so those separate them. */
void col_labels_text(const struct col_label *labels, size_t n, struct ac_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        ac_buf_puts(out, labels[i].key);
        ac_buf_putc(out, '\x1f');
        ac_buf_puts(out, labels[i].value);
        ac_buf_putc(out, '\x1e');
    }
}

int col_labels_split(char *text, struct col_label out[COL_MAX_LABELS])
{
    int n = 0;
    while (*text) {
        char *end = strchr(text, '\x1e'), *mid = strchr(text, '\x1f');
        if (!end || !mid || mid > end || n == COL_MAX_LABELS)
            return -1;
        *mid = *end = '\0';
        out[n++] = (struct col_label){text, mid + 1};
        text = end + 1;
    }
    return n;
}

void col_key_text(const struct col_key *k, struct ac_buf *out)
{
    ac_buf_reset(out);
    ac_buf_puts(out, k->ns);
    ac_buf_putc(out, '\x1d');
    ac_buf_puts(out, k->component);
    ac_buf_putc(out, '\x1d');
    ac_buf_puts(out, k->metric);
    ac_buf_putc(out, '\x1d');
    col_labels_text(k->labels, k->n_labels, out);
}

void col_subject_token(const char *ns, char *dst, size_t size)
{
    size_t n = 0;
    for (; *ns && n + 1 < size; ns++) {
        bool plain = (*ns >= 'a' && *ns <= 'z') || (*ns >= 'A' && *ns <= 'Z') ||
                     (*ns >= '0' && *ns <= '9') || *ns == '-' || *ns == '_';
        dst[n++] = (char)(plain ? *ns : '_');
    }
    if (n == 0)
        dst[n++] = '_';
    dst[n] = '\0';
}

size_t col_cut(const char *s, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
        max--;
    return max;
}

/* aceso rca discover: a graph from a matrix of samples. */
#include "rca/discover.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/str.h>
#include <aceso/team.h>
#include <aceso/yaml.h>

#include "discover/rca_discover.h"
#include "rca/graph.h"
#include "readers/rca_dataset.h"

int rca_load_matrix(const char *path, struct ac_rca_matrix *ret, struct ac_err *err)
{
    char *text;
    size_t len;
    int rc = ac_rca_text_read(path, (size_t)512 << 20, &text, &len, err);
    if (rc)
        return rc;
    rc = ac_rca_matrix_parse(path, text, len, ret, err);
    free(text);
    return rc;
}

/* ---- knowledge ---- */

static int column_of(const struct ac_rca_matrix *m, const struct ac_yaml_doc *d,
                     const struct ac_yaml *n, size_t *ret, struct ac_err *err)
{
    if (n->kind != AC_YAML_SCALAR)
        return ac_yaml_err(d, n, err, "expected the name of a variable");
    for (size_t j = 0; j < m->p; j++)
        if (ac_streq(m->names[j], n->scalar)) {
            *ret = j;
            return 0;
        }
    return ac_yaml_err(d, n, err, "the data have no variable %s", n->scalar);
}

/* require, forbid: pairs [from, to]; root: nothing drives it; leaf: it drives nothing. */
static int read_key(const struct ac_rca_matrix *m, const struct ac_yaml_doc *d,
                    const struct ac_yaml *root, const char *key, struct ac_rca_knowledge *k,
                    struct ac_err *err)
{
    const struct ac_yaml *list = ac_yaml_get(root, key);
    bool pairs = key[0] == 'r' ? key[1] == 'e' : key[0] == 'f';
    if (list && list->kind != AC_YAML_SEQ)
        return ac_yaml_err(d, list, err, "expected a list");
    for (size_t i = 0; list && i < list->len; i++) {
        const struct ac_yaml *n = list->items[i];
        size_t a = 0, b = 0;
        if (pairs && (n->kind != AC_YAML_SEQ || n->len != 2))
            return ac_yaml_err(d, n, err, "expected a pair [from, to]");
        int rc = column_of(m, d, pairs ? n->items[0] : n, &a, err);
        if (!rc && pairs)
            rc = column_of(m, d, n->items[1], &b, err);
        if (rc)
            return rc;
        if (pairs)
            (key[0] == 'r' ? k->required : k->forbidden)[a * m->p + b] = true;
        for (size_t j = 0; !pairs && j < m->p; j++)
            k->forbidden[key[0] == 'r' ? j * m->p + a : a * m->p + j] = true;
    }
    return 0;
}

int rca_knowledge_read(const char *path, const struct ac_rca_matrix *m, struct ac_rca_knowledge *k,
                       struct ac_err *err)
{
    static const char *const keys[] = {"require", "forbid", "root", "leaf"};
    struct ac_yaml_doc *d;
    int rc = ac_yaml_load_file(path, &d, err);
    if (rc) {
        if (err)
            err->code = AC_EINVAL;
        return AC_EINVAL;
    }
    const struct ac_yaml *root = ac_yaml_documents(d) > 0 ? ac_yaml_root(d, 0) : NULL;
    if (!root || root->kind != AC_YAML_MAP)
        rc = ac_err_set(err, AC_EINVAL, "%s: expected keys root, leaf, require, forbid", path);
    if (!rc)
        rc = rca_knowledge_check(d, root, err);
    for (size_t i = 0; !rc && i < AC_ARRAY_LEN(keys); i++)
        rc = read_key(m, d, root, keys[i], k, err);
    for (size_t i = 0; !rc && i < m->p * m->p; i++)
        if (k->required[i] && k->forbidden[i])
            rc = ac_err_set(err, AC_EINVAL, "%s: %s to %s is required and forbidden", path,
                            m->names[i / m->p], m->names[i % m->p]);
    ac_yaml_destroy(d);
    return rc;
}

/* ---- output ---- */

static const char *const fates[] = {"used", "more than half of it is gaps", "constant", "copy"};

static void print_text(const struct ac_rca_matrix *m, const struct ac_rca_discovery *d,
                       double seconds)
{
    for (size_t i = 0; i < d->nlinks; i++) {
        const struct ac_rca_link *l = &d->links[i];
        printf("%s %s %s", m->names[l->from], ac_rca_link_kind(l), m->names[l->to]);
        if (l->lag > 0)
            printf("  lag %d", l->lag);
        if (l->strength != 0.0)
            printf("  %.3g", l->strength);
        if (!isnan(l->p))
            printf("  p %.2g", l->p);
        printf("\n");
    }
    for (size_t j = 0; j < m->p; j++)
        if (d->fate[j] == AC_RCA_COPY)
            printf("%s left out: a copy of %s\n", m->names[j], m->names[d->copy_of[j]]);
        else if (d->fate[j] != AC_RCA_USED)
            printf("%s left out: %s\n", m->names[j], fates[d->fate[j]]);
    if (d->rows_dropped)
        printf("%zu rows with gaps left out\n", d->rows_dropped);
    if (d->filled)
        printf("%zu gaps filled with the value before\n", d->filled);
    printf("%zu variables, %zu samples, %zu edges, %llu tests, %.4f s\n", m->p, d->rows, d->nlinks,
           (unsigned long long)d->tests, seconds);
}

static void put_json(const struct ac_rca_matrix *m, const struct ac_rca_discovery *d,
                     const char *method, double seconds, double read_s, struct ac_buf *b)
{
    ac_buf_printf(b, "{\"method\":\"%s\",\"nodes\":[", method);
    for (size_t j = 0; j < m->p; j++) {
        if (j)
            ac_buf_putc(b, ',');
        ac_buf_put_json_str(b, m->names[j]);
    }
    ac_buf_puts(b, "],\"edges\":[");
    for (size_t i = 0; i < d->nlinks; i++) {
        const struct ac_rca_link *l = &d->links[i];
        ac_buf_puts(b, i ? ",{\"from\":" : "{\"from\":");
        ac_buf_put_json_str(b, m->names[l->from]);
        ac_buf_puts(b, ",\"to\":");
        ac_buf_put_json_str(b, m->names[l->to]);
        ac_buf_printf(b, ",\"kind\":\"%s\"", ac_rca_link_kind(l));
        if (l->lag > 0)
            ac_buf_printf(b, ",\"lag\":%d", l->lag);
        if (l->strength != 0.0)
            ac_buf_printf(b, ",\"strength\":%.9g", l->strength);
        if (!isnan(l->p))
            ac_buf_printf(b, ",\"p\":%.9g", l->p);
        ac_buf_putc(b, '}');
    }
    ac_buf_puts(b, "],\"left_out\":[");
    size_t n = 0;
    for (size_t j = 0; j < m->p; j++) {
        if (d->fate[j] == AC_RCA_USED)
            continue;
        ac_buf_puts(b, n++ ? ",{\"node\":" : "{\"node\":");
        ac_buf_put_json_str(b, m->names[j]);
        ac_buf_puts(b, ",\"why\":");
        ac_buf_put_json_str(b, fates[d->fate[j]]);
        if (d->copy_of[j] >= 0) {
            ac_buf_puts(b, ",\"of\":");
            ac_buf_put_json_str(b, m->names[d->copy_of[j]]);
        }
        ac_buf_putc(b, '}');
    }
    ac_buf_printf(b,
                  "],\"samples\":%zu,\"rows_dropped\":%zu,\"filled\":%zu,\"tests\":%llu,"
                  "\"seconds\":%.6g,\"read_seconds\":%.6g}",
                  d->rows, d->rows_dropped, d->filled, (unsigned long long)d->tests, seconds,
                  read_s);
}

int rca_discover_verb(const struct rca_discover_args *a, const struct cli_ctx *ctx)
{
    enum ac_rca_method method;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    if (!a->data)
        return cli_usage("rca", "discover needs --data FILE");
    if (!a->method || !ac_rca_method_parse(a->method, &method))
        return cli_usage("rca", "--method must be pc, fci, ges, lingam, pcmci or granger, not %s",
                         a->method ? a->method : "missing");
    struct ac_rca_discover_params p = ac_rca_discover_default(method);
    double v;
    if (a->alpha) {
        if (!ac_str_to_f64(a->alpha, &v) || !(v > 0.0 && v < 1.0))
            return cli_usage("rca", "--alpha must lie between 0 and 1, not %s", a->alpha);
        p.alpha = v;
    }
    if (a->max_given) {
        if (!ac_str_to_f64(a->max_given, &v) || !(v >= 0.0 && v <= AC_RCA_MAX_GIVEN))
            return cli_usage("rca", "--max-given must be 0 to %d, not %s", AC_RCA_MAX_GIVEN,
                             a->max_given);
        p.max_given = (int)v;
    }
    if (a->lag) {
        if (!ac_str_to_f64(a->lag, &v) || !(v >= 1.0 && v <= 64.0))
            return cli_usage("rca", "--lag must be 1 to 64 samples, not %s", a->lag);
        p.max_lag = (int)v;
    }
    if (ac_streq(a->test, "chisq") || ac_streq(a->test, "gsq")) {
        p.test = a->test[0] == 'c' ? AC_RCA_CHISQ : AC_RCA_GSQ;
        p.score = AC_RCA_BDEU;
    } else if (a->test && !ac_streq(a->test, "fisherz")) {
        return cli_usage("rca", "--test must be fisherz, chisq or gsq, not %s", a->test);
    }
    if (a->threads && (!ac_str_to_f64(a->threads, &v) || !(v >= 1.0 && v <= AC_TEAM_MAX)))
        return cli_usage("rca", "--threads must be 1 to %d, not %s", AC_TEAM_MAX, a->threads);
    int64_t t0 = ac_now_ns();
    int rc = rca_load_matrix(a->data, &m, &err);
    if (rc)
        return cli_fail("rca", &err);
    p.team = ac_team_create(a->threads ? (size_t)v : ac_team_processors());
    int64_t t1 = ac_now_ns();
    struct ac_rca_knowledge know = {0};
    if (a->knowledge) {
        ac_rca_knowledge_init(&know, m.p);
        p.know = &know;
        rc = rca_knowledge_read(a->knowledge, &m, &know, &err);
    }
    if (!rc)
        rc = ac_rca_discover(&m, &p, &d, &err);
    ac_rca_knowledge_fini(&know);
    double seconds = (double)(ac_now_ns() - t1) / 1e9, read_s = (double)(t1 - t0) / 1e9;
    if (!rc && ctx->json) {
        struct ac_buf b;
        ac_buf_init(&b, (size_t)256 << 20);
        put_json(&m, &d, a->method, seconds, read_s, &b);
        printf("%s\n", ac_buf_str(&b));
        ac_buf_fini(&b);
    } else if (!rc) {
        print_text(&m, &d, seconds);
    }
    if (!rc)
        ac_rca_discovery_fini(&d);
    ac_rca_matrix_fini(&m);
    ac_team_destroy(p.team);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}

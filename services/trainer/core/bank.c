#include "bank.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const struct bank_atom minute_atoms[] = {
#define ATOM(r, s, d, p, t) {R_##r, SC_##s, DIR_##d, p, t},
#include "prior.def"
#undef ATOM
};
static const struct bank_atom hourly_atoms[] = {
#define ATOM_HOURLY(r, s, d, p) {R_##r, SC_##s, DIR_##d, p, 0},
#include "prior_kind.def"
#undef ATOM_HOURLY
};
static const struct bank_atom state_atoms[] = {
#define ATOM_STATE(r, s, d, p) {R_##r, SC_##s, DIR_##d, p, 0},
#include "prior_kind.def"
#undef ATOM_STATE
};

const struct bank_atom *bank_atoms_of(enum series_kind k, size_t *ret_n)
{
    switch (k) {
    case KIND_HOURLY:
        *ret_n = AC_ARRAY_LEN(hourly_atoms);
        return hourly_atoms;
    case KIND_STATE:
        *ret_n = AC_ARRAY_LEN(state_atoms);
        return state_atoms;
    default:
        *ret_n = AC_ARRAY_LEN(minute_atoms);
        return minute_atoms;
    }
}

const struct bank_atom bank_steps[] = {
#define STEP(r, s, d, p) {R_##r, SC_##s, DIR_##d, p, 0},
#include "prior.def"
#undef STEP
};
const size_t bank_n_steps = AC_ARRAY_LEN(bank_steps);

static const struct {
    const char *name, *says;
} resids[] = {
#define RESID(id, name, says) {#name, says},
#include "resid.def"
#undef RESID
};

const char *bank_resid_name(enum bank_resid r)
{
    return resids[r].name;
}

const char *bank_resid_says(enum bank_resid r)
{
    return resids[r].says;
}

double bank_round(double v)
{
    char s[40];
    double out = v;
    (void)snprintf(s, sizeof s, "%.6g", v);
    (void)ac_str_to_f64(s, &out);
    return out;
}

/* ---- lets ---- */

void bank_lets_fini(struct bank_lets *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].expr);
    free(l->v);
    *l = (struct bank_lets){0};
}

static struct bank_let *find(const struct bank_lets *l, const char *name, size_t len)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strlen(l->v[i].name) == len && memcmp(l->v[i].name, name, len) == 0)
            return &l->v[i];
    }
    return NULL;
}

void bank_lets_add(struct bank_lets *l, const char *name, const char *says, const char *fmt, ...)
{
    if (find(l, name, strlen(name)))
        return;
    struct ac_buf b;
    ac_buf_init(&b, 1 << 16);
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    AC_ASSERT(n >= 0 && (size_t)n < sizeof text);
    ac_grow(&l->v, &l->cap, l->n + 1, sizeof(l->v[0]));
    struct bank_let *x = &l->v[l->n++];
    *x = (struct bank_let){.says = says, .expr = ac_xstrdup(text)};
    ac_str_copy(x->name, sizeof x->name, name);
    ac_buf_fini(&b);
}

static void put_vec(char *dst, size_t size, const double *c, int n)
{
    size_t at = (size_t)snprintf(dst, size, "[");
    for (int i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(dst + at, size - at, "%s%.6g", i ? ", " : "", c[i]);
    AC_ASSERT(at + 2 < size);
    (void)snprintf(dst + at, size - at, "]");
}

static void put_seasons(struct bank_lets *l, const struct bank_fit *f)
{
    int half = f->day >= 1000 ? 2 : f->day >= 200 ? 1 : 0;
    int band = f->day >= 1000 ? 5 : f->day >= 200 ? 2 : 1;
    bank_lets_add(l, "ref3", "the same time of the last 3 days", "season_median(value, %u, 3, %d)",
                  f->day, half);
    bank_lets_add(l, "dsm3", resids[R_DSM3].says, "diff(value - ref3, 1)");
    bank_lets_add(l, "ref7", "the same time of the last 7 days", "season_median(value, %u, 7, %d)",
                  f->day, half);
    bank_lets_add(l, "sm7", resids[R_SM7].says, "value - ref7");
    bank_lets_add(l, "dsm7", resids[R_DSM7].says, "diff(sm7, 1)");
    bank_lets_add(l, "dband", resids[R_DBAND].says,
                  "outside(change, season_min(change, %u, 7, %d), season_max(change, %u, 7, %d))",
                  f->day, band, f->day, band);
    bank_lets_add(l, "sx5", resids[R_SX5].says, "sm7 - median(lag(sm7, 1), 5)");
    bank_lets_add(l, "sx30", NULL, "sm7 - median(lag(sm7, 1), 30)");
    if (f->logs) {
        bank_lets_add(l, "lsm7", "ratio to the same time of the last 7 days, as a logarithm",
                      "log((value + %.6g) / (ref7 + %.6g))", f->log_c, f->log_c);
        bank_lets_add(l, "lsx", resids[R_LSX].says, "lsm7 - median(lag(lsm7, 1), 30)");
    }
}

static void put_innovations(struct bank_lets *l, const struct bank_fit *f)
{
    char vec[2048];
    bank_lets_add(l, "y", "change in units of its deviation", "change / %.6g", f->sd_y);
    bank_lets_add(l, "yc", NULL, "clip(y, -8, 8)");
    put_vec(vec, sizeof vec, f->ar3, 3);
    bank_lets_add(l, "ar3", resids[R_AR3].says, "y - predict(yc, %s)", vec);
    put_vec(vec, sizeof vec, f->ar10, 10);
    bank_lets_add(l, "ar10", resids[R_AR10].says, "y - predict(yc, %s)", vec);
    put_vec(vec, sizeof vec, f->ar40, 40);
    bank_lets_add(l, "ar40", resids[R_AR40].says, "y - predict(yc, %s)", vec);
    bank_lets_add(l, "ar3_s3", resids[R_AR3_S3].says, "sum(ar3, 3)");
    bank_lets_add(l, "ar10_s3", resids[R_AR10_S3].says, "sum(ar10, 3)");
    bank_lets_add(l, "ar10_s5", resids[R_AR10_S5].says, "sum(ar10, 5)");
    if (!f->used[R_ARE])
        return;
    bank_lets_add(l, "y7", "change against the season in units of its deviation", "dsm7 / %.6g",
                  f->sd_y7);
    bank_lets_add(l, "yc7", NULL, "clip(y7, -8, 8)");
    put_vec(vec, sizeof vec, f->are, 10);
    bank_lets_add(l, "are", resids[R_ARE].says,
                  "y7 - predict(yc7, %s) - %.6g * clip(lag(sm7, 1) / %.6g, -5, 5)", vec, f->are[10],
                  f->sd_s7);
    bank_lets_add(l, "are_s3", resids[R_ARE_S3].says, "sum(are, 3)");
}

/* The smallest of the last k of the same sign, else 0. */
static void put_held(struct bank_lets *l, enum bank_resid r, const char *of, int k)
{
    bank_lets_add(l, resids[r].name, resids[r].says,
                  "greatest(min(%s, %d), 0) + least(max(%s, %d), 0)", of, k, of, k);
}

void bank_put_residuals(struct bank_lets *l, const struct bank_fit *f)
{
    static const struct {
        enum bank_resid r;
        const char *of;
        int m, w;
    } steps[] = {{R_TW2_30, "value", 2, 30}, {R_TW3_15, "value", 3, 15}, {R_TW3_30, "value", 3, 30},
                 {R_TW3_60, "value", 3, 60}, {R_TW5_30, "value", 5, 30}, {R_TW5_60, "value", 5, 60},
                 {R_TW8_60, "value", 8, 60}, {R_TE1_60, "sm7", 1, 60},   {R_TE3_30, "sm7", 3, 30},
                 {R_TE3_60, "sm7", 3, 60},   {R_TE5_60, "sm7", 5, 60},   {R_TE8_60, "sm7", 8, 60}};
    bank_lets_add(l, "change", resids[R_D1].says, "diff(value, 1)");
    bank_lets_add(l, "lev", resids[R_LEV].says, "value - %.6g", f->median);
    put_seasons(l, f);
    put_innovations(l, f);
    bank_lets_add(l, "ew30", resids[R_EW30].says, "value - lag(ewma(value, 0.3), 1)");
    bank_lets_add(l, "ew10", NULL, "value - lag(ewma(value, 0.1), 1)");
    bank_lets_add(l, "ew03", NULL, "value - lag(ewma(value, 0.03), 1)");
    bank_lets_add(l, "rec60", resids[R_REC60].says,
                  "outside(value, min(lag(value, 1), 60), max(lag(value, 1), 60))");
    bank_lets_add(l, "md5", resids[R_MD5].says, "value - median(lag(value, 1), 5)");
    bank_lets_add(l, "md61", NULL, "value - median(lag(value, 1), 61)");
    bank_lets_add(l, "ma15", resids[R_MA15].says, "value - mean(lag(value, 1), 15)");
    bank_lets_add(l, "ma240", resids[R_MA240].says, "value - mean(lag(value, 1), 240)");
    put_held(l, R_MD61_P2, "md61", 2);
    put_held(l, R_MD61_P4, "md61", 4);
    put_held(l, R_EW03_P4, "ew03", 4);
    put_held(l, R_EW10_P2, "ew10", 2);
    put_held(l, R_SX30_P4, "sx30", 4);
    for (size_t i = 0; i < AC_ARRAY_LEN(steps); i++)
        bank_lets_add(l, resids[steps[i].r].name, resids[steps[i].r].says,
                      "mean(%s, %d) - mean(lag(%s, %d), %d)", steps[i].of, steps[i].m, steps[i].of,
                      steps[i].m, steps[i].w);
}

static const char *const suffix[SC_END] = {"g", "day", "h", "tod", "e1", "e7", "x7", "mix"};

/* What is large against one usual size by accident, after a change of the series' noise above all,
 * is not against the others. A size that is not known yet is what it was in training. */
static void put_mix(struct bank_lets *l, const struct bank_fit *f, enum bank_resid r,
                    const char *name)
{
    static const enum bank_scale of[] = {SC_DAY, SC_H, SC_TOD, SC_E7, SC_X7};
    char text[512], unused[24];
    const double first[] = {f->g[r], f->g[r], f->g[r], f->block[r], f->block_high[r]};
    size_t at = (size_t)snprintf(text, sizeof text, "log(%.6g)", f->g[r]);
    for (size_t i = 0; i < AC_ARRAY_LEN(of); i++) {
        bank_put_scaled(l, f, r, of[i], unused);
        at += (size_t)snprintf(text + at, sizeof text - at, " + log(coalesce(%.14s_%s, %.6g))",
                               resids[r].name, suffix[of[i]], first[i]);
        AC_ASSERT(at < sizeof text);
    }
    bank_lets_add(l, name,
                  "its usual size, the geometric mean of six: over all, a day, an hour, at "
                  "this time of day, and in usual and great hours of a week",
                  "exp((%s) / %zu)", text, AC_ARRAY_LEN(of) + 1);
}

void bank_put_scaled(struct bank_lets *l, const struct bank_fit *f, enum bank_resid r,
                     enum bank_scale s, char *name)
{
    const char *rn = resids[r].name;
    char cap[24], scale[24];
    (void)snprintf(name, 24, "%.14s_by_%s", rn, suffix[s]);
    (void)snprintf(cap, sizeof cap, "%.14s_size", rn);
    (void)snprintf(scale, sizeof scale, "%.14s_%s", rn, suffix[s]);
    if (s == SC_DAY || s == SC_H || s == SC_TOD)
        bank_lets_add(l, cap, NULL, "least(abs(%s), %.6g)", rn, f->cap[r]);
    uint32_t hour = AC_MAX(f->day / 24, 1u);
    switch (s) {
    case SC_G:
        bank_lets_add(l, name, "in units of its usual size", "%s / %.6g", rn, f->g[r]);
        return;
    case SC_DAY:
        bank_lets_add(l, scale, "its usual size over the last day", "lag(ewma(%s, %.6g), 1) + %.6g",
                      cap, 1.0 / f->day, 0.1 * f->g[r]);
        break;
    case SC_H:
        bank_lets_add(l, scale, "its usual size over the last 60 points",
                      "lag(ewma(%s, %.6g), 1) + %.6g", cap, 1.0 / 60, 0.1 * f->g[r]);
        break;
    case SC_TOD:
        bank_lets_add(l, scale, "its usual size at this time of day",
                      "season_mean(%s, %u, 7, %d) + %.6g", cap, f->day,
                      f->day >= 1000  ? 15
                      : f->day >= 200 ? 3
                                      : 1,
                      0.1 * f->g[r]);
        break;
    case SC_MIX:
        put_mix(l, f, r, scale);
        break;
    default:
        bank_lets_add(l, scale, "its usual greatest size in an hour",
                      "lag(envelope(abs(%s), %u, %d, %s), 1) + %.6g", rn, hour,
                      s == SC_E1 ? 24 : 168, s == SC_X7 ? "0.9" : "0.5", 0.2 * f->block[r]);
        break;
    }
    bank_lets_add(l, name, "in units of that size", "%s / %s", rn, scale);
}

/* ---- printing what is used ---- */

static void mark(const struct bank_lets *l, const char *text, bool *used)
{
    for (const char *s = text; *s;) {
        if (!isalpha((unsigned char)*s) && *s != '_') {
            s++;
            continue;
        }
        const char *e = s;
        while (isalnum((unsigned char)*e) || *e == '_')
            e++;
        const struct bank_let *x = find(l, s, (size_t)(e - s));
        if (x)
            used[x - l->v] = true;
        s = e;
    }
}

void bank_print_used(const struct bank_lets *l, const char *const *texts, size_t n_texts,
                     struct ac_buf *b)
{
    bool *used = ac_xcalloc(l->n + 1, sizeof *used);
    for (size_t i = 0; i < n_texts; i++)
        mark(l, texts[i], used);
    for (size_t i = l->n; i-- > 0;) {
        if (used[i])
            mark(l, l->v[i].expr, used);
    }
    for (size_t i = 0; i < l->n; i++) {
        if (!used[i])
            continue;
        if (l->v[i].says)
            ac_buf_printf(b, "    # %s\n", l->v[i].says);
        ac_buf_printf(b, "    let %s = %s\n", l->v[i].name, l->v[i].expr);
    }
    free(used);
}

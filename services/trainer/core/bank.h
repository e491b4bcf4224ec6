/* The library of atoms: signed residuals, the scales they are divided by, and their text in the
 * rule language. An atom is "residual / scale, in a direction"; a rule compares it with a
 * threshold. What is fitted (autoregressions, mean sizes, caps) comes from a training part alone.
 */
#pragma once

#include "kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/err.h>

enum bank_resid {
#define RESID(id, name, says) R_##id,
#include "resid.def"
#undef RESID
    R_END
};

enum bank_scale {
    SC_G,
    SC_DAY,
    SC_H,
    SC_TOD,
    SC_E1,
    SC_E7,
    SC_X7,
    SC_MIX, /* the geometric mean of all but SC_E1 */
    SC_END
};
enum bank_dir {
    DIR_ABS,
    DIR_UP,
    DIR_DOWN
};

struct bank_atom {
    enum bank_resid resid;
    enum bank_scale scale;
    enum bank_dir dir;
    double prior, theta; /* theta: where its threshold usually is; 0: not known */
};
extern const struct bank_atom bank_steps[];
extern const size_t bank_n_steps;
/** Atoms that a rule may stand on, with the priors of a kind of series. */
const struct bank_atom *bank_atoms_of(enum series_kind k, size_t *ret_n);

#define BANK_AR_MAX 41

struct bank_fit {
    int64_t step_ns;
    uint32_t day;              /* points a day */
    double median;             /* of the values */
    double sd_y, sd_y7, sd_s7; /* changes; changes of the seasonal residual; that residual */
    double ar3[3], ar10[10], ar40[40], are[BANK_AR_MAX]; /* are: 10 lags, then error correction */
    bool logs;                                           /* values may be compared in logarithms */
    double log_c;
    /* Mean and cap of |residual|, median and 90 % quantile of its maximum in an hour. */
    double g[R_END], cap[R_END], block[R_END], block_high[R_END];
    bool used[R_END]; /* has data: can be built */
};

/** Fits what residuals need; values may have gaps. AC_ENOTSUP when there is too little data. */
int bank_fit_residuals(struct bank_fit *f, const double *v, size_t n, int64_t step_ns,
                       struct ac_err *err) AC_MUST_USE;
/** Fits mean size, cap and block maximum of residual r from its column. */
void bank_fit_scale(struct bank_fit *f, enum bank_resid r, const double *col, size_t n);

/* Lets in order; each is "name = expression" in the rule language. */
struct bank_let {
    char name[24];
    char *expr;
    const char *says; /* what it is, for people; may be NULL */
};
struct bank_lets {
    struct bank_let *v;
    size_t n, cap;
};
void bank_lets_fini(struct bank_lets *l);
void bank_lets_add(struct bank_lets *l, const char *name, const char *says, const char *fmt, ...)
    AC_PRINTF(4, 5);
/** All residuals that the fit can build. */
void bank_put_residuals(struct bank_lets *l, const struct bank_fit *f);
/** The scaled residual r / scale; its name goes to name (24 bytes). Adds what it needs once. */
void bank_put_scaled(struct bank_lets *l, const struct bank_fit *f, enum bank_resid r,
                     enum bank_scale s, char *name);
/** Prints the lets that the texts use, in order. */
void bank_print_used(const struct bank_lets *l, const char *const *texts, size_t n_texts,
                     struct ac_buf *b);
const char *bank_resid_name(enum bank_resid r);
const char *bank_resid_says(enum bank_resid r);
/** Six significant digits: what people can read; rules are evaluated from their text. */
double bank_round(double v);

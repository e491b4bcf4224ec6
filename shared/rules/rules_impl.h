/* Inside shared/rules: syntax tree, operator table, plan nodes. Not a public header. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/arena.h>
#include <aceso/base.h>
#include <aceso/rules.h>
#include <aceso/stats.h>

/* ---- operator table ---- */

enum rule_fn {
#define OP(name, sig, res, id, ...) FN_##id,
#include "ops.def"
#undef OP
    FN_END
};

struct rule_op {
    const char *name, *sig, *res;
    enum rule_fn fn;
};
extern const struct rule_op rule_ops[];
extern const size_t rule_n_ops;
const struct rule_op *rule_op_find(const char *name);

/* ---- syntax tree: in the arena of its rule set, immutable after the check ---- */

enum expr_kind {
    EX_NUM,
    EX_DURATION,
    EX_BOOL,
    EX_VEC,
    EX_VALUE,
    EX_LET,
    EX_INPUT,
    EX_ZONE, /* a time zone: the input that gives its offset */
    EX_NEG,
    EX_NOT,
    EX_BIN,
    EX_CALL
};

enum bin_op {
    BIN_OR,
    BIN_AND,
    BIN_LT,
    BIN_LE,
    BIN_GT,
    BIN_GE,
    BIN_EQ,
    BIN_NE,
    BIN_ADD,
    BIN_SUB,
    BIN_MUL,
    BIN_DIV,
};

enum expr_type {
    TY_NUM = 'x',
    TY_BOOL = 'b',
    TY_VEC = 'v',
    TY_ZONE = 'z'
};

struct expr {
    enum expr_kind kind;
    enum expr_type type;
    int line, column;
    enum bin_op bin;          /* EX_BIN */
    double num;               /* EX_NUM; EX_BOOL: 0 or 1 */
    int64_t ns;               /* EX_DURATION */
    const struct rule_op *op; /* EX_CALL */
    uint32_t let;             /* EX_LET, EX_INPUT, EX_ZONE: index */
    uint32_t height;          /* of the tree, bounded so that walks may recurse */
    uint32_t n;               /* arguments, or numbers of a vector */
    struct expr **args;
    double *vec;
};

struct let {
    const char *name, *comment;
    struct expr *expr;
    bool constant; /* made of literals: its value */
    double c;
};

struct persist {
    uint32_t k, n; /* n = 0: clause absent */
};

enum clause {
    CL_RULE,
    CL_ON,
    CL_STEP,
    CL_WHEN,
    CL_UNTIL,
    CL_SEVERITY,
    CL_REASON,
    CL_END,
    CL_COUNT
};

/* Something besides the series itself that a rule reads at every point. */
struct input {
    const char *comment;
    struct ac_rule_input in;
    uint64_t hash; /* of what it is, without its name */
};

/* A reason is literal text and names in turn. */
#define REASON_LARGEST "largest " /* begins a placeholder of several names */
struct reason_part {
    const char *text; /* literal, or NULL: a name */
    const char *name;
    int32_t let;          /* index; -1: value; -2, -3 ..: input 0, 1 .. */
    uint32_t largest, of; /* of: names from here on that only so many of are shown; else 0 */
    int line, column;     /* of the reason */
};

struct ac_rule {
    const char *name, *metric;
    int metric_line, metric_column;
    struct ac_label *labels; /* value: a glob */
    size_t n_labels;
    int64_t step_ns;
    struct input *inputs;
    size_t n_inputs;
    struct let *lets;
    size_t n_lets;
    struct expr *when, *until;
    struct persist when_for, until_for;
    enum ac_severity severity;
    const char *reason; /* as written, unescaped */
    struct reason_part *parts;
    size_t n_parts;
    const char *comments[CL_COUNT]; /* lines before the clause, each with '\n'; NULL: none */
};

struct ac_ruleset {
    struct ac_arena *arena;
    struct ac_rule **rules;
    size_t n;
    const char *comment, *tail; /* before the language line; after the last rule */
};

#define RULE_LETS_MAX    2048
#define RULE_DEPTH_MAX   100
#define RULE_VEC_MAX     512
#define RULE_COUNT_MAX   4096 /* rules of one text */
#define RULE_LABELS_MAX  32
#define RULE_INPUTS_MAX  32
#define RULE_ZONE_MAX    64   /* characters of a zone's name */
#define ZONED_POINTS_MAX 4096 /* of a season with a zone: they are gone through at every point */
#define SPECTRAL_MAX     1024

/** Adds an error unless the list is full; diags may be NULL. */
void rule_diag(struct ac_diags *d, int line, int column, const char *hint, const char *fmt, ...)
    AC_PRINTF(5, 6);
/** Types, constants and counts of one parsed rule. False when it added errors. */
bool rule_check(struct ac_rule *r, struct ac_diags *d);
/** Parses the placeholders of the reason. */
bool rule_parse_reason(struct ac_arena *a, struct ac_rule *r, int line, int column,
                       struct ac_diags *d);
/** Types of what its placeholders show, once those of the lets are known. */
bool rule_check_reason(const struct ac_rule *r, struct ac_diags *d);
const char *rule_bin_name(enum bin_op op);
extern const char *const rule_clause_names[CL_COUNT]; /* of their comments */
/** In quotes, with escapes. */
void rule_put_str(struct ac_buf *b, const char *s);
void rule_put_duration(struct ac_buf *b, int64_t ns);
void rule_put_expr(struct ac_buf *b, const struct ac_rule *r, const struct expr *e);
/** A number as reasons show it; "unknown" when it is missing. */
void rule_put_value(struct ac_buf *b, double v, bool truth);
/** How tightly an expression binds: a part that binds less than its place asks needs parentheses.
 */
int rule_level(const struct expr *e);
/** Value of an expression made of literals and constant lets; false for others. */
bool rule_const(const struct ac_rule *r, const struct expr *e, double *ret_v);
/** Points that a count argument stands for; false when it is no count. */
bool rule_points(const struct ac_rule *r, const struct expr *e, double *ret_n);
bool rule_same_input(const struct input *a, const struct input *b); /* but for the name */
bool rule_expr_equal(const struct ac_rule *ra, const struct expr *a, const struct ac_rule *rb,
                     const struct expr *b);
/** The closest of names within a small edit distance, or NULL. */
const char *rule_closest(const char *word, const char *const *names, size_t n);

/* Every number of the language is finite and small enough that its square is too, or missing. */
#define RULE_NUM_MAX 1e150
static inline double rule_canon(double v)
{
    return __builtin_fabs(v) <= RULE_NUM_MAX ? v : __builtin_nan("");
}

/* ---- plan ---- */

enum node_op {
    N_VALUE,
    N_INPUT,
    N_TIME_OF_DAY, /* argument: the zone's offset, none for UTC */
    N_DAY_OF_WEEK,
    N_TIME_OF_WEEK,
    N_CONST,
    N_NEG,
    N_NOT,
    N_OR,
    N_AND,
    N_LT,
    N_LE,
    N_GT,
    N_GE,
    N_EQ,
    N_NE,
    N_ADD,
    N_SUB,
    N_MUL,
    N_DIV,
    N_ABS,
    N_SQRT,
    N_LOG,
    N_EXP,
    N_SIGN,
    N_FLOOR,
    N_POW,
    N_LEAST,
    N_GREATEST,
    N_CLIP,
    N_OUTSIDE,
    N_COALESCE,
    N_MISSING,
    N_IF,
    N_INCREASE,
    N_PREDICT,
    N_AR,
    N_SUM,
    N_MEAN,
    N_STD,
    N_SLOPE,
    N_COUNT,
    N_MIN,
    N_MAX,
    N_QUANTILE,
    N_MAD,
    N_EWMA,
    N_ENVELOPE,
    N_SEASON_MEAN,
    N_SEASON_MEDIAN,
    N_SEASON_MIN,
    N_SEASON_MAX,
    N_ZONED_MEAN, /* seasons by the clock of a zone: arguments x and its offset, c the step in s */
    N_ZONED_MEDIAN,
    N_ZONED_MIN,
    N_ZONED_MAX,
    N_GAIN, /* of a counter since its last known point */
    N_SPAN, /* points since then */
    N_UNCHANGED,
    N_SPECTRAL,
    N_SET, /* a window in order, for the order statistics that read it: has no value itself */
    N_RUN,
    N_EDGE,
    N_PERSIST,
    N_LATCH,
    N_END
};

struct ref {
    uint32_t node, off; /* the column of a node, off points ago */
};

struct node {
    enum node_op op;
    uint32_t n_args;
    struct ref args[3];
    uint32_t w, m, h; /* window; count of blocks or seasons, persistence k, input; half width */
    double c;         /* constant, quantile, rate */
    const double *vec;
    uint32_t n_vec;
    uint32_t hist;        /* points of this column's past that others read */
    uint32_t n_scalars;   /* saved state besides the history */
    bool pointwise, read; /* read: from a set, which writes its column */
    uint32_t reader;      /* of N_SET and its readers: the next one that reads it, 0: none */
    bool late;            /* only reasons read it, and it keeps nothing */
    bool column;          /* its values are kept: not those of a constant in arithmetic */
    uint64_t hash;        /* of the subterm, the same in every plan */
    uint64_t shape;       /* the same but for thresholds: see compile.c */
    uint64_t loose;
};

/* What evaluation needs of a node, in little room: most plans fit into the fastest cache. */
enum step_kind {
    STEP_SOURCE, /* reads the point itself */
    STEP_POINTWISE,
    STEP_SIMD, /* simd.h has its loops */
    STEP_OTHER
};

struct plan_step {
    uint8_t kind, op, n_args; /* enum step_kind, enum node_op */
    uint8_t one;        /* enum node_op: how point.h takes a point, N_END: as a block of one */
    uint32_t node, w;   /* w: the node's */
    struct ref args[3]; /* those behind n_args can be read, too */
};

struct plan_rule {
    const struct ac_rule *rule;
    struct ref verdict;
    struct ref *lets; /* node == UINT32_MAX: not compiled */
    struct ref *inputs;
};

struct ac_plan {
    struct node *nodes;
    size_t n_nodes, cap_nodes;
    uint32_t *index; /* hash table: node + 1 */
    size_t n_index;
    struct plan_step *steps; /* nodes to run: no constants, nothing that a set writes */
    size_t n_steps;
    size_t n_now;    /* of them; the others come when a point that was pushed is asked about */
    uint32_t *pasts; /* nodes whose columns move on from point to point */
    size_t n_pasts;
    struct plan_rule *rules;
    size_t n_rules;
    const struct input **inputs; /* of all rules, equal ones once */
    size_t n_inputs, cap_inputs;
    struct ac_cost cost;
};

#define NO_NODE UINT32_MAX

static inline bool node_is_season(enum node_op op)
{
    return op >= N_SEASON_MEAN && op <= N_SEASON_MAX;
}

static inline bool node_is_zoned(enum node_op op)
{
    return op >= N_ZONED_MEAN && op <= N_ZONED_MAX;
}

/* Points by which a zone's clock may be put forward or back: 3 hours, as no zone has gone beyond
 * but for moving across the date line. */
static inline uint32_t node_shift(const struct node *n)
{
    double s = n->c > 0 ? 10800 / n->c : 0;
    return s < AC_RULES_WINDOW_MAX ? (uint32_t)s : AC_RULES_WINDOW_MAX;
}

/* ---- evaluation ---- */

/* A set small enough is taken from the history at every point, several points or series at a time:
 * cheaper than keeping it sorted, and no state. */
#define SMALL_SORTED  32u  /* points of a window to sort */
#define SMALL_EXTREME 64u  /* points of a window to find the greatest of */
#define SMALL_SEASONS 128u /* points of all seasons */

static inline uint32_t node_points(const struct node *n)
{
    return node_is_season(n->op) || node_is_zoned(n->op) ? n->m * (2 * n->h + 1) : n->w;
}

/* Order statistics and extremes of a small set. */
static inline bool node_is_small(const struct node *n)
{
    if (n->op == N_QUANTILE || n->op == N_MAD)
        return n->w <= SMALL_SORTED;
    if (n->op == N_MIN || n->op == N_MAX)
        return n->w <= SMALL_EXTREME;
    return node_is_season(n->op) && n->op != N_SEASON_MEAN && node_points(n) <= SMALL_SEASONS;
}

/* Greatest or least of a window: the times of the candidates, the best first. Their values are in
 * the history. */
struct deque {
    uint32_t *t;
    uint32_t cap, head, len;
};

/* A row has a number for each lane, that is, series. */
struct col {
    double *data; /* cap rows: as much of the past as others read, then room */
    uint32_t cap;
    double *scalars; /* n_scalars rows: saved */
    double *ahead;   /* of a season: its values on AHEAD points, the first of them at e->ahead 0 */
    struct ac_ostat **sets; /* one a lane */
    struct deque *queues;   /* one a lane */
};

/* Rows of a node's column when it takes so many at a time. Short pasts have room so as not to be
 * moved too often, more where there is one series only: its points cost so little. */
static inline uint32_t col_rows(const struct node *n, size_t block, size_t lanes)
{
    uint32_t slack = lanes == 1 ? AC_MIN(16 * n->hist, 16u) : AC_MIN(4 * n->hist, 8u);
    slack = AC_MAX(slack, n->hist / 4);
    return n->column ? n->hist + AC_MAX(slack, (uint32_t)block) : 1;
}

/* A small window of one series is kept in order from point to point. */
static inline bool node_keeps_order(const struct node *n)
{
    return (n->op == N_QUANTILE || n->op == N_MAD) && node_is_small(n);
}

/* What a season has to say of this point and the next ones is known now, as long as its next phase
 * is farther off: so many are sorted side by side, and points take them one by one. */
#define AHEAD 16u

static inline bool node_sees_ahead(const struct node *n)
{
    return node_is_season(n->op) && node_is_small(n) && n->w - n->h >= AHEAD;
}

struct step;
struct point;
/* A machine's loops: over several numbers, and for one point of one series. */
struct kernels {
    /* Puts in into the place of out, which is one of the n numbers at v, all in order. */
    void (*replace)(double *v, size_t n, double out, double in);
    void (*many)(const struct step *s);
    /* p may be NULL for steps that are not STEP_SOURCE */
    void (*one)(const struct ac_eval *e, const struct plan_step *st, size_t n,
                const struct point *p);
};

struct ac_eval {
    const struct ac_plan *plan;
    struct col *cols;
    double **at; /* of each column: the first row of the current block */
    const struct kernels *simd;
    size_t block, lanes;
    size_t rows;      /* of the current block */
    uint32_t room;    /* points that can be taken one by one before a past must be moved */
    bool pushed;      /* the current point was: late steps were left out */
    bool ordered;     /* small windows are in order: they are not after a block or a restore */
    uint32_t ahead;   /* of AHEAD: which of a season's values are this point's; 0: none is known */
    uint64_t *points; /* of each lane */
    uint32_t tick;    /* rows taken, modulo: the time of the queues */
    uint8_t *fresh;   /* of each lane: a point was taken since it was reset or restored */
    size_t lane;      /* that reasons, terms and states speak of */
    size_t row;       /* of the current block that they speak of */
};

/* A point of one series; inputs: one number for each, or NULL. */
struct point {
    int64_t time_ns;
    double value;
    const double *inputs;
};

/* One step of a node over n rows of some lanes. a[k] points at the k-th argument's first row of the
 * block, or is NULL: a constant, c[k]. */
struct step {
    const struct node *node;
    const struct col *col;
    const double *a[3];
    double c[3];
    double *out;
    size_t n, lanes;
    uint32_t tick;           /* time of the block's first row, for queues */
    const struct ac_eval *e; /* for operators that write other columns, too */
};

/* The operators that do several points or series at once, for each instruction set. */
enum simd_level {
    SIMD_PLAIN,
    SIMD_AVX2,
    SIMD_AVX512
};
/** NULL where this machine or build has no such level. */
const struct kernels *simd_kernel(enum simd_level l);
const struct kernels *simd_best(void);
extern const struct kernels simd_plain, simd_avx2, simd_avx512;
bool simd_takes(const struct node *n);

/** The operators that simd.h does not have. */
void kernel_run(const struct step *s);
bool node_is_pointwise(enum node_op op);
/** Rebuilds what is not saved (sorted windows, queues) of one lane from its argument's history. a:
 * the last point taken. */
void kernel_rebuild(const struct step *s, size_t lane);
/** Puts the scalars of a node to their start. */
void kernel_reset(const struct node *n, const struct col *c, size_t lanes, size_t lane);
uint32_t node_scalars(const struct node *n);
bool node_has_queue(const struct node *n);
/** One number enters a set and one leaves; either may be missing. */
void set_move(const struct kernels *k, struct ac_ostat *o, double in, double out);
/** What an order statistic reads from its set. */
double set_read(const struct node *n, const struct ac_ostat *o);
uint32_t node_set_size(const struct node *n); /* of order statistics that it keeps; 0: none */
/* In clocks.c and spectral.c: zones, counters, spectra. */
void kernel_clock(const struct step *s);
void kernel_clock_reset(const struct node *n, double *scalars, size_t lanes);
void kernel_clock_check(const struct node *n, double *scalars, size_t lanes);
void kernel_spectral(const struct step *s);
/** Points before the current one that an operator reads of its k-th argument. */
uint32_t node_lookback(const struct node *n, uint32_t k);
void plan_count_cost(struct ac_plan *p);

/* Pieces of the evaluation that other files share. */
/** The row behind the current block. */
static inline double *eval_next(const struct ac_eval *e, uint32_t node)
{
    return e->at[node] + e->rows * e->lanes;
}
/** What one point gives an operator that reads the point itself. */
double eval_source(const struct ac_eval *e, const struct plan_step *st, const struct point *p);
/** Runs one step by the loops for many; the rows are there. */
void eval_step(const struct ac_eval *e, const struct plan_step *st, size_t n);
void eval_rebuild(struct ac_eval *e, size_t lane);
/** Runs the late steps of a point that was pushed; does nothing for others. */
void eval_late(const struct ac_eval *e);
/** The column of a let, an input or "value"; node == NO_NODE when there is none. */
struct ref eval_term_ref(const struct ac_eval *e, size_t rule, const char *name);
/** Its value on the point that reasons speak of. */
double eval_value(const struct ac_eval *e, struct ref r);
/** Which of a plan's nodes find all that they keep in a state that another plan saved, and which
 * have anything to keep. */
void state_kept(const struct ac_plan *from, const struct ac_plan *to, bool *ret_has,
                bool *ret_kept);

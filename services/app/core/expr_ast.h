/* Private to the expression language: tree and function table. */
#pragma once

#include "expr.h"

enum app_op {
    APP_OP_CONST,
    APP_OP_NAME,
    APP_OP_FIELD, /* args[0] . name */
    APP_OP_INDEX, /* args[0] [ args[1] ] */
    APP_OP_LIST,
    APP_OP_MAP, /* keys */
    APP_OP_CALL,
    APP_OP_FORM, /* binds names: map, filter, sort, index, reduce */
    APP_OP_NOT,
    APP_OP_NEG,
    APP_OP_MUL,
    APP_OP_DIV,
    APP_OP_MOD,
    APP_OP_ADD,
    APP_OP_SUB,
    APP_OP_LT,
    APP_OP_LE,
    APP_OP_GT,
    APP_OP_GE,
    APP_OP_EQ,
    APP_OP_NE,
    APP_OP_AND,
    APP_OP_OR,
    APP_OP_ELSE, /* ?? */
    APP_OP_COND
};

enum app_form {
    APP_FORM_MAP,    /* map(list, x, e) */
    APP_FORM_FILTER, /* filter(list, x, e) */
    APP_FORM_SORT,   /* sort(list, x, key) */
    APP_FORM_INDEX,  /* index(list, x, key): map from the key's text */
    APP_FORM_REDUCE  /* reduce(list, acc, init, x, e) */
};

struct app_expr {
    enum app_op op;
    size_t offset;
    const struct app_value *constant;
    const char *name; /* NAME, FIELD; FORM: the bound element */
    const char *acc;  /* FORM reduce */
    enum app_form form;
    const struct app_fn *fn;
    const struct app_expr *const *args;
    const char *const *keys;
    size_t n;
};

struct app_eval {
    const struct app_scope *scope;
    struct ac_arena *a;
    struct ac_err *err;
    unsigned steps;
    int code;
};

typedef const struct app_value *(*app_fn_impl)(struct app_eval *ev,
                                               const struct app_value *const *v, size_t n);
struct app_fn {
    const char *name;
    size_t min, max;
    app_fn_impl impl;
};

const struct app_fn *app_fn_find(const char *name, size_t len);
/** The closest function's name, or NULL. */
const char *app_fn_hint(const char *name);

/** Sets the evaluation's error; returns NULL. */
const struct app_value *app_eval_fail(struct app_eval *ev, int code, const char *fmt, ...)
    AC_PRINTF(3, 4);
/** Counts n steps; false (with the error set) when they are used up. */
bool app_eval_spend(struct app_eval *ev, size_t n);
/** v, or the error "too large" when v is NULL and no error is set. */
const struct app_value *app_eval_got(struct app_eval *ev, const struct app_value *v);
/** Order of two values: numbers before strings; -2 when they cannot be compared. */
int app_compare(const struct app_value *a, const struct app_value *b);

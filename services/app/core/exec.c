#include "exec.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

/* One run through a block: sequential frames have one step under way, parallel ones all. */
struct app_frame {
    struct app_frame *up;
    const struct app_step *steps;
    size_t n, next;
    size_t pending; /* parallel: branches under way */
    bool parallel;
    bool running; /* the loop of run_frame is on the stack: completions only mark */
    bool ready;
};

struct var {
    const char *name;
    const struct app_value *value;
};

struct app_exec {
    struct ac_arena *a;
    struct app_exec_opts o;
    struct app_scope scope;
    struct var vars[APP_MAX_VARS + 1];
    size_t n_vars;
    size_t under_way;
    bool ended;    /* reply was given */
    bool finished; /* finished was called */
    bool entered;  /* a public function is on the stack: finish at its end */
};

static void run_frame(struct app_exec *x, struct app_frame *f);

static const struct app_value *lookup(const struct app_scope *s, const char *name)
{
    const struct app_exec *x = s->arg;
    for (size_t i = x->n_vars; i-- > 0;) {
        if (strcmp(x->vars[i].name, name) == 0)
            return x->vars[i].value;
    }
    return &app_null; /* the loader has checked names: a step that was skipped */
}

static void set_var(struct app_exec *x, const char *name, const struct app_value *v)
{
    for (size_t i = 0; i < x->n_vars; i++) {
        if (strcmp(x->vars[i].name, name) == 0) {
            x->vars[i].value = v;
            return;
        }
    }
    AC_ASSERT(x->n_vars < AC_ARRAY_LEN(x->vars));
    x->vars[x->n_vars++] = (struct var){name, v};
}

struct app_exec *app_exec_create(struct ac_arena *a, const struct app_exec_opts *o)
{
    struct app_exec *x = ac_arena_calloc(a, 1, sizeof(*x));
    if (!x)
        return NULL;
    x->a = a;
    x->o = *o;
    x->scope.lookup = lookup;
    x->scope.arg = x;
    set_var(x, "request", o->request);
    return x;
}

struct ac_arena *app_exec_arena(struct app_exec *x)
{
    return x->a;
}

void *app_exec_user(struct app_exec *x)
{
    return x->o.user;
}

const struct app_route *app_exec_route(const struct app_exec *x)
{
    return x->o.route;
}

int64_t app_exec_deadline_ns(const struct app_exec *x)
{
    return x->o.deadline_ns;
}

static void end(struct app_exec *x, int code, const struct app_value *reply,
                const struct ac_err *err)
{
    if (x->ended)
        return;
    x->ended = true;
    x->o.ports->reply(x->o.ports->self, x, code, reply, err);
}

static void end_error(struct app_exec *x, int code, const struct ac_err *err)
{
    struct ac_err e = AC_ERR_INIT;
    ac_err_set(&e, code, "%s", err && err->msg[0] ? err->msg : ac_err_text(code));
    end(x, code, NULL, &e);
}

/* A mistake in a step's expressions: our own failure, with the step's place. */
static void end_step_error(struct app_exec *x, const struct app_step *st, int code,
                           const struct ac_err *err)
{
    struct ac_err e = AC_ERR_INIT;
    ac_err_set(&e, AC_EINTERNAL, "step at line %d: %s", st->line,
               err->msg[0] ? err->msg : ac_err_text(code));
    end(x, e.code, NULL, &e);
}

static bool leave(struct app_exec *x, bool entered_before)
{
    x->entered = entered_before;
    if (!entered_before && x->ended && x->under_way == 0 && !x->finished) {
        x->finished = true;
        x->o.ports->finished(x->o.ports->self, x);
        return true;
    }
    return false;
}

static int eval(struct app_exec *x, const struct app_tmpl *t, const struct app_value **ret,
                struct ac_err *err)
{
    if (!t) {
        *ret = &app_null;
        return 0;
    }
    return app_tmpl_eval(t, &x->scope, x->a, ret, err);
}

/* Null, or what "else" says. */
static int fallback(struct app_exec *x, const struct app_step *st)
{
    const struct app_value *v = &app_null;
    struct ac_err err = AC_ERR_INIT;
    int rc = eval(x, st->fallback, &v, &err);
    if (rc) {
        end_step_error(x, st, rc, &err);
        return rc;
    }
    if (st->as)
        set_var(x, st->as, v);
    return 0;
}

static void frame_ready(struct app_exec *x, struct app_frame *f)
{
    if (f->running)
        f->ready = true;
    else
        run_frame(x, f);
}

static struct app_frame *push(struct app_exec *x, struct app_frame *up,
                              const struct app_step *steps, size_t n, bool parallel)
{
    struct app_frame *f = ac_arena_calloc(x->a, 1, sizeof(*f));
    if (!f) {
        struct ac_err err = AC_ERR_INIT;
        end_error(x, ac_err_set(&err, AC_EAGAIN, "request needs too much memory"), &err);
        return NULL;
    }
    f->up = up;
    f->steps = steps;
    f->n = n;
    f->parallel = parallel;
    return f;
}

/* ---- resolving an operation ---- */

static int resolve_query(struct app_exec *x, struct app_op *op, struct ac_err *err)
{
    const struct app_step *st = op->step;
    const char **params = ac_arena_calloc(x->a, st->n_params + 1, sizeof(*params));
    if (!params)
        return ac_err_set(err, AC_EAGAIN, "request needs too much memory");
    for (size_t i = 0; i < st->n_params; i++) {
        const struct app_value *v = NULL;
        int rc = eval(x, st->params[i], &v, err);
        if (rc)
            return rc;
        if (v->kind == APP_NULL)
            continue;
        params[i] = v->kind == APP_LIST ? app_pg_array(x->a, v) : app_text(x->a, v, NULL);
        if (!params[i])
            return ac_err_set(err, AC_EAGAIN, "parameter %zu is too large", i + 1);
    }
    op->params = params;
    op->n_params = st->n_params;
    return 0;
}

static int resolve_cache(struct app_exec *x, struct app_op *op, struct ac_err *err)
{
    const struct app_value *k = NULL;
    int rc = eval(x, op->step->key, &k, err);
    if (!rc)
        rc = eval(x, op->step->value, &op->value, err);
    if (rc)
        return rc;
    op->many = k->kind == APP_LIST;
    op->n_keys = op->many ? k->u.list.n : 1;
    const char **keys = ac_arena_calloc(x->a, op->n_keys + 1, sizeof(*keys));
    for (size_t i = 0; keys && i < op->n_keys; i++) {
        keys[i] = app_text(x->a, op->many ? k->u.list.items[i] : k, NULL);
        if (!keys[i])
            keys = NULL;
        else if (keys[i][0] == '\0' || strlen(keys[i]) > 512)
            return ac_err_set(err, AC_EINVAL, "cache key of %zu bytes; 1 to 512 are allowed",
                              strlen(keys[i]));
    }
    if (!keys || op->n_keys > 1024)
        return ac_err_set(err, AC_EAGAIN, "too many cache keys");
    if (op->step->kind == APP_STEP_CACHE_SET && op->many &&
        (op->value->kind != APP_LIST || op->value->u.list.n != op->n_keys))
        return ac_err_set(err, AC_EINVAL, "cache: %zu keys need a list of as many values",
                          op->n_keys);
    op->keys = keys;
    return 0;
}

static int resolve(struct app_exec *x, struct app_op *op, struct ac_err *err)
{
    const struct app_value *v = NULL;
    int rc;
    switch (op->step->kind) {
    case APP_STEP_QUERY:
        return resolve_query(x, op, err);
    case APP_STEP_CACHE_GET:
    case APP_STEP_CACHE_SET:
    case APP_STEP_CACHE_DEL:
        return resolve_cache(x, op, err);
    case APP_STEP_COMPUTE:
    case APP_STEP_DELAY:
        rc = eval(x, op->step->duration, &v, err);
        if (rc)
            return rc;
        if (v->kind != APP_NUM || !(v->u.num >= 0 && v->u.num <= 60e6))
            return ac_err_set(err, AC_EINVAL, "expected microseconds up to 60000000");
        op->duration_ns = (int64_t)(v->u.num * 1000);
        return 0;
    default:
        return eval(x, op->step->value, &op->value, err);
    }
}

static bool nothing_to_do(const struct app_op *op)
{
    bool cache = op->step->kind == APP_STEP_CACHE_GET || op->step->kind == APP_STEP_CACHE_SET ||
                 op->step->kind == APP_STEP_CACHE_DEL;
    return cache && op->n_keys == 0;
}

/* True when the step is over at once; false when it goes on (or the whole request has ended). */
static bool start_op(struct app_exec *x, struct app_frame *f, const struct app_step *st)
{
    struct ac_err err = AC_ERR_INIT;
    struct app_op *op = ac_arena_calloc(x->a, 1, sizeof(*op));
    int rc = 0;
    if (!op) {
        end_error(x, ac_err_set(&err, AC_EAGAIN, "request needs too much memory"), &err);
        return false;
    }
    op->exec = x;
    op->step = st;
    op->frame = f;
    op->value = &app_null;
    if ((rc = resolve(x, op, &err))) {
        end_step_error(x, st, rc, &err);
        return false;
    }
    if (nothing_to_do(op)) {
        if (st->as)
            set_var(x, st->as, app_list(x->a, NULL, 0));
        return true;
    }
    op->start_ns = x->o.ports->now_ns(x->o.ports->self);
    int64_t left = x->o.deadline_ns - op->start_ns;
    op->timeout_ns = st->timeout_ns ? AC_MIN(st->timeout_ns, left) : left;
    if (op->timeout_ns <= 0) {
        end_error(x,
                  ac_err_set(&err, AC_ETIMEOUT, "no time left for the step at line %d", st->line),
                  &err);
        return false;
    }
    x->under_way++;
    x->o.ports->start(x->o.ports->self, op);
    return false;
}

/* ---- steps without operations ---- */

static bool do_let(struct app_exec *x, const struct app_step *st)
{
    for (size_t i = 0; i < st->n_names; i++) {
        const struct app_value *v = NULL;
        struct ac_err err = AC_ERR_INIT;
        int rc = eval(x, st->values[i], &v, &err);
        if (rc) {
            end_step_error(x, st, rc, &err);
            return false;
        }
        set_var(x, st->names[i], v);
    }
    return true;
}

static void do_fail(struct app_exec *x, const struct app_step *st)
{
    const struct app_value *v = NULL;
    struct ac_err err = AC_ERR_INIT;
    int rc = eval(x, st->value, &v, &err);
    if (rc) {
        end_step_error(x, st, rc, &err);
        return;
    }
    const char *text = app_text(x->a, v, NULL);
    ac_err_set(&err, st->fail_code, "%s", text && text[0] ? text : ac_err_text(st->fail_code));
    end(x, err.code, NULL, &err);
}

static void do_return(struct app_exec *x, const struct app_step *st)
{
    const struct app_value *v = NULL;
    struct ac_err err = AC_ERR_INIT;
    int rc = eval(x, st->value, &v, &err);
    if (rc)
        end_step_error(x, st, rc, &err);
    else
        end(x, 0, v, NULL);
}

/* True when the step is over and the next may start. */
static bool start_step(struct app_exec *x, struct app_frame *f, const struct app_step *st)
{
    const struct app_value *v = &app_true;
    struct ac_err err = AC_ERR_INIT;
    struct app_frame *child = NULL;
    int rc = st->when ? eval(x, st->when, &v, &err) : 0;
    if (rc) {
        end_step_error(x, st, rc, &err);
        return false;
    }
    if (!app_truthy(v))
        return fallback(x, st) == 0;
    switch (st->kind) {
    case APP_STEP_LET:
        return do_let(x, st);
    case APP_STEP_FAIL:
        do_fail(x, st);
        return false;
    case APP_STEP_RETURN:
        do_return(x, st);
        return false;
    case APP_STEP_PARALLEL:
    case APP_STEP_STEPS:
        child = push(x, f, st->block.steps, st->block.n, st->kind == APP_STEP_PARALLEL);
        if (child)
            run_frame(x, child);
        return false;
    default:
        return start_op(x, f, st);
    }
}

static void frame_over(struct app_exec *x, struct app_frame *f)
{
    const struct app_value *v = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (f->up && f->up->parallel) {
        if (--f->up->pending == 0)
            frame_over(x, f->up);
        return;
    }
    if (f->up) {
        frame_ready(x, f->up);
        return;
    }
    int rc = eval(x, x->o.route->reply, &v, &err);
    if (rc) {
        struct ac_err e = AC_ERR_INIT;
        ac_err_set(&e, AC_EINTERNAL, "reply: %s", err.msg);
        end(x, e.code, NULL, &e);
        return;
    }
    end(x, 0, v, NULL);
}

static void run_parallel(struct app_exec *x, struct app_frame *f)
{
    f->pending = f->n + 1; /* one for this loop, so that the last branch cannot end it early */
    for (size_t i = 0; i < f->n && !x->ended; i++) {
        struct app_frame *branch = push(x, f, &f->steps[i], 1, false);
        if (!branch)
            return;
        run_frame(x, branch);
    }
    if (--f->pending == 0 && !x->ended)
        frame_over(x, f);
}

static void run_frame(struct app_exec *x, struct app_frame *f)
{
    if (f->parallel) {
        run_parallel(x, f);
        return;
    }
    f->running = true;
    while (!x->ended && f->next < f->n) {
        const struct app_step *st = &f->steps[f->next++];
        f->ready = false;
        if (!start_step(x, f, st) && !f->ready) {
            f->running = false;
            return;
        }
    }
    f->running = false;
    if (!x->ended)
        frame_over(x, f);
}

void app_exec_run(struct app_exec *x)
{
    struct app_frame *f = NULL;
    x->entered = true;
    f = push(x, NULL, x->o.route->block.steps, x->o.route->block.n, false);
    if (f)
        run_frame(x, f);
    leave(x, false);
}

void app_exec_abort(struct app_exec *x, int code, const char *why)
{
    struct ac_err err = AC_ERR_INIT;
    bool before = x->entered;
    if (x->ended)
        return;
    x->entered = true;
    end_error(x, ac_err_set(&err, code, "%s", why), &err);
    leave(x, before);
}

const char *app_op_peer(const struct app_op *op)
{
    return op->step->service ? op->step->service->name
           : op->step->store ? op->step->store->name
                             : NULL;
}

int app_outward_code(int code)
{
    switch (code) {
    case AC_ETIMEOUT:
    case AC_ENET:
    case AC_EAGAIN:
    case AC_ECANCELED:
        return code;
    default:
        return AC_EINTERNAL;
    }
}

void app_op_done(struct app_op *op, int code, const struct app_value *result,
                 const struct ac_err *err)
{
    struct app_exec *x = op->exec;
    bool before = x->entered;
    x->entered = true;
    AC_ASSERT(x->under_way > 0);
    x->under_way--;
    x->o.ports->ended(x->o.ports->self, op, code, err);
    if (!x->ended) {
        if (code && !op->step->optional) {
            struct ac_err e = AC_ERR_INIT;
            const char *peer = app_op_peer(op);
            bool call = op->step->kind == APP_STEP_CALL;
            ac_err_set(&e, call ? code : app_outward_code(code), "%s: %s", peer ? peer : "step",
                       err && err->msg[0] ? err->msg : ac_err_text(code));
            end(x, e.code, NULL, &e);
        } else if (code) {
            if (fallback(x, op->step) == 0)
                frame_ready(x, op->frame);
        } else {
            if (op->step->as)
                set_var(x, op->step->as, result ? result : &app_null);
            frame_ready(x, op->frame);
        }
    }
    leave(x, before);
}

const char *app_pg_array(struct ac_arena *a, const struct app_value *list)
{
    struct ac_buf b;
    ac_buf_init(&b, 1u << 20);
    ac_buf_putc(&b, '{');
    for (size_t i = 0; i < list->u.list.n; i++) {
        const struct app_value *v = list->u.list.items[i];
        const char *s = app_text(a, v, NULL);
        if (i)
            ac_buf_putc(&b, ',');
        if (!s) {
            b.failed = true;
            break;
        }
        if (v->kind == APP_NULL) {
            ac_buf_puts(&b, "NULL");
            continue;
        }
        ac_buf_putc(&b, '"');
        for (; *s; s++) {
            if (*s == '"' || *s == '\\')
                ac_buf_putc(&b, '\\');
            ac_buf_putc(&b, *s);
        }
        ac_buf_putc(&b, '"');
    }
    ac_buf_putc(&b, '}');
    const char *r = b.failed ? NULL : ac_arena_strdup(a, ac_buf_str(&b));
    ac_buf_fini(&b);
    return r;
}

/* What a model costs on this device, measured before anybody uses it. */
#include "worker_service.h"

#include <pthread.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define LOADS 3

/* Inputs of zeros for one batch, and room for its outputs. */
struct trial {
    uint32_t n_in, n_out;
    void *in[WK_MAX_IO], *out[WK_MAX_IO];
    const void *inputs[WK_MAX_IO];
    struct wk_item item;
};

static void trial_init(struct trial *t, const struct wk_model_info *info, uint32_t b)
{
    uint32_t rows = info->batched ? wk_batch_size[b] : 1;
    *t = (struct trial){.n_in = info->n_inputs, .n_out = info->n_outputs};
    for (uint32_t i = 0; i < t->n_in; i++)
        t->inputs[i] = t->in[i] = ac_xcalloc(rows, AC_MAX(info->inputs[i].row_bytes, 1u));
    for (uint32_t i = 0; i < t->n_out; i++)
        t->out[i] = ac_xcalloc(rows, AC_MAX(info->outputs[i].row_bytes, 1u));
    t->item = (struct wk_item){.rows = rows, .inputs = t->inputs, .outputs = t->out};
}

static void trial_fini(struct trial *t)
{
    for (uint32_t i = 0; i < t->n_in; i++)
        free(t->in[i]);
    for (uint32_t i = 0; i < t->n_out; i++)
        free(t->out[i]);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Times in no order; n of them. */
static void quantiles(int64_t *took, uint32_t n, int64_t *ret_median, int64_t *ret_p99)
{
    qsort(took, n, sizeof(took[0]), by_value);
    *ret_median = AC_MAX(took[n / 2], 1);
    *ret_p99 = took[n - 1 - n / 100];
}

static int profile_loads(struct wk_executor *x, struct wk_model *m, struct wk_cost *c,
                         struct ac_err *err)
{
    int64_t took[LOADS], p99;
    for (int i = 0; i < LOADS; i++) {
        int64_t t = ac_now_ns();
        int rc = x->ops->load(x, m, err);
        if (rc)
            return rc;
        took[i] = ac_now_ns() - t;
        x->ops->unload(x, m);
    }
    quantiles(took, LOADS, &c->load_ns, &p99);
    return 0;
}

static int profile_batch(struct wk_executor *x, struct wk_model *m, uint32_t b, struct trial *t,
                         struct wk_cost *c, struct ac_err *err)
{
    int64_t took[WK_PROFILE_RUNS];
    uint32_t n = 0;
    struct wk_phases ph;
    int rc = x->ops->load(x, m, err);
    if (rc)
        return rc;
    int64_t begun = ac_now_ns();
    rc = x->ops->infer(x, m, b, &t->item, 1, &ph, err); /* the first one warms up */
    while (rc == 0 && n < WK_PROFILE_RUNS && (n < 3 || ac_now_ns() - begun < WK_PROFILE_NS)) {
        int64_t at = ac_now_ns();
        rc = x->ops->infer(x, m, b, &t->item, 1, &ph, err);
        took[n++] = ac_now_ns() - at;
    }
    x->ops->unload(x, m);
    if (rc == 0)
        quantiles(took, n, &c->exec_ns[b], &c->p99_ns[b]);
    return rc;
}

/* ---- an execution beside the load ---- */

struct loader {
    struct wk_executor *x;
    struct wk_model *m;
    int64_t begin_ns;
    int rc;
    struct ac_err err;
};

static void *loader_main(void *arg)
{
    struct loader *l = arg;
    l->begin_ns = ac_now_ns();
    l->rc = l->x->ops->load(l->x, l->m, &l->err);
    return NULL;
}

int wk_first_answer(struct wk_executor *x, struct wk_model *m, uint32_t b, struct wk_item *item,
                    bool beside, int64_t *ret_ns, struct ac_err *err)
{
    struct loader l = {.x = x, .m = m};
    struct wk_phases ph;
    pthread_t thread;
    wk_weights_begin(m);
    if (pthread_create(&thread, NULL, loader_main, &l) != 0) {
        wk_weights_lost(x, m);
        return ac_err_set(err, AC_ENOMEM, "no thread to load beside an execution");
    }
    /* A load that fails is told below. */
    int rc = wk_weights_wait(x, m, beside ? 0 : WK_ALL_THERE)
                 ? x->ops->infer(x, m, b, item, 1, &ph, err)
                 : AC_ESTATE;
    int64_t end = ac_now_ns();
    (void)pthread_join(thread, NULL);
    if (l.rc)
        return ac_err_set(err, l.rc, "%s", l.err.msg);
    x->ops->unload(x, m);
    *ret_ns = AC_MAX(end - l.begin_ns, 1);
    return rc;
}

static int profile_pairs(struct wk_executor *x, struct wk_model *m, uint32_t b, struct trial *t,
                         struct wk_cost *c, struct ac_err *err)
{
    int64_t took[WK_PROFILE_PAIRS], begun = ac_now_ns();
    uint32_t n = 0;
    int rc = 0;
    while (rc == 0 && n < WK_PROFILE_PAIRS && (n < 3 || ac_now_ns() - begun < WK_PROFILE_NS))
        rc = wk_first_answer(x, m, b, &t->item, true, &took[n++], err);
    if (rc == 0)
        quantiles(took, n, &c->cold_ns[b], &c->cold_p99_ns[b]);
    return rc;
}

int wk_profile(struct wk_executor *x, struct wk_model *m, struct wk_cost *ret_c, struct ac_err *err)
{
    int rc = profile_loads(x, m, ret_c, err);
    for (uint32_t b = 0; rc == 0 && b < WK_BATCHES; b++) {
        struct trial t;
        if (!m->info.compiled[b])
            continue;
        trial_init(&t, &m->info, b);
        rc = profile_batch(x, m, b, &t, ret_c, err);
        if (rc == 0 && x->gate)
            rc = profile_pairs(x, m, b, &t, ret_c, err);
        trial_fini(&t);
    }
    return rc;
}

/* Weights on their way: the load counts the parts that are there, the execution waits for those
 * that it needs next. What is written before the count is seen by who has read it (release,
 * acquire). */
#include "executor.h"

void wk_weights_begin(struct wk_model *m)
{
    atomic_store_explicit(&m->there, 0, memory_order_release);
}

void wk_weights_come(const struct wk_executor *x, struct wk_model *m, int32_t parts)
{
    atomic_store_explicit(&m->there, parts, memory_order_release);
    if (x->gate)
        x->gate->wake(x->gate->self, &m->there);
}

void wk_weights_lost(const struct wk_executor *x, struct wk_model *m)
{
    wk_weights_come(x, m, WK_NONE_COMES);
}

bool wk_weights_wait(const struct wk_executor *x, const struct wk_model *m, int32_t parts)
{
    int32_t there;
    while ((there = atomic_load_explicit(&m->there, memory_order_acquire)) < parts) {
        if (there == WK_NONE_COMES || !x->gate)
            return false;
        x->gate->wait(x->gate->self, &m->there, there);
    }
    return true;
}

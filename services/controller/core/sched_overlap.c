/* Executions that begin while the weights of their model arrive. Such a one occupies its device
 * while it waits for them, so it begins only so early that it has come as far as the last ones when
 * these are there: it ends when it would have if it had begun with the load, and takes the device
 * no longer than any execution. It is sent only for a request that would be lost were it sent when
 * the load is known to have ended. */
#include "sched_int.h"

int64_t sched_overlap_tail(const struct sched *s, const struct plan *p, const struct device *d,
                           uint8_t batch)
{
    if (batch == POLICY_BATCHES || p->cost.tail_ns[batch] == 0 ||
        (s->cfg.without & SCHED_WITHOUT_OVERLAP))
        return 0;
    double margin = (double)p->eh[batch] / (double)p->cost.exec_ns[batch];
    return sched_device_exec(d, (int64_t)((double)p->cost.tail_ns[batch] * margin));
}

int64_t sched_overlap_begin(const struct model *m, const struct plan *p, const struct device *d,
                            uint8_t batch)
{
    return m->weights_at + sched_device_exec(d, p->cost.tail_ns[batch] - p->cost.exec_ns[batch]);
}

const struct device *sched_overlap_device(const struct sched *s, const struct model *m)
{
    const struct cell *c = &s->cells[m->cell];
    if (m->loaded || m->eta_bit == SCHED_CELL_DEVICES || !(m->loading >> m->eta_bit & 1))
        return NULL;
    return &s->devices[c->devices[m->eta_bit]];
}

uint64_t sched_overlap_record(const struct sched *s, const struct model *m, struct record *rec)
{
    const struct device *d = sched_overlap_device(s, m);
    if (!d)
        return 0;
    const struct plan *p = sched_plan(s, m, d->kind);
    const struct request *head = &s->requests[m->head];
    uint8_t batch = sched_batch_for_rows(p, head->rows);
    int64_t tail = sched_overlap_tail(s, p, d, batch);
    if (tail == 0)
        return 0;
    int64_t net = s->learnt.net_ns, exec = sched_device_exec(d, p->eh[batch]);
    int64_t known = AC_MAX(m->eta + net, s->now); /* when its result has come */
    bool lost_after = known + net + exec + net > head->deadline;
    if (!lost_after || m->eta + tail + net > head->deadline + s->learnt.hope_ns)
        return 0;
    rec->begin = AC_MAX(m->eta + tail - exec, 1);
    int64_t send =
        sched_overlap_begin(m, p, d, batch) + sched_device_net(s, d) - sched_device_ahead(s, d);
    rec->ready = send > s->now ? send : 0;
    return 1ull << d->bit;
}

void sched_overlap_sent(const struct model *m, const struct plan *p, const struct device *d,
                        int64_t earliest, struct action *a)
{
    a->begin_estimate = AC_MAX(a->begin_estimate, earliest);
    int64_t end = m->weights_at + sched_device_exec(d, p->cost.tail_ns[a->batch]);
    a->expected = AC_MAX(a->expected, end - a->begin_estimate);
}

void sched_overlap_loaded(struct sched *s, struct device *d, uint32_t model, int64_t end)
{
    for (uint32_t i = 0; i < d->n_infers; i++) {
        struct action *a = &s->actions[d->infers[i]];
        if (a->model == model && a->overlaps)
            a->weights_at = end;
    }
}

/** Only what had to wait for its last weights shows the tail. */
void sched_overlap_learn(struct sched *s, const struct action *a, const struct policy_result *r)
{
    const struct device *d = &s->devices[a->device];
    struct plan *p = sched_plan_mut(s, &s->models[a->model], d->kind);
    int64_t *tail = &p->cost.tail_ns[a->batch], exec = p->cost.exec_ns[a->batch];
    if (*tail == 0 || a->weights_at == 0 ||
        r->begin_ns + sched_device_exec(d, exec - *tail) > a->weights_at)
        return;
    int64_t seen = AC_MIN(r->end_ns - a->weights_at, 2 * exec);
    *tail = AC_MAX(*tail + (seen - *tail) / 8, 1);
}

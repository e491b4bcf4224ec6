/* Actions of the controller into jobs for the lanes, and their outcomes into results. */
#include "worker_service.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#include "adapters/convert_pb.h"

/* protobuf-c's messages take writable strings that packing does not touch. */
static char *writable(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {.in = s};
    return u.out;
}

static void refuse(struct wk_service *s, const Aceso__V1__Action *a, int status, const char *why)
{
    Aceso__V1__WorkerMessage m = ACESO__V1__WORKER_MESSAGE__INIT;
    Aceso__V1__ActionResult r = ACESO__V1__ACTION_RESULT__INIT;
    m.body_case = ACESO__V1__WORKER_MESSAGE__BODY_RESULT;
    m.result = &r;
    r.id = a->id;
    r.status = (uint32_t)status;
    r.message = writable(why ? why : wk_status_text(status));
    r.received_ns = r.begin_ns = r.end_ns = ac_now_ns();
    wk_link_send(s, &m);
}

static void count(struct wk_service *s, const struct wk_job *job)
{
    uint32_t k = (uint32_t)job->action.kind - 1;
    int status = job->outcome.status;
    ac_metric_add(status == 0                 ? s->n_done[k]
                  : wk_status_is_late(status) ? s->n_late[k]
                                              : s->n_failed[k],
                  1);
    if (status == 0 && job->action.kind == WK_INFER)
        ac_metric_observe(s->exec_seconds,
                          (double)(job->outcome.end_ns - job->outcome.begin_ns) / 1e9);
}

static void action_done(void *arg)
{
    struct wk_job *job = arg;
    const struct wk_slot *slot = job->self;
    struct wk_service *s = slot->s;
    const struct wk_outcome *o = &job->outcome;
    const struct wk_model_info *info = slot->model ? &slot->model->info : NULL;
    count(s, job);
    if (job->stream == s->stream_id && s->stream) {
        Aceso__V1__WorkerMessage m = ACESO__V1__WORKER_MESSAGE__INIT;
        Aceso__V1__ActionResult r = ACESO__V1__ACTION_RESULT__INIT;
        Aceso__V1__InferPiece pieces[WK_MAX_BATCH], *list[WK_MAX_BATCH];
        ProtobufCBinaryData tensors[WK_MAX_BATCH][WK_MAX_IO];
        m.body_case = ACESO__V1__WORKER_MESSAGE__BODY_RESULT;
        m.result = &r;
        r.id = job->action.id;
        r.status = (uint32_t)o->status;
        r.message = writable(job->message[0] ? job->message
                             : o->status     ? wk_status_text(o->status)
                                             : "");
        r.received_ns = job->received_ns;
        r.begin_ns = o->begin_ns;
        r.end_ns = o->end_ns;
        r.input_ns = o->phases.input_ns;
        r.exec_ns = o->phases.exec_ns;
        r.output_ns = o->phases.output_ns;
        r.wait_ns = o->phases.wait_ns;
        r.items = list;
        for (uint32_t i = 0; o->status == 0 && info && i < job->n_items; i++) {
            aceso__v1__infer_piece__init(&pieces[i]);
            const struct wk_item *item = &job->items[i];
            pieces[i].rows = item->rows;
            pieces[i].tensors = tensors[i];
            pieces[i].error = writable(item->error ? item->error : "");
            for (uint32_t k = 0; !item->error && k < info->n_outputs; k++)
                tensors[i][pieces[i].n_tensors++] = (ProtobufCBinaryData){
                    .data = item->outputs[k], .len = item->rows * info->outputs[k].row_bytes};
            list[r.n_items++] = &pieces[i];
        }
        wk_link_send(s, &m);
    }
    free(job);
}

void wk_action_take(struct wk_service *s, const Aceso__V1__Action *a)
{
    const struct wk_slot *slot = wk_models_find(s, a->model);
    struct ac_err err = AC_ERR_INIT;
    if (!slot) {
        refuse(s, a, WK_ST_UNKNOWN_MODEL, NULL);
        return;
    }
    int status = 0;
    struct wk_job *job = wk_job_from_pb(a, &slot->model->info, &status, &err);
    if (!job) {
        refuse(s, a, status, err.msg);
        return;
    }
    union {
        const struct wk_slot *in;
        void *out;
    } self = {.in = slot};
    job->self = self.out;
    job->done = action_done;
    job->stream = s->stream_id;
    job->received_ns = ac_now_ns();
    job->action.model = slot->slot;
    wk_lanes_submit(s->lanes, job);
}

#include "convert_pb.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define ALIGN 64

static size_t padded(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int check_items(const Aceso__V1__Action *a, const struct wk_model_info *info, uint32_t batch,
                       size_t *ret_bytes, struct ac_err *err)
{
    size_t bytes = 0, rows = 0;
    uint32_t places = info->batched ? wk_batch_size[batch] : 1;
    if (a->n_items == 0 || a->n_items > places)
        return ac_err_set(err, AC_EINVAL, "%zu items in a batch of %u", a->n_items, places);
    for (size_t i = 0; i < a->n_items; i++) {
        const Aceso__V1__InferPiece *p = a->items[i];
        rows += p->rows;
        if (p->rows == 0 || p->rows > places || rows > places)
            return ac_err_set(err, AC_EINVAL, "more rows than a batch of %u has places", places);
        if (p->n_tensors != info->n_inputs)
            return ac_err_set(err, AC_EINVAL, "%zu tensors, the model has %u inputs", p->n_tensors,
                              info->n_inputs);
        for (uint32_t k = 0; k < info->n_inputs; k++) {
            if (p->tensors[k].len != p->rows * info->inputs[k].row_bytes)
                return ac_err_set(err, AC_EINVAL, "input %u of item %zu has %zu bytes, not %zu", k,
                                  i, p->tensors[k].len, p->rows * info->inputs[k].row_bytes);
            bytes += padded(p->tensors[k].len);
        }
        for (uint32_t k = 0; k < info->n_outputs; k++)
            bytes += padded(p->rows * info->outputs[k].row_bytes);
    }
    *ret_bytes = bytes;
    return 0;
}

static struct wk_job *with_items(const Aceso__V1__Action *a, const struct wk_model_info *info,
                                 size_t bytes)
{
    size_t n_pointers = a->n_items * ((size_t)info->n_inputs + info->n_outputs);
    size_t head = padded(sizeof(struct wk_job) + n_pointers * sizeof(void *));
    struct wk_job *job = aligned_alloc(ALIGN, head + bytes);
    if (!job)
        return NULL;
    memset(job, 0, sizeof(*job));
    union {
        const void **in;
        void **out;
    } pointer = {.out = (void **)(void *)(job + 1)};
    char *data = (char *)job + head;
    for (size_t i = 0; i < a->n_items; i++) {
        const Aceso__V1__InferPiece *p = a->items[i];
        const void **in = pointer.in;
        void **out = pointer.out + info->n_inputs;
        pointer.out = out + info->n_outputs;
        for (uint32_t k = 0; k < info->n_inputs; k++) {
            if (p->tensors[k].len)
                memcpy(data, p->tensors[k].data, p->tensors[k].len);
            in[k] = data;
            data += padded(p->tensors[k].len);
        }
        for (uint32_t k = 0; k < info->n_outputs; k++) {
            out[k] = data;
            data += padded(p->rows * info->outputs[k].row_bytes);
        }
        job->items[i] = (struct wk_item){.rows = p->rows, .inputs = in, .outputs = out};
    }
    job->n_items = (uint32_t)a->n_items;
    return job;
}

struct wk_job *wk_job_from_pb(const Aceso__V1__Action *a, const struct wk_model_info *info,
                              int *ret_status, struct ac_err *err)
{
    uint32_t batch = 0;
    size_t bytes = 0;
    struct wk_job *job = NULL;
    bool infer = a->kind == ACESO__V1__ACTION_KIND__ACTION_KIND_INFER;
    *ret_status = WK_ST_INVALID;
    if (!infer && a->kind != ACESO__V1__ACTION_KIND__ACTION_KIND_LOAD &&
        a->kind != ACESO__V1__ACTION_KIND__ACTION_KIND_UNLOAD) {
        (void)ac_err_set(err, AC_EINVAL, "an action of kind %d", (int)a->kind);
        return NULL;
    }
    while (infer && batch < WK_BATCHES && wk_batch_size[batch] != a->batch)
        batch++;
    if (batch == WK_BATCHES || a->id == 0) {
        (void)ac_err_set(err, AC_EINVAL, "a batch of %u, an id of %llu", a->batch,
                         (unsigned long long)a->id);
        return NULL;
    }
    if (infer && check_items(a, info, batch, &bytes, err) != 0) {
        *ret_status = WK_ST_BAD_INPUT;
        return NULL;
    }
    job = infer ? with_items(a, info, bytes) : calloc(1, sizeof(*job));
    if (!job) {
        *ret_status = WK_ST_QUEUE_FULL;
        (void)ac_err_set(err, AC_ENOMEM, "no memory for an action of %zu bytes", bytes);
        return NULL;
    }
    job->action = (struct wk_action){.id = a->id,
                                     .kind = (enum wk_kind)a->kind,
                                     .earliest_ns = a->earliest_ns,
                                     .latest_ns = a->latest_ns,
                                     .batch = batch};
    return job;
}

#include "infer.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define SHAPE_TEXT 128

static const char *shape_text(const int64_t *dims, size_t rank, char *buf)
{
    size_t at = 0;
    buf[at++] = '[';
    for (size_t i = 0; i < rank && at < SHAPE_TEXT - 24; i++)
        at +=
            (size_t)snprintf(buf + at, SHAPE_TEXT - at, "%s%lld", i ? "," : "", (long long)dims[i]);
    (void)snprintf(buf + at, SHAPE_TEXT - at, "]");
    return buf;
}

static int wrong_shape(const struct ctl_infer_args *args, const struct ctl_tensor *t,
                       const struct wk_io_info *io, struct ac_err *err)
{
    char got[SHAPE_TEXT], want[SHAPE_TEXT];
    return ac_err_set(err, AC_EINVAL,
                      "input \"%.64s\" of model \"%.64s\" has shape %s, the model takes %s",
                      io->name, args->model, shape_text(t->shape, AC_MIN(t->rank, 6u), got),
                      shape_text(io->dims, AC_MIN(io->rank, 6u), want));
}

static int check_input(const struct wk_model_info *info, const struct wk_io_info *io,
                       uint32_t max_rows, const struct ctl_infer_args *args,
                       const struct ctl_tensor *t, struct ctl_infer *r, struct ac_err *err)
{
    if (!ac_streq(t->datatype, wk_dtype_name(io->dtype)))
        return ac_err_set(
            err, AC_EINVAL,
            "input \"%.64s\" of model \"%.64s\" has datatype %.16s, the model takes %s", io->name,
            args->model, ac_str_empty(t->datatype) ? "none" : t->datatype,
            wk_dtype_name(io->dtype));
    if (t->rank != io->rank)
        return wrong_shape(args, t, io, err);
    for (size_t k = 0; k < t->rank; k++) {
        bool batch = k == 0 && info->batched;
        if (batch ? t->shape[0] < 1 : t->shape[k] != io->dims[k])
            return wrong_shape(args, t, io, err);
    }
    int64_t rows = info->batched ? t->shape[0] : 1;
    if (rows > (int64_t)max_rows)
        return ac_err_set(
            err, AC_EINVAL,
            "input \"%.64s\" of model \"%.64s\" has %lld rows, one request takes %u at most",
            io->name, args->model, (long long)rows, max_rows);
    if (r->rows && (uint32_t)rows != r->rows)
        return ac_err_set(err, AC_EINVAL,
                          "input \"%.64s\" of model \"%.64s\" has %lld rows, another one has %u",
                          io->name, args->model, (long long)rows, r->rows);
    size_t want = (size_t)rows * io->row_bytes;
    if (t->len != want) {
        char got[SHAPE_TEXT];
        return ac_err_set(
            err, AC_EINVAL,
            "input \"%.64s\" of model \"%.64s\" has %zu bytes, shape %s of %s needs %zu", io->name,
            args->model, t->len, shape_text(t->shape, AC_MIN(t->rank, 6u), got), t->datatype, want);
    }
    r->rows = (uint32_t)rows;
    return 0;
}

static uint32_t find(const struct wk_io_info *ios, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (ac_streq(ios[i].name, name))
            return i;
    return n;
}

static int check_outputs(const struct wk_model_info *info, const struct ctl_infer_args *args,
                         struct ctl_infer *r, struct ac_err *err)
{
    bool seen[WK_MAX_IO] = {false};
    if (args->n_outputs == 0)
        for (; r->n_outputs < info->n_outputs; r->n_outputs++)
            r->outputs[r->n_outputs] = (uint8_t)r->n_outputs;
    for (size_t k = 0; k < args->n_outputs; k++) {
        uint32_t i = find(info->outputs, info->n_outputs, args->outputs[k]);
        if (i == info->n_outputs || seen[i])
            return ac_err_set(err, AC_EINVAL, "output \"%.64s\" of model \"%.64s\" is %s",
                              args->outputs[k], args->model,
                              i == info->n_outputs ? "not one of its outputs" : "asked for twice");
        seen[i] = true;
        r->outputs[r->n_outputs++] = (uint8_t)i;
    }
    return 0;
}

int ctl_infer_check(const struct wk_model_info *info, uint32_t max_rows,
                    const struct ctl_infer_args *args, struct ctl_infer *ret_i, struct ac_err *err)
{
    struct ctl_infer r = {0};
    for (size_t k = 0; k < args->n_inputs; k++) {
        const struct ctl_tensor *t = &args->inputs[k];
        uint32_t i = find(info->inputs, info->n_inputs, t->name);
        if (i == info->n_inputs)
            return ac_err_set(err, AC_EINVAL, "model \"%.64s\" has no input \"%.64s\"", args->model,
                              t->name);
        if (r.inputs[i])
            return ac_err_set(err, AC_EINVAL, "input \"%.64s\" of model \"%.64s\" comes twice",
                              t->name, args->model);
        int rc = check_input(info, &info->inputs[i], max_rows, args, t, &r, err);
        if (rc)
            return rc;
        r.inputs[i] = t->data ? t->data : "";
    }
    for (uint32_t i = 0; i < info->n_inputs; i++)
        if (!r.inputs[i])
            return ac_err_set(err, AC_EINVAL, "input \"%.64s\" of model \"%.64s\" is missing",
                              info->inputs[i].name, args->model);
    int rc = check_outputs(info, args, &r, err);
    if (rc == 0)
        *ret_i = r;
    return rc;
}

uint32_t ctl_model_max_rows(const struct wk_model_info *info, uint32_t max_batch,
                            size_t message_bytes)
{
    size_t in = 1, out = 1;
    for (uint32_t i = 0; i < info->n_inputs; i++)
        in += info->inputs[i].row_bytes;
    for (uint32_t i = 0; i < info->n_outputs; i++)
        out += info->outputs[i].row_bytes;
    /* Requests share batches, so it is a whole batch that has to fit. */
    size_t fit = message_bytes / AC_MAX(in, out), whole = fit > 0;
    while (whole && whole * 2 <= AC_MIN(fit, (size_t)POLICY_MAX_BATCH))
        whole *= 2;
    uint32_t most =
        info->batched ? AC_MIN(max_batch ? max_batch : POLICY_MAX_BATCH, (uint32_t)POLICY_MAX_BATCH)
                      : 1;
    return whole < most ? (uint32_t)whole : most;
}

uint32_t ctl_batch_for(uint32_t rows)
{
    uint32_t b = 0;
    while (b < POLICY_BATCHES - 1 && policy_batch_size[b] < rows)
        b++;
    return policy_batch_size[b];
}

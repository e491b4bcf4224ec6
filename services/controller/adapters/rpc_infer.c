/* ModelInfer. */
#include "controller_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#include "adapters/convert_pb.h"

/* The deadline: the parameter or the call's own, whichever is sooner. */
static int64_t deadline_of(const struct ctl_service *s, const struct ac_rpc_call *c,
                           const struct ctl_params *p, int64_t now)
{
    int64_t by_call = ac_rpc_deadline_ns(c);
    int64_t by_parameter = p->timeout_us ? now + p->timeout_us * AC_NS_PER_US : INT64_MAX;
    int64_t at = AC_MIN(by_call, by_parameter);
    return at == INT64_MAX ? now + s->conf->default_timeout_ns : at;
}

/* What can be said of the request at once; the reply follows from the scheduler otherwise. */
static int take(struct ctl_service *s, struct ac_rpc_call *c,
                const Inference__ModelInferRequest *req, struct ac_err *err)
{
    struct ctl_model *m = ctl_catalog_find(s->catalog, req->model_name, req->model_version);
    struct ctl_infer_args args;
    struct ctl_infer in;
    struct ctl_params params;
    uint32_t tenant = 0;
    int64_t now = ctl_now(s);
    if (s->stopping)
        return ac_err_set(err, AC_ENET, "the controller stops");
    if (!m && ac_str_empty(req->model_version))
        return ac_err_set(err, AC_ENOTFOUND, "model \"%.64s\" is not in the repository",
                          req->model_name);
    if (!m)
        return ac_err_set(err, AC_ENOTFOUND, "model \"%.64s\" has no version \"%.20s\"",
                          req->model_name, req->model_version);
    if (ctl_model_state(m, s->up) == CTL_MODEL_UNAVAILABLE)
        return ac_err_set(err, AC_ENET, "model \"%.64s\" cannot be served: %.160s", m->what.name,
                          ctl_model_reason(m, s->up));
    int rc = ctl_args_from_pb(req, ac_rpc_arena(c), &args, err);
    if (rc == 0)
        rc = ctl_infer_check(&m->what.info, m->what.max_rows, &args, &in, err);
    if (rc == 0)
        rc = ctl_params_from_pb(req, &params, err);
    if (rc == 0)
        rc = ctl_tenants_find(&s->tenants, params.tenant, &tenant, err);
    if (rc)
        return rc;
    in.tenant = (uint8_t)tenant;
    in.priority = params.priority;
    ctl_dispatch_ask(s, c, m, &in, req->id, now, deadline_of(s, c, &params, now));
    return 0;
}

void ctl_infer(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ac_err err = AC_ERR_INIT;
    if (take(self, c, msg, &err) != 0)
        ac_rpc_fail(c, &err);
}

/* protobuf-c's messages take writable strings that packing does not touch. */
static char *text(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {.in = s};
    return u.out;
}

void ctl_reply_infer(struct ac_rpc_call *c, const struct ctl_found *what, const char *id,
                     const struct ctl_infer *in, const Aceso__V1__InferPiece *piece)
{
    Inference__ModelInferResponse res = INFERENCE__MODEL_INFER_RESPONSE__INIT;
    Inference__ModelInferResponse__InferOutputTensor tensors[WK_MAX_IO], *list[WK_MAX_IO];
    ProtobufCBinaryData raw[WK_MAX_IO];
    int64_t shapes[WK_MAX_IO][WK_ONNX_MAX_RANK];
    res.model_name = text(what->name);
    res.model_version = text(what->version);
    res.id = text(id);
    res.outputs = list;
    res.raw_output_contents = raw;
    for (uint32_t k = 0; k < in->n_outputs; k++) {
        const struct wk_io_info *io = &what->info.outputs[in->outputs[k]];
        memcpy(shapes[k], io->dims, sizeof(shapes[k]));
        if (what->info.batched)
            shapes[k][0] = in->rows;
        inference__model_infer_response__infer_output_tensor__init(&tensors[k]);
        tensors[k].name = text(io->name);
        tensors[k].datatype = text(wk_dtype_name(io->dtype));
        tensors[k].shape = shapes[k];
        tensors[k].n_shape = io->rank;
        list[k] = &tensors[k];
        raw[k] = piece->tensors[in->outputs[k]];
    }
    res.n_outputs = res.n_raw_output_contents = in->n_outputs;
    ac_rpc_reply(c, &res);
}

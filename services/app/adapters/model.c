/* A served model by the KServe v2 protocol. The model's input is asked for once; what the spec
 * gives is repeated or cut to its size, so that any model with one FP32 input can score. */
#include "stores.h"

#include <math.h>
#include <string.h>

#include <inference/grpc_service.pb-c.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#define MAX_TENSOR 65536

struct app_model {
    struct app_store_conf c;
    struct ac_rpc_channel *channel;
    char *asked_for; /* the model whose input is known */
    char *input_name;
    int64_t shape[8];
    size_t n_shape, size;
};

struct app_model *app_model_create(struct ac_rpc *rpc, const struct app_store_conf *c)
{
    struct app_model *m = ac_xcalloc(1, sizeof(*m));
    const char *target = c->url;
    const char *scheme = strstr(target, "://");
    m->c = *c;
    m->channel = ac_rpc_channel_create(rpc, scheme ? scheme + 3 : target, NULL);
    return m;
}

void app_model_destroy(struct app_model *m)
{
    if (!m)
        return;
    ac_rpc_channel_destroy(m->channel);
    free(m->asked_for);
    free(m->input_name);
    free(m);
}

static void fail(struct app_op *op, int code, const char *msg)
{
    struct ac_err e = AC_ERR_INIT;
    ac_err_set(&e, code, "%s", msg);
    app_op_done(op, code, NULL, &e);
}

static const struct app_value *outputs(struct ac_arena *a, const Inference__ModelInferResponse *res)
{
    const float *f = NULL;
    size_t n = 0, which = 0;
    for (size_t i = 0; i < res->n_outputs; i++) {
        if (ac_streq(res->outputs[i]->name, "score"))
            which = i;
    }
    if (which < res->n_raw_output_contents) {
        f = (const float *)(const void *)res->raw_output_contents[which].data;
        n = res->raw_output_contents[which].len / sizeof(float);
    } else if (which < res->n_outputs && res->outputs[which]->contents) {
        f = res->outputs[which]->contents->fp32_contents;
        n = res->outputs[which]->contents->n_fp32_contents;
    }
    if (n > MAX_TENSOR)
        return NULL;
    const struct app_value **items = ac_arena_calloc(a, n + 1, sizeof(*items));
    for (size_t i = 0; items && i < n; i++) {
        float v;
        memcpy(&v, &f[i], sizeof(v));
        if (!(items[i] = app_num(a, isfinite(v) ? (double)v : 0)))
            return NULL;
    }
    return items ? app_list(a, items, n) : NULL;
}

static void on_infer(const struct ac_rpc_result *res, void *arg)
{
    struct app_op *op = arg;
    if (res->code) {
        fail(op, res->code, res->message);
        return;
    }
    const struct app_value *v = outputs(app_exec_arena(op->exec), res->reply);
    if (v)
        app_op_done(op, 0, v, NULL);
    else
        fail(op, AC_EAGAIN, "answer too large");
}

static int64_t left_ns(const struct app_op *op)
{
    return AC_MAX(op->start_ns + op->timeout_ns - ac_now_ns(), AC_NS_PER_MS);
}

static void infer(struct app_model *m, struct app_op *op)
{
    struct ac_arena *a = app_exec_arena(op->exec);
    const struct app_value *in = op->value;
    float *data = ac_arena_calloc(a, m->size, sizeof(*data));
    if (!data) {
        fail(op, AC_EAGAIN, "input too large");
        return;
    }
    for (size_t i = 0; i < m->size; i++) {
        const struct app_value *v = in->u.list.items[i % in->u.list.n];
        data[i] = v->kind == APP_NUM ? (float)v->u.num : 0.0f;
    }
    Inference__ModelInferRequest req = INFERENCE__MODEL_INFER_REQUEST__INIT;
    Inference__ModelInferRequest__InferInputTensor t =
        INFERENCE__MODEL_INFER_REQUEST__INFER_INPUT_TENSOR__INIT;
    Inference__ModelInferRequest__InferInputTensor *tensors[] = {&t};
    ProtobufCBinaryData raw = {m->size * sizeof(float), (uint8_t *)data};
    struct ac_rpc_call_opts o = {.timeout_ns = left_ns(op)};
    char type[] = "FP32", name[128];
    (void)ac_str_copy(name, sizeof(name), m->asked_for);
    req.model_name = name;
    t.name = m->input_name;
    t.datatype = type;
    t.shape = m->shape;
    t.n_shape = m->n_shape;
    req.inputs = tensors;
    req.n_inputs = 1;
    req.raw_input_contents = &raw;
    req.n_raw_input_contents = 1;
    ac_rpc_unary(m->channel, "/inference.GRPCInferenceService/ModelInfer", &req,
                 &inference__model_infer_response__descriptor, &o, on_infer, op);
}

static bool learn_input(struct app_model *m, const struct app_op *op,
                        const Inference__ModelMetadataResponse *meta)
{
    if (meta->n_inputs == 0 || !ac_streq(meta->inputs[0]->datatype, "FP32"))
        return false;
    const Inference__ModelMetadataResponse__TensorMetadata *in = meta->inputs[0];
    size_t size = 1;
    if (in->n_shape == 0 || in->n_shape > AC_ARRAY_LEN(m->shape))
        return false;
    for (size_t i = 0; i < in->n_shape; i++) {
        m->shape[i] = in->shape[i] > 0 ? in->shape[i] : 1;
        size = ac_mul_size(size, (size_t)m->shape[i]);
    }
    if (size == 0 || size > MAX_TENSOR)
        return false;
    m->n_shape = in->n_shape;
    m->size = size;
    free(m->input_name);
    free(m->asked_for);
    m->input_name = ac_xstrdup(in->name);
    m->asked_for = ac_xstrdup(op->step->model);
    return true;
}

static void on_metadata(const struct ac_rpc_result *res, void *arg)
{
    struct app_op *op = arg;
    struct app_model *m = op->adapter;
    if (res->code)
        fail(op, res->code, res->message);
    else if (!learn_input(m, op, res->reply))
        fail(op, AC_ENOTSUP, "the model has no FP32 input of a known size");
    else
        infer(m, op);
}

void app_model_infer(struct app_model *m, struct app_op *op)
{
    op->adapter = m;
    if (op->value->kind != APP_LIST || op->value->u.list.n == 0) {
        fail(op, AC_EINVAL, "input must be a list of numbers");
        return;
    }
    if (ac_streq(m->asked_for, op->step->model)) {
        infer(m, op);
        return;
    }
    char name[128];
    Inference__ModelMetadataRequest req = INFERENCE__MODEL_METADATA_REQUEST__INIT;
    struct ac_rpc_call_opts o = {.timeout_ns = left_ns(op)};
    (void)ac_str_copy(name, sizeof(name), op->step->model);
    req.name = name;
    ac_rpc_unary(m->channel, "/inference.GRPCInferenceService/ModelMetadata", &req,
                 &inference__model_metadata_response__descriptor, &o, on_metadata, op);
}

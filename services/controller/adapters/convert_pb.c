#include "convert_pb.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define TIMEOUT_MAX_US (24LL * 3600 * 1000000)

/* ---- typed contents to bytes ---- */

struct typed {
    const void *data;
    size_t n, bytes; /* elements, and of what size each is in the message */
};

static struct typed contents_of(const Inference__InferTensorContents *c, int dtype)
{
    switch (dtype) {
    case WK_F32:
        return (struct typed){c->fp32_contents, c->n_fp32_contents, 4};
    case WK_F64:
        return (struct typed){c->fp64_contents, c->n_fp64_contents, 8};
    case WK_I64:
        return (struct typed){c->int64_contents, c->n_int64_contents, 8};
    case WK_U64:
        return (struct typed){c->uint64_contents, c->n_uint64_contents, 8};
    case WK_I8:
    case WK_I16:
    case WK_I32:
        return (struct typed){c->int_contents, c->n_int_contents, 4};
    case WK_U8:
    case WK_U16:
    case WK_U32:
        return (struct typed){c->uint_contents, c->n_uint_contents, 4};
    default: /* FP16 and BF16 have no typed form */
        return (struct typed){NULL, 0, 0};
    }
}

/* The message holds small integers as 32 bits: only their low bytes may be in use. */
static bool narrow(const struct typed *t, int dtype, uint8_t *out)
{
    size_t size = wk_dtype_size(dtype);
    bool is_signed = dtype == WK_I8 || dtype == WK_I16;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t v = ((const uint32_t *)t->data)[i];
        int64_t x = is_signed ? (int32_t)v : (int64_t)v;
        int64_t lo = is_signed ? -(1LL << (8 * size - 1)) : 0;
        int64_t hi = is_signed ? (1LL << (8 * size - 1)) - 1 : (1LL << (8 * size)) - 1;
        if (x < lo || x > hi)
            return false;
        memcpy(out + i * size, &v, size);
    }
    return true;
}

static int typed_bytes(const Inference__ModelInferRequest__InferInputTensor *in, struct ac_arena *a,
                       struct ctl_tensor *t, struct ac_err *err)
{
    const Inference__InferTensorContents *c = in->contents;
    int dtype = wk_dtype_find(in->datatype);
    size_t size = wk_dtype_size(dtype);
    if (dtype == WK_BOOL) {
        uint8_t *p = ac_arena_alloc(a, c->n_bool_contents + 1);
        for (size_t i = 0; p && i < c->n_bool_contents; i++)
            p[i] = c->bool_contents[i] != 0;
        t->data = p;
        t->len = c->n_bool_contents;
        return p ? 0 : ac_err_set(err, AC_EAGAIN, "input \"%.64s\" is too large", in->name);
    }
    struct typed v = contents_of(c, dtype);
    if (v.bytes == 0 || size == 0)
        return ac_err_set(err, AC_EINVAL,
                          "input \"%.64s\": datatype %.16s cannot come in typed contents", in->name,
                          in->datatype);
    t->data = v.data;
    t->len = v.n * size;
    if (v.bytes == size)
        return 0;
    uint8_t *p = ac_arena_alloc(a, t->len + 1);
    if (!p)
        return ac_err_set(err, AC_EAGAIN, "input \"%.64s\" is too large", in->name);
    t->data = p;
    return narrow(&v, dtype, p)
               ? 0
               : ac_err_set(err, AC_EINVAL, "input \"%.64s\": a value does not fit in %s", in->name,
                            in->datatype);
}

int ctl_args_from_pb(const Inference__ModelInferRequest *req, struct ac_arena *a,
                     struct ctl_infer_args *ret_args, struct ac_err *err)
{
    bool raw = req->n_raw_input_contents > 0;
    if (req->n_inputs > WK_MAX_IO || req->n_outputs > WK_MAX_IO)
        return ac_err_set(err, AC_EINVAL, "more than %d inputs or outputs", WK_MAX_IO);
    if (raw && req->n_raw_input_contents != req->n_inputs)
        return ac_err_set(err, AC_EINVAL, "%zu inputs are declared, raw contents are there for %zu",
                          req->n_inputs, req->n_raw_input_contents);
    struct ctl_tensor *t = ac_arena_calloc(a, req->n_inputs + 1, sizeof(*t));
    const char **outputs = ac_arena_calloc(a, req->n_outputs + 1, sizeof(*outputs));
    if (!t || !outputs)
        return ac_err_set(err, AC_EAGAIN, "the request is too large");
    for (size_t i = 0; i < req->n_inputs; i++) {
        const Inference__ModelInferRequest__InferInputTensor *in = req->inputs[i];
        t[i] = (struct ctl_tensor){
            .name = in->name, .datatype = in->datatype, .shape = in->shape, .rank = in->n_shape};
        if (raw && in->contents)
            return ac_err_set(err, AC_EINVAL,
                              "input \"%.64s\" has typed contents, and the request raw ones",
                              in->name);
        int rc = 0;
        if (raw) {
            t[i].data = req->raw_input_contents[i].data;
            t[i].len = req->raw_input_contents[i].len;
        } else if (in->contents) {
            rc = typed_bytes(in, a, &t[i], err);
        }
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < req->n_outputs; i++)
        outputs[i] = req->outputs[i]->name;
    *ret_args = (struct ctl_infer_args){.model = req->model_name,
                                        .inputs = t,
                                        .n_inputs = req->n_inputs,
                                        .outputs = outputs,
                                        .n_outputs = req->n_outputs};
    return 0;
}

/* A whole number from 0 to most; -1 when it is none. */
static int64_t number_of(const Inference__InferParameter *p, int64_t most)
{
    int64_t v = -1;
    if (p && p->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM)
        v = p->int64_param;
    else if (p &&
             p->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_UINT64_PARAM)
        v = p->uint64_param <= (uint64_t)most ? (int64_t)p->uint64_param : -1;
    else if (p &&
             p->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM)
        (void)ac_str_to_i64(p->string_param, &v);
    return v <= most ? v : -1;
}

int ctl_params_from_pb(const Inference__ModelInferRequest *req, struct ctl_params *ret_p,
                       struct ac_err *err)
{
    struct ctl_params r = {.tenant = "", .priority = POLICY_PRIORITIES - CTL_PRIORITY_DEFAULT};
    for (size_t i = 0; i < req->n_parameters; i++) {
        const char *key = req->parameters[i]->key;
        const Inference__InferParameter *p = req->parameters[i]->value;
        if (ac_streq(key, "timeout")) {
            r.timeout_us = number_of(p, TIMEOUT_MAX_US);
            if (r.timeout_us < 0)
                return ac_err_set(
                    err, AC_EINVAL,
                    "parameter \"timeout\": a whole number of microseconds from 0 to %lld",
                    TIMEOUT_MAX_US);
        } else if (ac_streq(key, "priority")) {
            int64_t v = number_of(p, POLICY_PRIORITIES);
            if (v < 0)
                return ac_err_set(err, AC_EINVAL,
                                  "parameter \"priority\": 1 (shed last) to %d, or 0 for %d",
                                  POLICY_PRIORITIES, CTL_PRIORITY_DEFAULT);
            r.priority = (uint8_t)(POLICY_PRIORITIES - (v ? v : CTL_PRIORITY_DEFAULT));
        } else if (ac_streq(key, "tenant")) {
            if (!p || p->parameter_choice_case !=
                          INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM)
                return ac_err_set(err, AC_EINVAL, "parameter \"tenant\": a name");
            r.tenant = p->string_param;
        }
    }
    *ret_p = r;
    return 0;
}

Inference__DataType ctl_dtype_to_pb(int dtype)
{
    switch (dtype) {
    case WK_F32:
        return INFERENCE__DATA_TYPE__TYPE_FP32;
    case WK_F64:
        return INFERENCE__DATA_TYPE__TYPE_FP64;
    case WK_F16:
        return INFERENCE__DATA_TYPE__TYPE_FP16;
    case WK_BF16:
        return INFERENCE__DATA_TYPE__TYPE_BF16;
    case WK_U8:
        return INFERENCE__DATA_TYPE__TYPE_UINT8;
    case WK_I8:
        return INFERENCE__DATA_TYPE__TYPE_INT8;
    case WK_U16:
        return INFERENCE__DATA_TYPE__TYPE_UINT16;
    case WK_I16:
        return INFERENCE__DATA_TYPE__TYPE_INT16;
    case WK_U32:
        return INFERENCE__DATA_TYPE__TYPE_UINT32;
    case WK_I32:
        return INFERENCE__DATA_TYPE__TYPE_INT32;
    case WK_U64:
        return INFERENCE__DATA_TYPE__TYPE_UINT64;
    case WK_I64:
        return INFERENCE__DATA_TYPE__TYPE_INT64;
    case WK_BOOL:
        return INFERENCE__DATA_TYPE__TYPE_BOOL;
    case WK_STRING:
        return INFERENCE__DATA_TYPE__TYPE_STRING;
    default:
        return INFERENCE__DATA_TYPE__TYPE_INVALID;
    }
}

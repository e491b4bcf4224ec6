/* inference.GRPCInferenceService: all but ModelInfer. */
#include "controller_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "adapters/convert_pb.h"

#define PLATFORM "onnxruntime_onnx" /* Triton's word for ONNX files */

static char *text(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {.in = s};
    return u.out;
}

static void on_live(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    (void)self;
    Inference__ServerLiveResponse res = INFERENCE__SERVER_LIVE_RESPONSE__INIT;
    res.live = true;
    ac_rpc_reply(c, &res);
}

/* Ready: a worker is there and every model that can be served is prepared on one. */
static bool is_ready(const struct ctl_service *s)
{
    if (s->stopping || s->up == 0)
        return false;
    const struct ctl_model *m;
    for (size_t k = 0; (m = ctl_catalog_at(s->catalog, k)); k++)
        if (ctl_model_state(m, s->up) == CTL_MODEL_LOADING)
            return false;
    return true;
}

static void on_ready(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    Inference__ServerReadyResponse res = INFERENCE__SERVER_READY_RESPONSE__INIT;
    res.ready = is_ready(self);
    ac_rpc_reply(c, &res);
}

static struct ctl_model *model_or_fail(struct ctl_service *s, struct ac_rpc_call *c,
                                       const char *name, const char *version)
{
    struct ctl_model *m = ctl_catalog_find(s->catalog, name, version);
    if (m)
        return m;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ENOTFOUND, "model \"%.64s\"%s%.20s is not in the repository", name,
                     ac_str_empty(version) ? "" : " version ", version);
    ac_rpc_fail(c, &err);
    return NULL;
}

static void on_model_ready(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ctl_service *s = self;
    const Inference__ModelReadyRequest *req = msg;
    const struct ctl_model *m = ctl_catalog_find(s->catalog, req->name, req->version);
    Inference__ModelReadyResponse res = INFERENCE__MODEL_READY_RESPONSE__INIT;
    res.ready = m && ctl_model_state(m, s->up) == CTL_MODEL_READY;
    ac_rpc_reply(c, &res);
}

static void on_server_metadata(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    (void)self;
    static char name[] = "aceso", version[] = "0.1.0", e0[] = "model_repository",
                e1[] = "model_configuration", e2[] = "statistics", e3[] = "timeout";
    char *extensions[] = {e0, e1, e2, e3};
    Inference__ServerMetadataResponse res = INFERENCE__SERVER_METADATA_RESPONSE__INIT;
    res.name = name;
    res.version = version;
    res.extensions = extensions;
    res.n_extensions = AC_ARRAY_LEN(extensions);
    ac_rpc_reply(c, &res);
}

static size_t metadata_of(const struct wk_io_info *ios, uint32_t n, struct ac_arena *a,
                          Inference__ModelMetadataResponse__TensorMetadata ***ret_list)
{
    Inference__ModelMetadataResponse__TensorMetadata **list =
        ac_arena_calloc(a, n + 1u, sizeof(*list));
    for (uint32_t i = 0; list && i < n; i++) {
        if (!(list[i] = ac_arena_alloc(a, sizeof(**list))))
            return 0;
        inference__model_metadata_response__tensor_metadata__init(list[i]);
        list[i]->name = text(ios[i].name);
        list[i]->datatype = text(wk_dtype_name(ios[i].dtype));
        list[i]->n_shape = ios[i].rank;
        list[i]->shape = ac_arena_memdup(a, ios[i].dims, sizeof(ios[i].dims));
        if (!list[i]->shape)
            return 0;
    }
    *ret_list = list;
    return list ? n : 0;
}

static void on_model_metadata(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ctl_service *s = self;
    const Inference__ModelMetadataRequest *req = msg;
    const struct ctl_model *m = model_or_fail(s, c, req->name, req->version);
    if (!m)
        return;
    struct ac_arena *a = ac_rpc_arena(c);
    Inference__ModelMetadataResponse res = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
    static char platform[] = PLATFORM;
    char *versions[64];
    const struct ctl_model *v;
    res.versions = versions;
    for (size_t k = 0; (v = ctl_catalog_at(s->catalog, k)); k++)
        if (ac_streq(v->what.name, m->what.name) && res.n_versions < AC_ARRAY_LEN(versions))
            versions[res.n_versions++] = text(v->what.version);
    res.name = text(m->what.name);
    res.platform = platform;
    res.n_inputs = metadata_of(m->what.info.inputs, m->what.info.n_inputs, a, &res.inputs);
    res.n_outputs = metadata_of(m->what.info.outputs, m->what.info.n_outputs, a, &res.outputs);
    ac_rpc_reply(c, &res);
}

static void on_model_config(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ctl_service *s = self;
    const Inference__ModelConfigRequest *req = msg;
    struct ctl_model *m = model_or_fail(s, c, req->name, req->version);
    if (!m)
        return;
    struct wk_model_info *info = &m->what.info;
    Inference__ModelConfigResponse res = INFERENCE__MODEL_CONFIG_RESPONSE__INIT;
    Inference__ModelConfig cfg = INFERENCE__MODEL_CONFIG__INIT;
    Inference__ModelInput in[WK_MAX_IO], *in_list[WK_MAX_IO];
    Inference__ModelOutput out[WK_MAX_IO], *out_list[WK_MAX_IO];
    static char platform[] = PLATFORM, backend[] = "onnxruntime", file[] = "model.onnx";
    uint32_t skip = info->batched ? 1 : 0; /* the batch is no part of a configuration's dims */
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        inference__model_input__init(&in[i]);
        in[i].name = info->inputs[i].name;
        in[i].data_type = ctl_dtype_to_pb(info->inputs[i].dtype);
        in[i].dims = info->inputs[i].dims + skip;
        in[i].n_dims = info->inputs[i].rank - skip;
        in_list[i] = &in[i];
    }
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        inference__model_output__init(&out[i]);
        out[i].name = info->outputs[i].name;
        out[i].data_type = ctl_dtype_to_pb(info->outputs[i].dtype);
        out[i].dims = info->outputs[i].dims + skip;
        out[i].n_dims = info->outputs[i].rank - skip;
        out_list[i] = &out[i];
    }
    cfg.name = m->what.name;
    cfg.platform = platform;
    cfg.backend = backend;
    cfg.default_model_filename = file;
    cfg.max_batch_size = info->batched ? (int32_t)m->what.max_rows : 0;
    cfg.input = in_list;
    cfg.n_input = info->n_inputs;
    cfg.output = out_list;
    cfg.n_output = info->n_outputs;
    res.config = &cfg;
    ac_rpc_reply(c, &res);
}

static void on_index(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ctl_service *s = self;
    const Inference__RepositoryIndexRequest *req = msg;
    Inference__RepositoryIndexResponse res = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
    size_t n = 0;
    while (ctl_catalog_at(s->catalog, n))
        n++;
    Inference__RepositoryIndexResponse__ModelIndex *all = ac_xcalloc(n + 1, sizeof(*all));
    res.models = ac_xcalloc(n + 1, sizeof(*res.models));
    for (size_t k = 0; k < n; k++) {
        const struct ctl_model *m = ctl_catalog_at(s->catalog, k);
        enum ctl_model_state state = ctl_model_state(m, s->up);
        if (req->ready && state != CTL_MODEL_READY)
            continue;
        inference__repository_index_response__model_index__init(&all[k]);
        all[k].name = text(m->what.name);
        all[k].version = text(m->what.version);
        all[k].state = text(ctl_model_state_name(state));
        all[k].reason = text(ctl_model_reason(m, s->up));
        res.models[res.n_models++] = &all[k];
    }
    ac_rpc_reply(c, &res);
    free(all);
    free(res.models);
}

void ctl_rpc_kserve_add(struct ctl_service *s)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "ServerLive", .kind = AC_RPC_UNARY, .handler = on_live},
        {.name = "ServerReady", .kind = AC_RPC_UNARY, .handler = on_ready},
        {.name = "ModelReady", .kind = AC_RPC_UNARY, .handler = on_model_ready},
        {.name = "ServerMetadata", .kind = AC_RPC_UNARY, .handler = on_server_metadata},
        {.name = "ModelMetadata", .kind = AC_RPC_UNARY, .handler = on_model_metadata},
        {.name = "ModelConfig", .kind = AC_RPC_UNARY, .handler = on_model_config},
        {.name = "RepositoryIndex", .kind = AC_RPC_UNARY, .handler = on_index},
        {.name = "ModelStatistics", .kind = AC_RPC_UNARY, .handler = ctl_model_statistics},
        {.name = "ModelInfer", .kind = AC_RPC_UNARY, .handler = ctl_infer},
    };
    ac_rpc_server_add(s->svc->server, &inference__grpcinference_service__descriptor, methods,
                      AC_ARRAY_LEN(methods), s);
}

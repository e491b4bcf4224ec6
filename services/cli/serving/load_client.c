#include "load_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <inference/grpc_service.pb-c.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/rng.h>
#include <aceso/rpc.h>
#include <aceso/str.h>

#define SERVICE       "/inference.GRPCInferenceService/"
#define ANSWER_NS     (5 * AC_NS_PER_S) /* a late answer is waited for this long, and counted late */
#define TENSOR_MAX    (16u << 20)
#define ASK_NS        (10 * AC_NS_PER_S)
#define REQUEST_BYTES (64u << 20)

struct client;

struct asked {
    struct client *c;
    int64_t meant_ns;
    struct asked *next_free;
};

struct client {
    const struct cli_load_plan *plan;
    struct cli_load_report *r;
    struct ac_loop *loop;
    struct ac_rpc *rpc;
    struct ac_rpc_channel *channel;
    struct ac_timer *timer;
    struct ac_rng rng;
    const char *method;
    struct ac_buf body;
    struct asked *free_list, *all;
    uint32_t open;
    bool over;
    int64_t begin_ns, end_ns, next_ns, start_ns;
    size_t at_time; /* of the trace's */
    int64_t *took;
    size_t n_took, cap_took;
};

/* ---- the request: the model's inputs filled with seeded numbers, packed once ---- */

static size_t element_bytes(const char *datatype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"FP32", 4},   {"INT32", 4}, {"UINT32", 4}, {"FP64", 8},  {"INT64", 8},
                 {"UINT64", 8}, {"FP16", 2},  {"BF16", 2},   {"INT16", 2}, {"UINT16", 2},
                 {"INT8", 1},   {"UINT8", 1}, {"BOOL", 1}};
    for (size_t i = 0; i < AC_ARRAY_LEN(types); i++)
        if (ac_streq(types[i].name, datatype))
            return types[i].bytes;
    return 0;
}

static int fill_tensor(struct client *c, const Inference__ModelMetadataResponse__TensorMetadata *m,
                       Inference__ModelInferRequest__InferInputTensor *t, ProtobufCBinaryData *raw,
                       struct ac_arena *a, struct ac_err *err)
{
    size_t n = 1, bytes = element_bytes(m->datatype);
    t->name = m->name;
    t->datatype = m->datatype;
    t->n_shape = m->n_shape;
    t->shape = ac_arena_calloc(a, m->n_shape + 1, sizeof(int64_t));
    for (size_t k = 0; t->shape && k < m->n_shape; k++) {
        t->shape[k] = m->shape[k] > 0 ? m->shape[k] : k == 0 ? c->plan->rows : 1;
        n = ac_mul_size(n, (size_t)t->shape[k]);
    }
    size_t len = ac_mul_size(n, bytes);
    if (bytes == 0 || len > TENSOR_MAX)
        return ac_err_set(err, AC_ENOTSUP, "input \"%.64s\": %s of %zu elements cannot be made up",
                          m->name, m->datatype, n);
    raw->data = ac_arena_calloc(a, len + 1, 1);
    raw->len = len;
    if (!t->shape || !raw->data)
        return ac_err_set(err, AC_ENOMEM, "input \"%.64s\" is too large", m->name);
    for (size_t k = 0; ac_streq(m->datatype, "FP32") && k < n; k++) {
        float v = (float)ac_rng_uniform(&c->rng);
        memcpy(raw->data + 4 * k, &v, 4);
    }
    return 0;
}

static int pack_request(struct client *c, const Inference__ModelMetadataResponse *meta,
                        struct ac_arena *a, struct ac_err *err)
{
    Inference__ModelInferRequest req = INFERENCE__MODEL_INFER_REQUEST__INIT;
    Inference__ModelInferRequest__ParametersEntry timeout =
        INFERENCE__MODEL_INFER_REQUEST__PARAMETERS_ENTRY__INIT;
    Inference__ModelInferRequest__ParametersEntry *parameters[] = {&timeout};
    Inference__InferParameter us = INFERENCE__INFER_PARAMETER__INIT;
    static char key[] = "timeout";
    size_t n = meta->n_inputs;
    Inference__ModelInferRequest__InferInputTensor *tensors =
        ac_arena_calloc(a, n + 1, sizeof(*tensors));
    req.inputs = ac_arena_calloc(a, n + 1, sizeof(*req.inputs));
    req.raw_input_contents = ac_arena_calloc(a, n + 1, sizeof(*req.raw_input_contents));
    if (!tensors || !req.inputs || !req.raw_input_contents)
        return ac_err_set(err, AC_ENOMEM, "too many inputs");
    for (size_t i = 0; i < n; i++) {
        inference__model_infer_request__infer_input_tensor__init(&tensors[i]);
        req.inputs[i] = &tensors[i];
        int rc = fill_tensor(c, meta->inputs[i], &tensors[i], &req.raw_input_contents[i], a, err);
        if (rc)
            return rc;
    }
    req.n_inputs = req.n_raw_input_contents = n;
    req.model_name = ac_arena_strdup(a, c->plan->model);
    req.model_version = ac_arena_strdup(a, c->plan->version ? c->plan->version : "");
    timeout.key = key;
    timeout.value = &us;
    us.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
    us.int64_param = c->plan->slo_ns / AC_NS_PER_US;
    req.parameters = parameters;
    req.n_parameters = c->plan->slo_ns ? 1 : 0;
    return ac_pb_pack(&req.base, &c->body, err);
}

static int make_request(struct client *c, struct ac_err *err)
{
    ProtobufCMessage *reply = NULL;
    Inference__ModelMetadataRequest req = INFERENCE__MODEL_METADATA_REQUEST__INIT;
    ac_buf_init(&c->body, REQUEST_BYTES);
    c->method = SERVICE "ServerLive";
    if (!c->plan->model)
        return 0;
    c->method = SERVICE "ModelInfer";
    ac_cleanup(ac_free_p) char *name = ac_xstrdup(c->plan->model);
    ac_cleanup(ac_free_p) char *version = ac_xstrdup(c->plan->version ? c->plan->version : "");
    req.name = name;
    req.version = version;
    int rc = ac_rpc_call_sync(c->plan->target, NULL, NULL, SERVICE "ModelMetadata", &req,
                              &inference__model_metadata_response__descriptor, ASK_NS, &reply, err);
    if (rc) /* an address that nobody answers at is named already */
        return ac_str_starts(err->msg, c->plan->target) ? rc
                                                        : ac_err_wrap(err, "%s", c->plan->target);
    union {
        ProtobufCMessage *in;
        Inference__ModelMetadataResponse *out;
    } meta = {.in = reply};
    struct ac_arena *a = ac_arena_create(REQUEST_BYTES);
    rc = pack_request(c, meta.out, a, err);
    ac_arena_destroy(a);
    protobuf_c_message_free_unpacked(reply, NULL);
    return rc;
}

/* ---- asking ---- */

static void ask(struct client *c, int64_t meant);

static void maybe_over(struct client *c)
{
    if (c->over && c->open == 0)
        ac_loop_stop(c->loop);
}

static void note(struct client *c, const struct ac_rpc_result *res, int64_t took)
{
    struct cli_load_report *r = c->r;
    bool late = c->plan->slo_ns && took > c->plan->slo_ns;
    if (res->code == 0) {
        ac_grow(&c->took, &c->cap_took, c->n_took + 1, sizeof(*c->took));
        c->took[c->n_took++] = took;
        if (late)
            r->late++;
        else
            r->ok++;
        return;
    }
    bool rejected = strstr(res->message, "refused") != NULL;
    if (rejected)
        r->rejected++;
    else
        r->failed++;
    if (!rejected && !r->first_error[0])
        (void)ac_str_copy(r->first_error, sizeof(r->first_error), res->message);
}

static bool is_closed(const struct cli_load_plan *p)
{
    return p->rate <= 0 && !p->times_ns;
}

static void on_done(const struct ac_rpc_result *res, void *arg)
{
    struct asked *q = arg;
    struct client *c = q->c;
    int64_t now = ac_now_ns();
    if (q->meant_ns >= c->begin_ns)
        note(c, res, now - q->meant_ns);
    q->next_free = c->free_list;
    c->free_list = q;
    c->open--;
    if (is_closed(c->plan) && now < c->end_ns)
        ask(c, now);
    else if (is_closed(c->plan))
        c->over = true;
    maybe_over(c);
}

static void ask(struct client *c, int64_t meant)
{
    int64_t lag = ac_now_ns() - meant;
    struct asked *q = c->free_list;
    if (meant >= c->begin_ns) {
        c->r->sent++;
        c->r->send_lag_ms = AC_MAX(c->r->send_lag_ms, (double)lag * 1e-6);
    }
    if (!q) {
        c->r->failed++;
        if (!c->r->first_error[0])
            snprintf(c->r->first_error, sizeof(c->r->first_error),
                     "%d requests are under way already", CLI_LOAD_OPEN_MAX);
        return;
    }
    c->free_list = q->next_free;
    c->open++;
    q->meant_ns = meant;
    struct ac_rpc_call_opts o = {.timeout_ns = c->plan->slo_ns + ANSWER_NS};
    ac_rpc_unary_raw(c->channel, c->method, c->body.data, c->body.len, &o, on_done, q);
}

/* When the request behind the present one is meant to go out. */
static int64_t following(struct client *c)
{
    const struct cli_load_plan *p = c->plan;
    if (p->times_ns)
        return ++c->at_time < p->n_times ? c->start_ns + p->times_ns[c->at_time] : c->end_ns;
    double gap = p->constant ? 1 : ac_rng_exponential(&c->rng);
    return c->next_ns + (int64_t)(gap / p->rate * 1e9) + 1;
}

static void on_timer(void *arg)
{
    struct client *c = arg;
    int64_t now = ac_now_ns();
    while (c->next_ns <= now && c->next_ns < c->end_ns) {
        ask(c, c->next_ns);
        c->next_ns = following(c);
    }
    if (c->next_ns < c->end_ns) {
        ac_timer_start(c->timer, c->next_ns - ac_now_ns(), 0);
        return;
    }
    c->over = true;
    maybe_over(c);
}

/* ---- the report ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double at(const struct client *c, double q)
{
    if (c->n_took == 0)
        return 0;
    size_t i = (size_t)(q * (double)c->n_took);
    return (double)c->took[AC_MIN(i, c->n_took - 1)] * 1e-6;
}

static void summarise(struct client *c)
{
    struct cli_load_report *r = c->r;
    if (c->n_took)
        qsort(c->took, c->n_took, sizeof(*c->took), by_value);
    r->seconds = (double)(c->end_ns - c->begin_ns) * 1e-9;
    r->goodput_rps = (double)r->ok / r->seconds;
    r->attainment = r->sent ? (double)r->ok / (double)r->sent : 0;
    r->p50_ms = at(c, 0.5);
    r->p90_ms = at(c, 0.9);
    r->p99_ms = at(c, 0.99);
    r->p999_ms = at(c, 0.999);
    r->max_ms = at(c, 1);
}

static void run(struct client *c)
{
    int64_t now = ac_now_ns();
    c->begin_ns = now + c->plan->warmup_ns;
    c->end_ns = c->begin_ns + c->plan->duration_ns;
    c->start_ns = now;
    c->next_ns = now + (c->plan->times_ns ? c->plan->times_ns[0] : 0);
    c->timer = ac_timer_create(c->loop, on_timer, c);
    if (!is_closed(c->plan))
        ac_timer_start(c->timer, 0, 0);
    else
        for (uint32_t i = 0; i < c->plan->outstanding; i++)
            ask(c, now);
    ac_loop_run(c->loop);
    ac_timer_destroy(c->timer);
    summarise(c);
}

int cli_load_run(const struct cli_load_plan *plan, struct cli_load_report *ret_r,
                 struct ac_err *err)
{
    struct cli_load_report report = {0};
    struct client c = {.plan = plan, .r = &report};
    AC_ASSERT(!is_closed(plan) ||
              (plan->outstanding > 0 && plan->outstanding <= CLI_LOAD_OPEN_MAX));
    ac_rng_seed(&c.rng, plan->seed);
    int rc = make_request(&c, err);
    if (rc == 0) {
        c.all = ac_xcalloc(CLI_LOAD_OPEN_MAX, sizeof(*c.all));
        for (size_t i = CLI_LOAD_OPEN_MAX; i-- > 0;) {
            c.all[i] = (struct asked){.c = &c, .next_free = c.free_list};
            c.free_list = &c.all[i];
        }
        c.loop = ac_loop_create();
        c.rpc = ac_rpc_create(c.loop, NULL);
        c.channel = ac_rpc_channel_create(c.rpc, plan->target, NULL);
        run(&c);
        ac_rpc_channel_destroy(c.channel);
        ac_rpc_destroy(c.rpc);
        ac_loop_destroy(c.loop);
        *ret_r = report;
    }
    free(c.all);
    free(c.took);
    ac_buf_fini(&c.body);
    return rc;
}

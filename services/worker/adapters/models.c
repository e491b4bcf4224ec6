/* The models that the worker knows: fetched, prepared, profiled, kept by content over the
 * controller's restarts, forgotten. Loop thread; the preparing itself has a thread of its own. */
#include "worker_service.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define AT_ONCE          2 /* models that are fetched or prepared at the same time */
#define FETCH_TIMEOUT_NS (600 * AC_NS_PER_S)

static void start_waiting(struct wk_service *s);

/* ---- telling the controller ---- */

static void tell_failed(struct wk_service *s, uint32_t number, const char *why)
{
    Aceso__V1__WorkerMessage m = ACESO__V1__WORKER_MESSAGE__INIT;
    Aceso__V1__ModelPrepared p = ACESO__V1__MODEL_PREPARED__INIT;
    union {
        const char *in;
        char *out;
    } text = {.in = why};
    m.body_case = ACESO__V1__WORKER_MESSAGE__BODY_PREPARED;
    m.prepared = &p;
    p.model = number;
    p.error = text.out;
    wk_link_send(s, &m);
}

static void tell(struct wk_slot *slot)
{
    struct wk_service *s = slot->s;
    if (slot->number == WK_NONE)
        return;
    if (slot->state == WK_SLOT_FAILED) {
        tell_failed(s, slot->number, slot->error);
        return;
    }
    Aceso__V1__WorkerMessage m = ACESO__V1__WORKER_MESSAGE__INIT;
    Aceso__V1__ModelPrepared p = ACESO__V1__MODEL_PREPARED__INIT;
    Aceso__V1__BatchCost costs[WK_BATCHES], *list[WK_BATCHES];
    m.body_case = ACESO__V1__WORKER_MESSAGE__BODY_PREPARED;
    m.prepared = &p;
    p.model = slot->number;
    p.weights_bytes = slot->model->info.weights_bytes;
    p.load_ns = slot->cost.load_ns;
    p.costs = list;
    for (uint32_t b = 0; b < WK_BATCHES; b++) {
        if (slot->cost.exec_ns[b] == 0)
            continue;
        aceso__v1__batch_cost__init(&costs[b]);
        costs[b].batch = wk_batch_size[b];
        costs[b].exec_ns = slot->cost.exec_ns[b];
        costs[b].p99_ns = slot->cost.p99_ns[b];
        costs[b].cold_ns = slot->cost.cold_ns[b];
        costs[b].cold_p99_ns = slot->cost.cold_p99_ns[b];
        list[p.n_costs++] = &costs[b];
    }
    wk_link_send(s, &m);
}

/* ---- slots ---- */

static void unbind(struct wk_slot *slot)
{
    if (slot->number != WK_NONE)
        slot->s->slot_of[slot->number] = WK_NONE;
    slot->number = WK_NONE;
}

static void bind_number(struct wk_slot *slot, uint32_t number)
{
    struct wk_service *s = slot->s;
    ac_grow(&s->slot_of, &s->cap_numbers, (size_t)number + 1, sizeof(uint32_t));
    while (s->n_numbers <= number)
        s->slot_of[s->n_numbers++] = WK_NONE;
    s->slot_of[number] = slot->slot;
    slot->number = number;
}

static void slot_free(struct wk_slot *slot)
{
    unbind(slot);
    ac_buf_fini(&slot->file);
    slot->state = WK_SLOT_FREE;
    slot->model = NULL;
    slot->forget = false;
}

static struct wk_slot *slot_new(struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->state == WK_SLOT_FREE)
            return s->slots[i];
    if (s->n_slots == WK_MODELS_MAX)
        return NULL;
    struct wk_slot *slot = ac_xcalloc(1, sizeof(*slot));
    slot->s = s;
    slot->slot = s->n_slots;
    slot->number = WK_NONE;
    s->slots[s->n_slots++] = slot;
    return slot;
}

const struct wk_slot *wk_models_find(const struct wk_service *s, uint32_t number)
{
    if (number >= s->n_numbers || s->slot_of[number] == WK_NONE)
        return NULL;
    const struct wk_slot *slot = s->slots[s->slot_of[number]];
    return slot->state == WK_SLOT_READY ? slot : NULL;
}

/* ---- leaving ---- */

static void left(void *arg)
{
    struct wk_job *job = arg;
    struct wk_slot *slot = job->self;
    struct wk_service *s = slot->s;
    if (job->outcome.status == WK_ST_DROPPED || s->stopping) {
        free(job);
        return;
    }
    if (!wk_lanes_model_clear(s->lanes, slot->slot)) {
        wk_lanes_submit(s->lanes, job); /* a load that waited has begun since */
        return;
    }
    s->executor->ops->forget(s->executor, slot->model);
    slot_free(slot);
    free(job);
}

/* Its weights go first, in order with the lane's other work. */
static void leave(struct wk_slot *slot)
{
    unbind(slot);
    slot->state = WK_SLOT_LEAVING;
    struct wk_job *job = ac_xcalloc(1, sizeof(*job));
    job->self = slot;
    job->done = left;
    job->action = (struct wk_action){
        .kind = WK_UNLOAD, .model = slot->slot, .earliest_ns = INT64_MIN, .latest_ns = INT64_MAX};
    wk_lanes_submit(slot->s->lanes, job);
}

/* ---- fetch, prepare, profile ---- */

static void settled(struct wk_slot *slot)
{
    struct wk_service *s = slot->s;
    s->n_preparing--;
    ac_buf_fini(&slot->file);
    tell(slot);
    if (slot->forget && slot->state == WK_SLOT_READY)
        leave(slot);
    else if (slot->state == WK_SLOT_FAILED && (slot->forget || slot->number == WK_NONE))
        slot_free(slot);
    slot->forget = false;
    start_waiting(s);
}

static void failed(struct wk_slot *slot, const struct ac_err *err)
{
    slot->state = WK_SLOT_FAILED;
    (void)ac_str_copy(slot->error, sizeof(slot->error), err->msg);
    AC_LOGW("models", "model_failed", AC_KS("model", slot->name), AC_KERR(err));
    settled(slot);
}

static void profiled(void *arg)
{
    struct wk_job *job = arg;
    struct wk_slot *slot = job->self;
    struct wk_service *s = slot->s;
    struct ac_err err = AC_ERR_INIT;
    if (s->stopping) {
        free(job);
        return;
    }
    if (job->outcome.status == 0) {
        slot->cost = job->cost;
        slot->state = WK_SLOT_READY;
        AC_LOGI("models", "model_ready", AC_KS("model", slot->name),
                AC_KI("exec_us", job->cost.exec_ns[0] / 1000),
                AC_KI("load_us", job->cost.load_ns / 1000));
        settled(slot);
    } else {
        (void)ac_err_set(&err, AC_EINTERNAL, "trial run: %s: %.200s",
                         wk_status_text(job->outcome.status), job->message);
        AC_ASSERT(wk_lanes_model_clear(s->lanes, slot->slot)); /* none but us knew of it */
        s->executor->ops->forget(s->executor, slot->model);
        slot->model = NULL;
        failed(slot, &err);
    }
    free(job);
}

struct preparing {
    struct wk_slot *slot;
    struct ac_err err;
    int rc;
};

static int check_digest(const struct wk_slot *slot, struct ac_err *err)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    AC_ASSERT(EVP_Digest(ac_buf_str(&slot->file), slot->file.len, md, &n, EVP_sha256(), NULL) == 1);
    for (unsigned int i = 0; i < n; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", md[i]);
    if (ac_streq(hex, slot->sha256))
        return 0;
    return ac_err_set(err, AC_EDATALOSS, "the bytes are not those that were announced");
}

/* The preparing thread: the slot's fields are its own until prepared() runs. */
static void prepare(void *arg)
{
    struct preparing *p = arg;
    struct wk_slot *slot = p->slot;
    struct wk_source src = {.name = slot->name,
                            .bytes = ac_buf_str(&slot->file),
                            .len = slot->file.len,
                            .max_batch = slot->max_batch};
    struct wk_executor *x = slot->s->executor;
    p->rc = check_digest(slot, &p->err);
    if (p->rc == 0)
        p->rc = x->ops->prepare(x, &src, &slot->model, &p->err);
}

static void prepared(void *arg)
{
    struct preparing *p = arg;
    struct wk_slot *slot = p->slot;
    struct wk_service *s = slot->s;
    if (s->stopping) {
        free(p);
        return;
    }
    if (p->rc) {
        failed(slot, &p->err);
        free(p);
        return;
    }
    free(p);
    if (slot->model->info.without_library[0])
        AC_LOGW("models", "without_library", AC_KS("model", slot->name),
                AC_KS("why", slot->model->info.without_library),
                AC_KS("effect", "the executor's own loops run it, several times slower"));
    slot->state = WK_SLOT_PROFILING;
    wk_lanes_model_set(s->lanes, slot->slot, slot->model);
    struct wk_job *job = ac_xcalloc(1, sizeof(*job));
    job->self = slot;
    job->done = profiled;
    job->action = (struct wk_action){
        .kind = WK_PROFILE, .model = slot->slot, .earliest_ns = INT64_MIN, .latest_ns = INT64_MAX};
    wk_lanes_submit(s->lanes, job);
}

static void on_piece(struct ac_rpc_stream *st, const void *msg, void *arg)
{
    const Aceso__V1__ModelPiece *p = msg;
    struct wk_slot *slot = arg;
    if (!ac_buf_append(&slot->file, p->data.data, p->data.len))
        ac_rpc_stream_cancel(st); /* more than was announced */
}

static void on_fetched(const struct ac_rpc_result *res, void *arg)
{
    struct wk_slot *slot = arg;
    struct wk_service *s = slot->s;
    struct ac_err err = AC_ERR_INIT;
    slot->fetch = NULL;
    if (s->stopping) {
        wk_link_stopped(s);
        return;
    }
    if (res->code == 0 && slot->file.len == slot->bytes && !slot->file.failed) {
        struct preparing *p = ac_xcalloc(1, sizeof(*p));
        p->slot = slot;
        slot->state = WK_SLOT_PREPARING;
        int rc = ac_worker_submit(s->preparing, prepare, prepared, p);
        if (rc == 0)
            return;
        free(p);
        (void)ac_err_set(&err, rc, "too many models are being prepared");
    } else if (res->code == 0 || slot->file.failed) {
        (void)ac_err_set(&err, AC_EDATALOSS, "%zu bytes came, %llu were announced", slot->file.len,
                         (unsigned long long)slot->bytes);
    } else {
        (void)ac_err_set(&err, res->code, "fetch: %.200s", res->message);
    }
    failed(slot, &err);
}

static void fetch(struct wk_slot *slot)
{
    struct wk_service *s = slot->s;
    struct ac_rpc_call_opts o = {.timeout_ns = FETCH_TIMEOUT_NS};
    Aceso__V1__FetchModelRequest req = ACESO__V1__FETCH_MODEL_REQUEST__INIT;
    slot->state = WK_SLOT_FETCHING;
    s->n_preparing++;
    ac_buf_init(&slot->file, slot->bytes);
    slot->fetch = ac_rpc_open(s->channel, "/aceso.v1.Serving/FetchModel",
                              &aceso__v1__model_piece__descriptor, &o, on_piece, on_fetched, slot);
    req.model = slot->number;
    req.sha256 = slot->sha256;
    if (ac_rpc_stream_send(slot->fetch, &req) != 0)
        ac_rpc_stream_cancel(slot->fetch);
    ac_rpc_stream_close_send(slot->fetch);
}

static void start_waiting(struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots && s->n_preparing < AT_ONCE; i++)
        if (s->slots[i]->state == WK_SLOT_WAITING)
            fetch(s->slots[i]);
}

/* ---- doors ---- */

static int check(const Aceso__V1__PrepareModel *p, struct ac_err *err)
{
    if (p->bytes == 0 || p->bytes > WK_MODEL_BYTES)
        return ac_err_set(err, AC_ERANGE, "%llu bytes; a model has 1 to %zu",
                          (unsigned long long)p->bytes, WK_MODEL_BYTES);
    if (strlen(p->sha256) != 64 || strspn(p->sha256, "0123456789abcdef") != 64)
        return ac_err_set(err, AC_EINVAL, "not a SHA-256 in hexadecimal digits");
    return 0;
}

/* What an earlier controller had prepared here is good for this one. */
static struct wk_slot *known(const struct wk_service *s, const Aceso__V1__PrepareModel *p)
{
    for (uint32_t i = 0; i < s->n_slots; i++) {
        struct wk_slot *slot = s->slots[i];
        bool there = slot->state == WK_SLOT_READY || slot->state == WK_SLOT_PREPARING ||
                     slot->state == WK_SLOT_PROFILING;
        if (there && !slot->forget && slot->number == WK_NONE && slot->max_batch == p->max_batch &&
            ac_streq(slot->sha256, p->sha256))
            return slot;
    }
    return NULL;
}

void wk_models_prepare(struct wk_service *s, const Aceso__V1__PrepareModel *p)
{
    struct ac_err err = AC_ERR_INIT;
    if (p->model >= WK_NUMBERS_MAX ||
        (p->model < s->n_numbers && s->slot_of[p->model] != WK_NONE)) {
        AC_LOGW("models", "bad_number", AC_KI("number", p->model));
        return;
    }
    if (check(p, &err) != 0) {
        tell_failed(s, p->model, err.msg);
        return;
    }
    struct wk_slot *slot = known(s, p);
    if (!slot) {
        slot = slot_new(s);
        if (!slot) {
            tell_failed(s, p->model, "the worker holds too many models already");
            return;
        }
        slot->state = WK_SLOT_WAITING;
        slot->bytes = p->bytes;
        slot->max_batch = p->max_batch;
        (void)ac_str_copy(slot->name, sizeof(slot->name), p->name);
        (void)ac_str_copy(slot->sha256, sizeof(slot->sha256), p->sha256);
    }
    bind_number(slot, p->model);
    if (slot->state == WK_SLOT_READY)
        tell(slot);
    start_waiting(s);
}

static void give_up(struct wk_slot *slot)
{
    switch (slot->state) {
    case WK_SLOT_FREE:
    case WK_SLOT_LEAVING:
        break;
    case WK_SLOT_WAITING:
    case WK_SLOT_FAILED:
        slot_free(slot);
        break;
    case WK_SLOT_FETCHING:
        slot->forget = true;
        ac_rpc_stream_cancel(slot->fetch);
        break;
    case WK_SLOT_PREPARING:
    case WK_SLOT_PROFILING:
        slot->forget = true;
        break;
    case WK_SLOT_READY:
        leave(slot);
        break;
    }
}

void wk_models_forget(struct wk_service *s, uint32_t number)
{
    if (number >= s->n_numbers || s->slot_of[number] == WK_NONE)
        return;
    struct wk_slot *slot = s->slots[s->slot_of[number]];
    unbind(slot);
    give_up(slot);
}

void wk_models_unname(struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots; i++) {
        struct wk_slot *slot = s->slots[i];
        unbind(slot);
        if (slot->state == WK_SLOT_WAITING || slot->state == WK_SLOT_FETCHING ||
            slot->state == WK_SLOT_FAILED)
            give_up(slot);
    }
}

void wk_models_sweep(struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->number == WK_NONE && s->slots[i]->state == WK_SLOT_READY)
            leave(s->slots[i]);
}

void wk_models_stop(struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->fetch)
            ac_rpc_stream_cancel(s->slots[i]->fetch);
}

bool wk_models_fetching(const struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->fetch)
            return true;
    return false;
}

/* The lanes stand still, the preparing thread is gone: models go without ceremony. */
void wk_models_free(struct wk_service *s)
{
    for (uint32_t i = 0; i < s->n_slots; i++) {
        struct wk_slot *slot = s->slots[i];
        if (slot->model)
            s->executor->ops->forget(s->executor, slot->model);
        ac_buf_fini(&slot->file);
        free(slot);
    }
    s->n_slots = 0;
    free(s->slot_of);
}

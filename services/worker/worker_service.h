/* The worker: what its files share. The loop thread owns the link to the controller and the table
 * of models; two lane threads run the engine's actions under one lock; models are prepared on a
 * thread of their own. */
#pragma once

#include "engine.h"

#include <aceso/svc.h>
#include <aceso/v1/serving.pb-c.h>

#define WK_MODELS_MAX    4096       /* prepared at once */
#define WK_NUMBERS_MAX   (1u << 20) /* the controller's numbers are below this */
#define WK_MODEL_BYTES   ((size_t)1 << 30)
#define WK_NONE          UINT32_MAX
#define WK_PROFILE_RUNS  64
#define WK_PROFILE_PAIRS 16
#define WK_PROFILE_NS    (30 * 1000000LL) /* for one batch size, once three runs are done */

struct wk_conf {
    char *controller_addr, *name, *executor, *kind;
    uint64_t memory_bytes, page_bytes, sim_load_rate;
    bool prefault;
    int64_t sim_base_ns, sim_row_ns;
};

/* What a profile found; 0: not compiled. */
struct wk_cost {
    int64_t load_ns, exec_ns[WK_BATCHES], p99_ns[WK_BATCHES];
    /* From a load's begin to the answer of an execution that began with it; 0: they do not overlap
     */
    int64_t cold_ns[WK_BATCHES], cold_p99_ns[WK_BATCHES];
};

/* One action with all it needs, in one allocation. Owned by the lanes from submit until done. */
struct wk_job {
    struct wk_action action; /* payload is the job */
    void (*done)(void *job); /* on the loop; frees it */
    void *self;
    uint64_t stream; /* of which stream: results of an earlier one have nobody to go to */
    int64_t received_ns;
    struct wk_outcome outcome;
    char message[256];
    struct wk_cost cost; /* PROFILE */
    uint32_t n_items;
    struct wk_item items[WK_MAX_BATCH];
};

/* adapters/profile.c */
/** Loads and runs the model, which is not resident, with every batch. The executing thread. */
int wk_profile(struct wk_executor *x, struct wk_model *m, struct wk_cost *ret_c,
               struct ac_err *err) AC_MUST_USE;
/** Loads the model, which is not resident, on a thread of its own, runs one item in the batch of
 * that index, beside the load or after it, and unloads. ret_ns: from the load's begin to the
 * answer. The executing thread; the executor has a gate. */
int wk_first_answer(struct wk_executor *x, struct wk_model *m, uint32_t b, struct wk_item *item,
                    bool beside, int64_t *ret_ns, struct ac_err *err) AC_MUST_USE;

/* adapters/lanes.c */
struct wk_lanes;
struct wk_lanes *wk_lanes_create(struct ac_loop *loop, struct wk_executor *x, uint32_t pages,
                                 uint32_t page_bytes);
/** Waits for what runs; jobs that were waiting are done with DROPPED. */
void wk_lanes_stop(struct wk_lanes *l);
void wk_lanes_destroy(struct wk_lanes *l);
/** A prepared model gets a slot, which must be free. */
void wk_lanes_model_set(struct wk_lanes *l, uint32_t slot, struct wk_model *m);
/** The slot is free again; what waits for its model is refused. False: its weights are or come
 * there, or are in use; they must be unloaded (again). */
bool wk_lanes_model_clear(struct wk_lanes *l, uint32_t slot);
void wk_lanes_submit(struct wk_lanes *l, struct wk_job *job);
/** The controller is gone. */
void wk_lanes_reset(struct wk_lanes *l);
uint32_t wk_lanes_pages_free(struct wk_lanes *l);

enum wk_slot_state {
    WK_SLOT_FREE,
    WK_SLOT_WAITING, /* for its turn to be fetched */
    WK_SLOT_FETCHING,
    WK_SLOT_PREPARING,
    WK_SLOT_PROFILING,
    WK_SLOT_READY,
    WK_SLOT_FAILED,
    WK_SLOT_LEAVING
};

struct wk_slot {
    struct wk_service *s;
    uint32_t slot, number; /* the controller's number; WK_NONE: it has not named it */
    enum wk_slot_state state;
    bool forget; /* as soon as it is prepared */
    char name[WK_NAME_MAX], sha256[65], error[AC_ERR_MSG_MAX];
    uint32_t max_batch;
    uint64_t bytes;
    struct ac_buf file; /* while it is fetched and prepared */
    struct ac_rpc_stream *fetch;
    struct wk_model *model;
    struct wk_cost cost;
};

struct wk_service {
    struct ac_svc *svc;
    const struct wk_conf *conf;
    struct wk_executor *executor;
    struct wk_memory *memory; /* of the cpu executor, as is the next */
    struct wk_kernels *kernels;
    struct wk_lanes *lanes;
    struct ac_worker *preparing; /* one thread */
    char name[WK_NAME_MAX], instance[40];

    struct ac_rpc_channel *channel;
    struct ac_rpc_stream *stream; /* NULL between attempts */
    uint64_t stream_id;
    bool welcome, stopping;
    char last_error[256]; /* so that the same trouble is told once */
    int64_t lease_ns, heard_ns, backoff_ns, welcome_ns;
    struct ac_timer *retry, *lease;

    struct wk_slot *slots[WK_MODELS_MAX];
    uint32_t n_slots, n_preparing; /* preparing: fetched, prepared or profiled */
    uint32_t *slot_of;             /* by number */
    size_t n_numbers, cap_numbers;

    struct ac_bus *bus; /* NULL without NATS */
    struct ac_timer *heartbeat;
    struct ac_metric *n_done[4], *n_late[4], *n_failed[4], *exec_seconds;
};

/* adapters/link.c */
void wk_link_start(struct wk_service *s);
void wk_link_stop(struct wk_service *s);
/** Says that the service has stopped once no call is open any more. */
void wk_link_stopped(struct wk_service *s);
void wk_link_send(struct wk_service *s, const Aceso__V1__WorkerMessage *m);

/* adapters/models.c */
void wk_models_prepare(struct wk_service *s, const Aceso__V1__PrepareModel *p);
void wk_models_forget(struct wk_service *s, uint32_t number);
/** Of a prepared model; NULL when there is none of that number. */
const struct wk_slot *wk_models_find(const struct wk_service *s, uint32_t number);
/** Forgets what the controller has not named since it is back. */
void wk_models_sweep(struct wk_service *s);
/** The stream has ended: numbers mean nothing any more, fetches are over. */
void wk_models_unname(struct wk_service *s);
void wk_models_stop(struct wk_service *s);
bool wk_models_fetching(const struct wk_service *s);
void wk_models_free(struct wk_service *s);

/* adapters/actions.c */
void wk_action_take(struct wk_service *s, const Aceso__V1__Action *a);

/* adapters/presence.c: aceso.workers.<name> */
int wk_presence_start(struct wk_service *s, struct ac_err *err) AC_MUST_USE;
void wk_presence_tell(struct wk_service *s);
void wk_presence_free(struct wk_service *s);

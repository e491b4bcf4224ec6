/* What a scheduling policy is: plain structs in, actions and replies out through ports. The
 * controller drives one on real time, the simulator on the virtual clock. No thread, no I/O; the
 * caller passes the time in, never backwards. Ports must not call back into the policy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <aceso/err.h>

#define POLICY_BATCHES    5 /* compiled batch sizes 1, 2, 4, 8, 16 */
#define POLICY_MAX_BATCH  16
#define POLICY_NEVER      INT64_MAX
#define POLICY_KINDS      8 /* of devices: one kind has one cost for each model, but for noise */
#define POLICY_TENANTS    32
#define POLICY_PRIORITIES 8

extern const uint32_t policy_batch_size[POLICY_BATCHES];

/** What one model costs on a device. exec_ns of a batch size that is not compiled is 0. */
struct policy_cost {
    uint32_t pages;
    int64_t load_ns;
    int64_t exec_ns[POLICY_BATCHES];
    /* From the end of the load to that of an execution which began while it was under way and had
     * to wait for its last weights; 0: executions begin when the load has ended. */
    int64_t tail_ns[POLICY_BATCHES];
    /* For one row's input to come over the link, which no load uses at the time: ahead of the
     * execution and beside the one before; 0: it is there with the action. */
    int64_t input_ns;
};

struct policy_request {
    uint64_t cookie; /* the caller's; comes back in the reply and in INFER */
    uint32_t model;
    uint32_t rows;       /* 1 to POLICY_MAX_BATCH: places it takes in a batch */
    int64_t deadline_ns; /* when the answer must be with the caller */
    uint8_t tenant;      /* below POLICY_TENANTS: whose share of device time it is served from */
    uint8_t priority;    /* below POLICY_PRIORITIES: lower ones of the same tenant are shed first */
};

enum policy_action_kind {
    POLICY_LOAD = 1,
    POLICY_UNLOAD,
    POLICY_INFER
};

struct policy_action {
    uint64_t id;
    enum policy_action_kind kind;
    uint32_t device, model;
    int64_t earliest_ns, latest_ns, expected_ns; /* window in which it may start */
    uint32_t batch, n;                           /* INFER: compiled size and number of requests */
    const uint64_t *cookies;                     /* n of them; valid during the call */
};

enum policy_status {
    POLICY_DONE,
    POLICY_TOO_LATE,
    POLICY_FAILED
};

struct policy_result {
    uint64_t id;
    enum policy_status status;
    int64_t begin_ns, end_ns; /* on the controller's clock */
};

/* X(enum, text for people) */
#define POLICY_OUTCOMES(X)                                                                         \
    X(ON_TIME, "on time")                                                                          \
    X(LATE, "finished after its deadline")                                                         \
    X(REFUSED, "cannot finish before its deadline")                                                \
    X(EXPIRED, "waited too long in the queue")                                                     \
    X(NO_DEVICE, "no worker holds or can load the model")                                          \
    X(FULL, "too many requests are waiting")                                                       \
    X(ERROR, "execution failed")                                                                   \
    X(SHARE, "its tenant has had its share of device time")                                        \
    X(YIELDED, "requests of higher priority came first")

enum policy_outcome {
#define X(name, text) POLICY_##name,
    POLICY_OUTCOMES(X)
#undef X
    POLICY_OUTCOME_END
};
const char *policy_outcome_text(enum policy_outcome o);

struct policy_reply {
    uint64_t cookie;
    enum policy_outcome outcome;
    bool cold;            /* the model was on no device when the request came */
    int64_t predicted_ns; /* refusals: earliest finish that the plan sees; 0 when it sees none */
    uint64_t action;      /* ON_TIME, LATE, ERROR: the INFER that carried it */
    uint32_t slot;        /* and its place among that action's requests */
};

struct policy_ports {
    void *self;
    void (*act)(void *self, const struct policy_action *a);
    void (*reply)(void *self, const struct policy_reply *r);
};

struct policy_ops {
    const char *name;
    void *(*create)(const void *config, const struct policy_ports *ports);
    void (*destroy)(void *p);
    /** Devices and models get the numbers 0, 1, 2, ... in the order they are added. */
    uint32_t (*device_add)(void *p);
    uint32_t (*model_add)(void *p);
    /** Before device_up: the device is of this kind, below POLICY_KINDS; 0 without this call. What
     * model_able then says of it holds for its kind. NULL where a policy knows no kinds. */
    void (*device_kind)(void *p, uint32_t device, uint32_t kind);
    void (*device_up)(void *p, int64_t now, uint32_t device, uint32_t pages);
    void (*device_down)(void *p, int64_t now, uint32_t device);
    /** The device can load and run the model from now on, at this cost. */
    void (*model_able)(void *p, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost);
    void (*arrive)(void *p, int64_t now, const struct policy_request *r);
    void (*result)(void *p, int64_t now, const struct policy_result *r);
    /** Calls wake at or after this time; POLICY_NEVER when nothing is due. */
    int64_t (*next_wake)(void *p);
    void (*wake)(void *p, int64_t now);
};

extern const struct policy_ops policy_aceso;
extern const struct policy_ops policy_fifo, policy_clipper, policy_triton, policy_nexus;
extern const struct policy_ops policy_clockwork, policy_clockwork_10, policy_clockwork_fixed;

#define POLICY_COUNT 8
extern const struct policy_ops *const policy_all[POLICY_COUNT];
/** NULL when there is none of that name. */
const struct policy_ops *policy_find(const char *name);

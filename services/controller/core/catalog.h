/* The models that the controller knows: what a scan of the repository found, merged into what was
 * there. A model is one version of one name; its content never changes: other bytes are another
 * model. Pure; one thread. */
#pragma once

#include "infer.h"

#define CTL_NAME_MAX    128
#define CTL_VERSION_MAX 20
#define CTL_NO_NUMBER   UINT32_MAX

/* One version directory, as a scan saw it. error empty: info describes the model. */
struct ctl_found {
    char name[CTL_NAME_MAX], version[CTL_VERSION_MAX], sha256[65];
    char *path;
    uint64_t bytes;
    uint32_t max_rows;
    struct wk_model_info info;
    char error[AC_ERR_MSG_MAX];
};

struct ctl_duration {
    uint64_t count, ns;
};
struct ctl_batch_stats {
    uint64_t count, input_ns, exec_ns, output_ns;
};
struct ctl_model_stats {
    uint64_t requests, outcomes[POLICY_OUTCOME_END], cold_starts, rows, executions;
    uint64_t queue_ns, input_ns, exec_ns, output_ns; /* of answered requests */
    struct ctl_duration success, fail;               /* whole time in the controller */
    int64_t last_wall_ns;
    struct ctl_batch_stats batches[POLICY_BATCHES];
};

struct ctl_model {
    struct ctl_found what;
    uint32_t number;             /* the scheduler's; CTL_NO_NUMBER when it cannot be served */
    uint64_t able, failed;       /* by device: prepared there, could not be prepared there */
    char reason[AC_ERR_MSG_MAX]; /* of the last failure on a device */
    bool retired, seen;
    uint64_t weights_bytes; /* as a worker has it */
    struct ctl_model_stats stats;
    void *metrics; /* the adapter's; from malloc, freed with the model */
};

enum ctl_model_state {
    CTL_MODEL_LOADING, /* no worker has prepared it yet */
    CTL_MODEL_READY,
    CTL_MODEL_UNAVAILABLE
};

struct ctl_catalog;
struct ctl_catalog_ports {
    void *self;
    uint32_t (*add)(void *self, struct ctl_model *m); /* returns the number */
    void (*retire)(void *self, struct ctl_model *m);
};

struct ctl_catalog *ctl_catalog_create(const struct ctl_catalog_ports *ports);
void ctl_catalog_destroy(struct ctl_catalog *c);
/** Takes over what found[0..n) owns. Models that are gone or changed are retired, new ones added.
 */
void ctl_catalog_merge(struct ctl_catalog *c, struct ctl_found *found, size_t n);
void ctl_found_fini(struct ctl_found *f);

/** version "" or NULL: the highest one, preferring those that can be served. NULL when unknown. */
struct ctl_model *ctl_catalog_find(const struct ctl_catalog *c, const char *name,
                                   const char *version);
struct ctl_model *ctl_catalog_by_number(const struct ctl_catalog *c, uint32_t number);
uint32_t ctl_catalog_numbers(const struct ctl_catalog *c); /* all numbers are below this */
/** The k-th model that is not retired, in order of name and version; NULL at the end. */
struct ctl_model *ctl_catalog_at(const struct ctl_catalog *c, size_t k);
/** up: the devices that are connected. */
enum ctl_model_state ctl_model_state(const struct ctl_model *m, uint64_t up);
const char *ctl_model_state_name(enum ctl_model_state s);
const char *ctl_model_reason(const struct ctl_model *m, uint64_t up);
bool ctl_name_ok(const char *name);       /* letters, digits, ._- ; no leading dot */
bool ctl_version_ok(const char *version); /* a number without leading zeros */

/** max_batch_size of a config.pbtxt; -1 when it does not say. AC_EINVAL with the line otherwise. */
int ctl_config_max_batch(const char *text, int *ret_max_batch, struct ac_err *err) AC_MUST_USE;

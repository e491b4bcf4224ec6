/* Options of aceso-cluster; the table is config.def. */
#pragma once

#include <stdint.h>

#include <aceso/conf.h>

struct cluster_conf {
    char *api_listen, *kubeconfig, *images, *collector_addr, *pod_user;
    int64_t metrics_ns, backoff_ns, backoff_max_ns, max_pods;
    uint64_t log_bytes;
};

extern const struct ac_conf_opt cluster_opts[];
extern const size_t cluster_n_opts;

/* The lab's own options. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/conf.h>

struct lab_conf {
    char *kubeconfig;
    char *collector_addr, *trainer_addr, *detector_addr, *responder_addr, *controller_addr;
    char *problems_dir, *apps_dir;
    char *otlp_endpoint; /* what the application's pods export to; empty = collector_addr */
    int64_t max_sessions;
    int64_t baseline_ns, gate_ns, agent_ns, hold_ns, revert_ns, setup_ns;
    double load_rate;
};

extern const struct ac_conf_opt lab_opts[];
extern const size_t lab_n_opts;

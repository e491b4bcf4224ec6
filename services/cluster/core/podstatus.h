/* Status of a pod from the states of its containers, and restart back-off. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum cl_cstate {
    CL_C_WAITING,
    CL_C_RUNNING,
    CL_C_TERMINATED
};

struct cl_cterm {
    int exit_code, signal;
    int64_t started_ns, finished_ns; /* wall */
    char reason[32];                 /* Completed, Error, OOMKilled, ContainerStatusUnknown */
};

struct cl_container_state {
    const char *name, *image;
    enum cl_cstate state;
    char reason[40], message[256]; /* WAITING */
    int64_t started_ns;            /* RUNNING */
    struct cl_cterm term;          /* TERMINATED */
    bool has_last;
    struct cl_cterm last;
    int64_t restarts;
    bool ready, started;
    char id[80];
};

struct cl_pod_states {
    const struct cl_container_state *init, *main;
    size_t n_init, n_main;
    const char *pod_ip, *host_ip;
    int64_t now_ns;
};

/** New status; conditions keep their transition times from the pod's present status. */
json_t *cl_pod_status(const json_t *pod, const struct cl_pod_states *st);

/** Delay before restart number n (from 0): 0, base, 2 base, ... up to cap. */
int64_t cl_backoff_ns(int64_t n, int64_t base_ns, int64_t cap_ns);
/** Whether a container that ended is started again. */
bool cl_restarts(const char *restart_policy, int exit_code);

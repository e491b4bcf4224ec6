/* A hotel application as telemetry: 8 services and their stores at one sample a second, healthy for
 * a while, then with one fault. Deterministic. */
#pragma once

#include "rca_engine.h"

enum hotel_fault {
    HOTEL_HEALTHY,
    HOTEL_POD_FAILURE,     /* the user pod is gone: no telemetry, callers fail */
    HOTEL_NETWORK_INBOUND, /* 10 s towards the user pod: it sees no live request any more */
    HOTEL_NETWORK_DELAY,   /* 10 s on all traffic of the user pod, callers give up after 2 s */
    HOTEL_REVOKED,         /* geo's queries of mongodb-geo are refused */
    HOTEL_REVOKED_COLD,    /* the same, and the geo pod is replaced in its first seconds */
    HOTEL_CPU,             /* rate burns processor and is slow */
};

struct hotel_opts {
    enum hotel_fault fault;
    int healthy_s, faulty_s;
    bool no_events;
    uint64_t seed;
};

#define HOTEL_T0_S 1700000000LL

struct ac_rca_case *hotel_case(const struct hotel_opts *o);
int64_t hotel_fault_ns(const struct hotel_opts *o);

/* Costs of three models with the numbers of the published table, for tests on the virtual clock. */
#pragma once

#include "sim.h"

#include <string.h>

#include <aceso/base.h>

static const char table[] =
    "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\n"
    "resnet50_v2,602,4,102.2,8.32,2.73,4.05,5.87,9.93,17.30\n"
    "resnet18_v2,602,4,46.7,3.81,1.32,1.81,2.48,4.42,7.12\n"
    "densenet121,602,4,32,3,3.8,5,7,10,18\n";

static struct costs costs;

static int setup(void **state)
{
    (void)state;
    return serving_costs_parse(table, strlen(table), &costs, NULL);
}

static int teardown(void **state)
{
    (void)state;
    serving_costs_free(&costs);
    return 0;
}

/** 20 s of the workload. */
static inline struct sim_stats bed_run(const char *name, int64_t objective_ns, struct sim_config c)
{
    struct workload w;
    struct sim_stats st;
    AC_ASSERT(serving_workload_named(name, &costs, objective_ns, 0, c.seed, &w, NULL) == 0);
    w.duration_ns = 20 * AC_NS_PER_S;
    c.costs = &costs;
    c.workload = &w;
    AC_ASSERT(serving_sim_run(&c, &st, NULL) == 0);
    serving_workload_free(&w);
    return st;
}

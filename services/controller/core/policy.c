/* The policies by name, and the scheduler behind the policy interface. */
#include "policy.h"

#include "sched.h"

#include <aceso/str.h>

static void *create(const void *config, const struct policy_ports *ports)
{
    return sched_create(config, ports);
}
static void destroy(void *p)
{
    sched_destroy(p);
}
static uint32_t device_add(void *p)
{
    return sched_device_add(p);
}
static uint32_t model_add(void *p)
{
    return sched_model_add(p);
}
static void device_kind(void *p, uint32_t device, uint32_t kind)
{
    sched_device_kind(p, device, kind);
}
static void device_up(void *p, int64_t now, uint32_t device, uint32_t pages)
{
    sched_device_up(p, now, device, pages);
}
static void device_down(void *p, int64_t now, uint32_t device)
{
    sched_device_down(p, now, device);
}
static void model_able(void *p, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost)
{
    sched_model_able(p, now, model, device, cost);
}
static void arrive(void *p, int64_t now, const struct policy_request *r)
{
    sched_arrive(p, now, r);
}
static void result(void *p, int64_t now, const struct policy_result *r)
{
    sched_result(p, now, r);
}
static int64_t next_wake(void *p)
{
    return sched_next_wake(p);
}
static void wake(void *p, int64_t now)
{
    sched_wake(p, now);
}

const struct policy_ops policy_aceso = {
    .name = "aceso",
    .create = create,
    .destroy = destroy,
    .device_add = device_add,
    .model_add = model_add,
    .device_kind = device_kind,
    .device_up = device_up,
    .device_down = device_down,
    .model_able = model_able,
    .arrive = arrive,
    .result = result,
    .next_wake = next_wake,
    .wake = wake,
};

const struct policy_ops *const policy_all[POLICY_COUNT] = {
    &policy_aceso, &policy_clockwork, &policy_clockwork_10, &policy_clockwork_fixed,
    &policy_fifo,  &policy_clipper,   &policy_triton,       &policy_nexus};

const struct policy_ops *policy_find(const char *name)
{
    for (unsigned i = 0; i < POLICY_COUNT; i++)
        if (ac_streq(policy_all[i]->name, name))
            return policy_all[i];
    return NULL;
}

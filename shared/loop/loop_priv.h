/* What the files of this module share. Owned by loop.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <uv.h>

#include <aceso/list.h>
#include <aceso/loop.h>

struct timers {
    struct ac_timer **heap; /* by deadline, then by order of starting */
    size_t n, cap;
    uint64_t seq;
    int64_t armed_ns; /* what the timerfd is set to; 0 = nothing */
    int fd;
    uv_poll_t poll;
    struct ac_list all; /* every timer that is not destroyed */
};

/* All fields belong to the loop thread but posts (under lock) and the atomics. */
struct ac_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    struct timers timers;
    struct ac_list signals;

    pthread_mutex_t lock;
    struct ac_list posts;
    bool closed;

    _Atomic bool ran, stop;
    pthread_t owner; /* set once ran */

    int64_t mark_ns, lag_ns; /* of the last pass through prepare */
    uint64_t mark_idle;
};

void ac_timers_init_(struct ac_loop *l);
void ac_timers_close_(struct ac_loop *l); /* before the handles are walked */
void ac_timers_free_(struct ac_loop *l);  /* after they are closed */

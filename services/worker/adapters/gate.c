/* Sleeping on a number that another thread changes: futexes. */
#include "gate.h"

#include <limits.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/futex.h>

/* Returns as soon as the number is another, is woken, or a signal comes: the caller looks again. */
static void gate_wait(void *self, const _Atomic int32_t *at, int32_t seen)
{
    (void)self;
    (void)syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void gate_wake(void *self, const _Atomic int32_t *at)
{
    (void)self;
    (void)syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

const struct wk_gate wk_gate_futex = {.wait = gate_wait, .wake = gate_wake};

/* The gate of executors on this machine: see executor.h. */
#pragma once

#include "executor.h"

extern const struct wk_gate wk_gate_futex;

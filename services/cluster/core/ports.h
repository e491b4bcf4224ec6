/* What the core needs from outside: wall time and randomness. Tests pass fixed ones. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cl_ports {
    void *self;
    int64_t (*wall_ns)(void *self); /* Unix ns */
    void (*random)(void *self, void *p, size_t n);
};

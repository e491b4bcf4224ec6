/* The supervisor process of one instance. */
#pragma once

#include "layout.h"

/** Runs until SIGTERM or SIGINT. Exit code. */
int cli_supervise(struct cli_layout *l);

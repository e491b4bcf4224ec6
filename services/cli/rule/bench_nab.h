/* aceso train bench --dataset nab: a streaming rule by the Numenta Anomaly Benchmark's score. */
#pragma once

#include "verbs.h"

/** rule_path: a rule with a let named score; NULL: the one for series that nobody has looked at. */
int bench_nab(const char *dir, const char *rule_path, const struct cli_ctx *ctx);

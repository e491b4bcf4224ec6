/* Latency histogram with bounded relative error: 32 cells an octave (error below 2.2 %), from 1 us
 * to 20 minutes; what lies outside counts in the first or last cell. Fixed size, no allocation. */
#pragma once

#include <stdint.h>

#define APP_HIST_SUB     32
#define APP_HIST_OCTAVES 31
#define APP_HIST_CELLS   (APP_HIST_OCTAVES * APP_HIST_SUB)

struct app_hist {
    uint64_t count;
    double sum_ns;
    int64_t max_ns;
    uint32_t cells[APP_HIST_CELLS];
};

void app_hist_reset(struct app_hist *h);
void app_hist_add(struct app_hist *h, int64_t ns);
void app_hist_merge(struct app_hist *dst, const struct app_hist *src);
double app_hist_mean_ns(const struct app_hist *h); /* 0 when empty */
/** q in [0, 1]: the middle of the cell in which the quantile lies, never above the maximum; 0 when
 * empty. */
double app_hist_quantile_ns(const struct app_hist *h, double q);

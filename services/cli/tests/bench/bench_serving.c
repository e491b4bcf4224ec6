/* ModelInfer a second through controller and worker as processes, with a model that takes under a
 * microsecond, so that all of it is the way there and back. Beside it, in the same run and by the
 * same client, what the way to the controller's loop alone costs: ServerLive. */
#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#include "serving/load_client.h"
#include "serving/serving_run.h"

#define ROUND_NS (2 * AC_NS_PER_S)

static int round_of(const struct cli_serving *s, const char *model, uint32_t outstanding,
                    double rate)
{
    struct cli_load_plan plan = {.target = s->address,
                                 .model = model,
                                 .rate = rate,
                                 .outstanding = outstanding,
                                 .rows = 1,
                                 .slo_ns = model ? AC_NS_PER_S : 0,
                                 .duration_ns = ROUND_NS,
                                 .warmup_ns = AC_NS_PER_S / 2,
                                 .seed = 1};
    struct cli_load_report r;
    struct ac_err err = AC_ERR_INIT;
    if (cli_load_run(&plan, &r, &err) != 0) {
        fprintf(stderr, "bench_serving: %s\n", err.msg);
        return 1;
    }
    char how[32];
    if (rate > 0)
        snprintf(how, sizeof(how), "open, %.0f/s", rate);
    else
        snprintf(how, sizeof(how), "%u outstanding", outstanding);
    printf("%-11s %-16s %8.0f/s  p50 %7.3f ms  p99 %7.3f ms  p99.9 %7.3f ms  %llu not answered\n",
           model ? "ModelInfer" : "ServerLive", how, r.goodput_rps, r.p50_ms, r.p99_ms, r.p999_ms,
           (unsigned long long)(r.rejected + r.failed));
    return 0;
}

int main(void)
{
    struct cli_serving s;
    struct cli_serving_opts o = {.executors = {"cpu"}, .n_workers = 1, .quiet = true};
    struct ac_err err = AC_ERR_INIT;
    if (cli_serving_start(&s, &o, &err) != 0) {
        fprintf(stderr, "bench_serving: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    static const uint32_t outstanding[] = {1, 16, 64};
    int bad = 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(outstanding); i++) {
        bad |= round_of(&s, NULL, outstanding[i], 0);
        bad |= round_of(&s, "hotel_recommend", outstanding[i], 0);
    }
    bad |= round_of(&s, "hotel_recommend", 0, 1000);
    cli_serving_stop(&s);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

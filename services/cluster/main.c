/* aceso-cluster: an embedded, Kubernetes-API-compatible cluster for one machine. */
#include "config.h"

#include <string.h>

#include "adapters/runtime.h"
#include "adapters/wiring.h"

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "guard") == 0)
        return runtime_guard(argv[2]);
    struct cluster_conf conf = {0};
    const struct ac_svc_spec spec = {
        .name = "cluster",
        .summary = "an embedded Kubernetes-API-compatible cluster for one machine",
        .opts = cluster_opts,
        .n_opts = cluster_n_opts,
        .conf = &conf,
        .start = cluster_start,
        .ready = cluster_ready,
        .stop = cluster_stop,
        .fini = cluster_fini,
    };
    return ac_svc_main(&spec, argc, argv);
}

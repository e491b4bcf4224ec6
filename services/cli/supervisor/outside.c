#include "outside.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include <aceso/base.h>
#include <aceso/bus.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define NATS_PATIENCE_NS (5 * AC_NS_PER_S)

static int check_pg(const char *url, struct ac_err *err)
{
    const char *keys[] = {"dbname", "connect_timeout", NULL};
    const char *values[] = {url, "5", NULL};
    PGconn *c = PQconnectdbParams(keys, values, 1);
    int rc = 0;
    if (PQstatus(c) != CONNECTION_OK) {
        const char *why = PQerrorMessage(c);
        rc = ac_err_set(err, AC_ENET, "ACESO_PG_URL: %.*s: start it, or mend the URL",
                        (int)AC_MIN(strcspn(why, "\n"), (size_t)180), why);
    }
    PQfinish(c);
    return rc;
}

static int check_nats(const char *url, struct ac_err *err)
{
    struct ac_loop *loop = ac_loop_create();
    struct ac_bus *bus = NULL;
    const char *creds = getenv("ACESO_NATS_CREDS");
    const struct ac_bus_opts o = {.url = url,
                                  .creds = ac_str_empty(creds) ? NULL : creds,
                                  .name = "aceso",
                                  .connect_timeout_ns = NATS_PATIENCE_NS};
    int rc = ac_bus_connect(loop, NULL, &o, &bus, err);
    if (rc == 0)
        ac_bus_close(bus);
    ac_loop_destroy(loop);
    return rc < 0 ? ac_err_wrap(err, "ACESO_NATS_URL") : 0;
}

int cli_outside_check(const char *pg_url, const char *nats_url, struct ac_err *err)
{
    int rc = pg_url ? check_pg(pg_url, err) : 0;
    /* For tls:// the services have certificates of their own. */
    return rc == 0 && nats_url && ac_str_starts(nats_url, "nats://") ? check_nats(nats_url, err)
                                                                     : rc;
}

/* The streams of the bus: one place, so that every service makes them alike. */
#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/svc.h>

int ac_svc_ensure_streams(struct ac_bus *b, struct ac_err *err)
{
    static const char *const telemetry[] = {"aceso.telemetry.>", NULL};
    static const char *const alerts[] = {"aceso.alerts.>", AC_SUBJECT_RULES, NULL};
    static const char *const incidents[] = {"aceso.incidents.>", "aceso.diagnoses.>", NULL};
    static const char *const lab[] = {"aceso.lab.>", "aceso.cluster.events.>", NULL};
    static const int64_t hour = 3600 * AC_NS_PER_S;
    const struct ac_bus_stream streams[] = {
        /* what a detector that was away has to catch up with; older telemetry is in PostgreSQL */
        {.name = AC_STREAM_TELEMETRY, .subjects = telemetry, .max_age_ns = 6 * hour},
        {.name = AC_STREAM_ALERTS, .subjects = alerts, .max_age_ns = hour * 24 * 7},
        {.name = AC_STREAM_INCIDENTS, .subjects = incidents, .max_age_ns = hour * 24 * 7},
        {.name = AC_STREAM_LAB, .subjects = lab, .max_age_ns = hour * 24 * 7},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(streams); i++)
        if (ac_bus_ensure_stream(b, &streams[i], err) < 0)
            return ac_err_wrap(err, "stream %s", streams[i].name);
    return AC_OK;
}

/* Messages of the bus to the core's structs and back. No decisions beyond limits and form. */
#pragma once

#include "engine.h"
#include "outbox.h"

#include <aceso/arena.h>
#include <aceso/err.h>
#include <aceso/v1/detector.pb-c.h>
#include <aceso/v1/telemetry.pb-c.h>

/** A namespace names a subject of the bus: letters, digits, '-' and '_', at most 128. */
bool det_namespace_ok(const char *ns);
/** Unpacks and checks the batch as a whole. */
int det_batch_from_pb(const void *data, size_t len, struct ac_arena *a,
                      Aceso__V1__MetricBatch **ret, struct ac_err *err) AC_MUST_USE;
/** One series of a batch; labels in order of their keys. False when it is not well-formed. */
bool det_series_from_pb(const Aceso__V1__MetricBatch *b, const Aceso__V1__SeriesPoints *p,
                        struct ac_label labels[ENGINE_LABELS_MAX], struct engine_series *ret);
/** The packed message of an alert, ready for the outbox. Caller frees with outbox_item_free. */
struct outbox_item *det_alert_to_item(const struct engine_alert *a, const char *tenant,
                                      const char *source, int64_t now_ns);

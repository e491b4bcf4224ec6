/* Log lines and spans from text: CSV, a JSON object a line, OTLP's JSON; and from the files of a
 * case. Messages name file, row and column. */
#pragma once

#include "rca_lines.h"
#include "rca_spans.h"

/** CSV with a header, columns in any order and of any case, quoted cells with line breaks; others
 * are ignored.
 * time: TimeUnixNano, timestamp or time (the first of these that is there; forms of ac_csv_time);
 * component: component, service(_name), PodName (its service), container_name or container;
 * text: message, msg, log, body or text (JSON in it is looked into);
 * optional: severity or level; peer; error (not empty: the line is an error, this its text). */
int rca_logs_csv(const char *name, const char *text, size_t len, struct ac_rca_lines *l,
                 struct ac_err *err) AC_MUST_USE;

/** CSV with a header. traceID; spanID; parentSpanID or ParentID; component: serviceName, component
 * or PodName (its service); start: StartTimeUnixNano, startTime or startTimeMillis; end:
 * EndTimeUnixNano or endTime, else duration (microseconds; duration_ms and duration_ns say so);
 * optional: operationName or name; statusCode or status; kind; peer. Words may be parted by _. */
int rca_spans_csv(const char *name, const char *text, size_t len, struct ac_rca_spans *s,
                  struct ac_err *err) AC_MUST_USE;

/** JSON: requests of OTLP (resourceSpans, resourceLogs), one, or one a line; or log lines, an
 * object each with the keys of the columns above. What is of the other sort is passed over. Either
 * of l and s may be NULL. */
int rca_records_json(const char *name, const char *text, size_t len, struct ac_rca_lines *l,
                     struct ac_rca_spans *s, struct ac_err *err) AC_MUST_USE;

/** Calls between components into a case, from whatever says so: `caller,callee[,evidence]` rows, an
 * adjacency matrix, or traces in one of the forms above. AC_EINVAL. */
int rca_calls_load(const char *path, struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

/** Logs and spans that lie in a folder, into the case whose measurements and calls it already has:
 * logs.csv, logs.json(l), traces.csv, traces.json(l), each perhaps with .gz behind; and, for
 * Nezha, log/<minute>_log.csv and trace/<minute>_trace.csv. None: nothing is added. */
int rca_records_load(const char *dir, struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

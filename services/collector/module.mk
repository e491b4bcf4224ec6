# OTLP in, JetStream and PostgreSQL out, telemetry queries.
collector_LIBS :=
$(call service,collector)

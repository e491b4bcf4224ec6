# Rule training: jobs over telemetry, the embedded synthesiser, the store of rules.
trainer_LIBS :=
$(call service,trainer)

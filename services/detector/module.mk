# Follows the telemetry stream with the rules and raises alerts.
detector_LIBS :=
$(call service,detector)

# The benchmark orchestrator.
lab_LIBS :=
$(call service,lab)

rca_LIBS :=
$(call service,rca)

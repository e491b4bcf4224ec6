responder_LIBS :=
$(call service,responder)

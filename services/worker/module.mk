$(call service,worker)

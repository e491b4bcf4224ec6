$(call service,controller)

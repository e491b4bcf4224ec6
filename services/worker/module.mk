worker_LIBS := -ldnnl
$(call service,worker)

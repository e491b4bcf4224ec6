worker_LIBS := -ldnnl
$(call service,worker)
$(call objs,services/worker/adapters/onednn.c): XFLAGS += -O3
# The executor's own loops over elements: gcc makes vectors of them at -O3 alone.
$(call objs,services/worker/core/cpu.c services/worker/core/cpu_math.c services/worker/core/cpu_image.c services/worker/core/cpu_typed.c services/worker/core/cpu_index.c): XFLAGS += -O3

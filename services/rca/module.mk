rca_LIBS :=
$(call service,rca)

# Same results, wider loops: neither flag changes a value.
$(call objs,services/rca/core/discover/rca_scout.c): XFLAGS := -Wconversion $(PUREFLAGS) -iquoteservices/rca/core -O3 -fno-trapping-math -fno-math-errno

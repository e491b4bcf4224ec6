rca_LIBS :=
$(call service,rca)

# Same results, wider loops: neither flag changes a value.
rca_wide := -Wconversion $(PUREFLAGS) -iquoteservices/rca/core -O3 -fno-trapping-math -fno-math-errno
$(call objs,services/rca/core/discover/rca_scout.c services/rca/core/discover/rca_entropy.c): XFLAGS := $(rca_wide)
# And for each instruction set of x86-64; rca_entropy_loops.h says why values do not depend on it.
$(call objs,services/rca/core/discover/rca_entropy_avx2.c): XFLAGS := $(rca_wide) $(if $(x86),-mavx2)
$(call objs,services/rca/core/discover/rca_entropy_avx512.c): XFLAGS := $(rca_wide) $(if $(x86),-mavx512f -mavx512dq -mavx512vl -mprefer-vector-width=512)

# The tables of docs/benchmarks.md on root causes, beside peers from PyPI in a venv of their own (their versions are
# pinned; RCAEval's own list of requirements is not wanted, its methods here need no more than these).
# RCA_DATA: folder of the data sets; without it only the times. RCA_BENCH: further arguments (bench_rca.py --help).
RCA_BENCH_DIR := services/rca/tests/bench
RCA_VENV := build/venv-bench-rca
$(RCA_VENV)/ready: $(RCA_BENCH_DIR)/requirements.txt
	$(Q)python3 -m venv $(RCA_VENV) && $(RCA_VENV)/bin/pip install -q -r $< && \
	$(RCA_VENV)/bin/pip install -q --no-deps RCAEval==1.8.1 && touch $@

.PHONY: bench-rca
bench-rca: $(BUILD)/bin/aceso $(RCA_VENV)/ready
	$(Q)$(RCA_VENV)/bin/python $(RCA_BENCH_DIR)/bench_rca.py --aceso $(abspath $(BUILD))/bin/aceso \
		$(if $(RCA_DATA),--data $(abspath $(RCA_DATA))) $(RCA_BENCH)

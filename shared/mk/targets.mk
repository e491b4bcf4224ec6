# Targets for people.

.PHONY: all deps demo test unit it bench lint layers san fuzz helm-check clean help tests docs
.SECONDARY:

JOBS ?= $(shell nproc)
RESULTS := $(BUILD)/results

all: $(ALL_BINS) $(ALL_SHARE)

help:
	@echo 'make deps    install what is missing (deploy/install-deps)'
	@echo 'make all     build every program into $(BUILD)/bin'
	@echo 'make demo    deps, build, and the whole loop on this machine: inject, detect, localise, mitigate, score'
	@echo 'make test    deps, build, unit tests, fuzz corpus replay, integration tests'
	@echo 'make unit    unit tests and fuzz corpus replay only'
	@echo 'make it      integration tests only (pytest; real processes); IT="-k name" chooses'
	@echo 'make bench   benchmarks; figures to copy into docs/benchmarks.md'
	@echo 'make bench-rules                rules beside numpy, their growth, points through the detector'
	@echo 'make bench-serving SERVING_MODELS=CSV   every policy on every experiment, with and without jitter, and all rows (SERVING_LONG=1: hours of trace)'
	@echo 'make bench-onnx-cases           the published cases of ONNX operators: passed, not claimed, failed'
	@echo 'make bench-few [RULES_DATA=DIR]   rules from few labels, by kind of series and labels left'
	@echo 'make bench-rca RCA_DATA=DIR   tables on root causes, beside causal-learn, tigramite and RCAEval'
	@echo 'make lint | layers | san | fuzz | helm-check | clean'

# What builds and tests needs must be installed before the Makefile can ask pkg-config for it, hence
# a make of its own after deps.
deps:
	$(Q)deploy/install-deps

demo: deps
	$(Q)$(MAKE) -j$(JOBS) all
	$(Q)$(BUILD)/bin/aceso demo

tests: $(ALL_TESTS) $(ALL_FUZZ)

unit: all tests
	$(Q)shared/mk/run-tests $(RESULTS)/unit $(JOBS) $(ALL_TESTS)
	$(Q)shared/mk/run-corpus $(RESULTS)/corpus $(BUILD) $(ALL_FUZZ)

VENV := build/venv
$(VENV)/ready: integration-tests/requirements.txt
	$(Q)python3 -m venv $(VENV) && $(VENV)/bin/pip install -q -r $< && touch $@

it: all $(VENV)/ready
	@mkdir -p $(RESULTS)
	$(Q)ACESO_BUILD=$(abspath $(BUILD)) $(VENV)/bin/python -m pytest integration-tests -q --tb=short --junitxml=$(RESULTS)/it.xml $(IT)

# Runs every tier even when one fails, then sums up: the last line is "N passed, N failed".
test: deps
	$(Q)$(MAKE) -j$(JOBS) all tests
	$(Q)rm -rf $(RESULTS); $(MAKE) unit; a=$$?; $(MAKE) it; b=$$?; \
	shared/mk/sum-results $(RESULTS) && [ $$a = 0 ] && [ $$b = 0 ]

bench: all $(ALL_BENCH)
	$(Q)for b in $(ALL_BENCH); do echo "== $$(basename $$b)"; $$b || exit 1; done

lint: $(PROTO_H)
	$(Q)shared/mk/lint $(BUILD)

layers: $(ALL_CORES)
	$(Q)shared/mk/check-layers $(BUILD)

.PHONY: bench-rules
bench-rules: all $(BUILD)/bench/bench_rule_speed $(BUILD)/bench/bench_rules $(VENV)/ready
	$(Q)ACESO_BUILD=$(abspath $(BUILD)) $(VENV)/bin/python integration-tests/bench_rules.py
	$(Q)$(BUILD)/bench/bench_rule_speed growth
	$(Q)$(BUILD)/bench/bench_rules

# Every policy on every experiment, without and with jitter, baselines tuned on another seed; then the rows that the project is
# measured by (docs/benchmarks.md). SERVING_MODELS is a cost table; SERVING_LONG=1: hours of the trace, too.
SERVING_SEED ?= 3
SERVING_LONG ?= 0
.PHONY: bench-serving
bench-serving: $(BUILD)/bin/aceso $(BUILD)/bench/bench_rows
	$(Q)[ -n "$(SERVING_MODELS)" ] || { echo 'bench-serving: name a cost table, SERVING_MODELS=FILE.csv' >&2; exit 2; }
	$(Q)for w in "fig5 --slo-ms 25" "fig5 --slo-ms 50" "fig5 --slo-ms 100" fig7 "fig8 --slo-ms 27.3" "azure --slo-ms 100" "azure --slo-ms 25" "gamma --slo-x 5"; do \
	for j in 0 0.2 1; do echo "== $$w, jitter $$j ms"; \
	$(BUILD)/bin/aceso serve compare --models $(SERVING_MODELS) --workload $$w --jitter-ms $$j --seed $(SERVING_SEED) --tune || exit 1; done; done
	$(Q)for t in rows lowest world $(if $(filter 1,$(SERVING_LONG)),hours); do echo "== $$t"; $(BUILD)/bench/bench_rows $$t $(SERVING_MODELS) || exit 1; done

# The published cases of each ONNX operator: passed, not claimed, failed. ACESO_ONNX_CASES: another folder than the package's.
.PHONY: bench-onnx-cases
bench-onnx-cases: $(BUILD)/tests/worker/test_onnx_cases
	$(Q)$(BUILD)/tests/worker/test_onnx_cases

.PHONY: bench-few
bench-few: $(BUILD)/bin/aceso
	$(Q)ACESO_BUILD=$(abspath $(BUILD)) python3 integration-tests/bench_few_labels.py $(if $(RULES_DATA),--data $(RULES_DATA))

san:
	$(Q)$(MAKE) -j$(JOBS) SAN=1 tests
	$(Q)$(MAKE) SAN=1 unit-only

.PHONY: unit-only
unit-only: tests
	$(Q)shared/mk/run-tests $(RESULTS)/unit $(JOBS) $(ALL_TESTS)
	$(Q)shared/mk/run-corpus $(RESULTS)/corpus $(BUILD) $(ALL_FUZZ)

# Fuzzing proper: clang's libFuzzer with ASan and UBSan, FUZZ_S seconds a target, from the corpus.
FUZZ_S ?= 20
fuzz:
	$(Q)$(MAKE) -j$(JOBS) CC=clang BUILD=build/libfuzzer SAN=1 LIBFUZZER=1 fuzz-targets
	$(Q)$(MAKE) CC=clang BUILD=build/libfuzzer SAN=1 LIBFUZZER=1 fuzz-run

.PHONY: fuzz-targets fuzz-run
fuzz-targets: $(ALL_FUZZ)
fuzz-run:
	$(Q)for t in $(ALL_FUZZ); do shared/mk/fuzz-one $$t $(FUZZ_S) || exit 1; done

helm-check: $(VENV)/ready
	$(Q)PYTHON=$(VENV)/bin/python BUILD=$(BUILD) helm/check

clean:
	rm -rf $(BUILD)

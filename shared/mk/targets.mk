# Targets for people.

.PHONY: all deps demo test it bench lint layers san fuzz clean help tests unit
.SECONDARY:

all: $(ALL_BINS)

help:
	@echo 'make deps    install what is missing (deploy/install-deps)'
	@echo 'make all     build every program into $(BUILD)/bin'
	@echo 'make demo    deps, build, and the whole loop on this machine: inject, detect, localise, mitigate, score'
	@echo 'make test    deps, build, unit tests, fuzz corpus replay, integration tests'
	@echo 'make unit    unit tests and fuzz corpus replay only'
	@echo 'make it      integration tests only (pytest; real processes)'
	@echo 'make bench   benchmarks; figures to copy into docs/benchmarks.md'
	@echo 'make lint | layers | san | fuzz | helm-check | clean'

tests: $(ALL_TESTS) $(ALL_FUZZ)

clean:
	rm -rf $(BUILD)

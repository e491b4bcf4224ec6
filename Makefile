# Aceso: one entry for everything. `make help` lists the targets.
# Variables: BUILD (output folder), CC (gcc or clang), SAN=1 (ASan + UBSan), DEBUG=1, V=1 (show commands).

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
Q := @
endif

BUILD ?= build$(if $(SAN),/san)
include shared/mk/toolchain.mk
include shared/mk/proto.mk
include shared/mk/rules.mk

include shared/module.mk
include $(sort $(wildcard services/*/module.mk))

include shared/mk/targets.mk

# The command line: build/bin/aceso. It links the cores of the services whose file verbs it runs.
cli_BIN := aceso
cli_CORES := $(patsubst services/%/core,%,$(wildcard $(foreach s,trainer detector rca controller worker lab app cluster,services/$(s)/core)))
cli_LIBS := $(if $(wildcard services/worker/core),-ldnnl)
cli_XFLAGS := -I$(BUILD)/gen -Iservices/cli
cli_EXTRA_SRC := services/cli/arguments.c $(wildcard services/cli/verbs/*.c services/cli/supervisor/*.c services/cli/session/*.c services/cli/rca/*.c services/cli/rule/*.c services/cli/serving/*.c) services/lab/adapters/problem_yaml.c services/worker/adapters/onednn.c services/worker/adapters/memory_map.c
# Readers of files that need more than a core may have.
cli_FUZZ_SRC := services/cli/arguments.c $(filter-out $(wildcard services/cli/rca/bench*.c),$(wildcard services/cli/rca/*.c))

CLI_VERBS := $(sort $(patsubst services/cli/verbs/%.c,%,$(wildcard services/cli/verbs/*.c)))

$(BUILD)/gen/cli_verbs.def: services/cli/verbs services/cli/module.mk
	@mkdir -p $(dir $@)
	$(Q)printf '$(foreach v,$(CLI_VERBS),CLI_VERB($(v))\n)' > $@

$(BUILD)/obj/services/cli/main.o: $(BUILD)/gen/cli_verbs.def
$(call service,cli)

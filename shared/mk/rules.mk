# Functions that module.mk fragments call.
#
# $(call service,NAME)      services/NAME: core archive, binary aceso-NAME, unit tests, fuzz targets.
#   before the call, optional: NAME_CORES := other services whose core archive it links
#                              NAME_BIN := name of the binary instead of aceso-NAME
#                              NAME_LIBS := further libraries (-ldnnl)
#
# $(call share,NAME,DIR)    a copy of DIR in $(BUILD)/share/aceso/NAME, where programs find it: ../share/aceso/NAME
#   from their own directory
#
# Where a file lies says what it may link:
#   services/NAME/core/**.c            lib<NAME>_core.a, links only the pure libraries
#   services/NAME/{main,config}.c, adapters/**.c   the binary
#   services/NAME/tests/unit/test_*.c  one test each, links core + pure only
#   services/NAME/tests/adapters/test_*.c  one test each, links core + adapters + everything
#   services/NAME/tests/fuzz/fuzz_*.c  libFuzzer targets (LLVMFuzzerTestOneInput), core + pure + adapters/convert_*.c + NAME_FUZZ_SRC
#   services/NAME/tests/bench/bench_*.c  benchmark programs, core + adapters + everything
#   services/NAME/tests/{fakes,corpus}/  helpers (fakes/*.c is linked into that service's tests); corpora by target

PURE := $(BUILD)/lib/libaceso_pure.a
FULL := $(BUILD)/lib/libaceso.a
PROTO := $(BUILD)/lib/libaceso_proto.a
KIT := $(BUILD)/lib/libaceso_testkit.a

rwildcard = $(foreach d,$(wildcard $(1)/*),$(if $(wildcard $(d)/.),$(call rwildcard,$(d),$(2)),$(filter $(2),$(d))))
objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

ALL_BINS :=
ALL_TESTS :=
ALL_FUZZ :=
ALL_BENCH :=
ALL_CORES :=
ALL_SRCS :=
ALL_SHARE :=

$(BUILD)/obj/%.o: %.c | $(PROTO_H)
	@mkdir -p $(dir $@)
	$(Q)$(COMPILE) $(CFLAGS) $(XFLAGS) -c -o $@ $<

define share_
$(BUILD)/share/aceso/$(1)/%: $(2)/%
	@mkdir -p $$(dir $$@)
	$(Q)cp -f $$< $$@
ALL_SHARE += $(patsubst $(2)/%,$(BUILD)/share/aceso/$(1)/%,$(call rwildcard,$(2),%))
endef
share = $(eval $(call share_,$(1),$(2)))

# $(call lib,ARCHIVE,SOURCES)
define lib_
$(1): $(call objs,$(2))
	@mkdir -p $$(dir $$@)
	$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
ALL_SRCS += $(2)
-include $(patsubst %.o,%.d,$(call objs,$(2)))
endef
lib = $(eval $(call lib_,$(1),$(2)))

# $(call program,OUTPUT,SOURCES,ARCHIVES,LIBS)
define program_
$(1): $(call objs,$(2)) $(3)
	@mkdir -p $$(dir $$@)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $(call objs,$(2)) -Wl,--start-group $(3) -Wl,--end-group $(4)
ALL_SRCS += $(2)
-include $(patsubst %.o,%.d,$(call objs,$(2)))
endef
program = $(eval $(call program_,$(1),$(2),$(3),$(4)))

# $(call share,KIND,FOLDER,FILES): copies files of a folder to build/share/aceso/KIND.
define share_
ALL_SHARE += $(patsubst $(2)/%,$(BUILD)/share/aceso/$(1)/%,$(3))
$(patsubst $(2)/%,$(BUILD)/share/aceso/$(1)/%,$(3)): $(BUILD)/share/aceso/$(1)/%: $(2)/%
	@mkdir -p $$(dir $$@)
	$(Q)cp $$< $$@
endef
share = $(if $(3),$(eval $(call share_,$(1),$(2),$(3))))

define service_
$(1)_core_src := $(call rwildcard,services/$(1)/core,%.c)
$(1)_shell_src := $(call rwildcard,services/$(1)/adapters,%.c) $(wildcard services/$(1)/config.c) $($(1)_EXTRA_SRC)
$(1)_fakes_src := $(wildcard services/$(1)/tests/fakes/*.c)
$(1)_core_a := $(BUILD)/lib/lib$(1)_core.a
$(1)_bin := $(BUILD)/bin/$(if $($(1)_BIN),$($(1)_BIN),aceso-$(1))
$(1)_archives := $(BUILD)/lib/lib$(1)_core.a $(foreach c,$($(1)_CORES),$(BUILD)/lib/lib$(c)_core.a)
endef

define service_targets_
$$(call lib,$$($(1)_core_a),$$($(1)_core_src))
$$(call objs,$$($(1)_core_src)): XFLAGS := -Wconversion $(PUREFLAGS) -iquoteservices/$(1)/core $(foreach c,$($(1)_CORES),-iquoteservices/$(c)/core)
$$(call objs,$$($(1)_shell_src) $$(wildcard services/$(1)/main.c)): XFLAGS := -iquoteservices/$(1) -iquoteservices/$(1)/core $(foreach c,$($(1)_CORES),-iquoteservices/$(c)/core) $($(1)_XFLAGS)
$$(call objs,$$($(1)_fakes_src)): XFLAGS := $(call test_xflags,$(1))
ALL_CORES += $$($(1)_core_a)
ifneq ($$(wildcard services/$(1)/main.c),)
$$(call program,$$($(1)_bin),$$(wildcard services/$(1)/main.c) $$($(1)_shell_src),$$($(1)_archives) $$(FULL) $$(PROTO) $$(PURE),$$($(1)_LIBS) $$(LIBS_ALL))
ALL_BINS += $$($(1)_bin)
endif
$$(foreach t,$$(wildcard services/$(1)/tests/unit/test_*.c),$$(call unit_test,$(1),$$(t),$$($(1)_fakes_src),$$($(1)_archives) $$(KIT) $$(PURE),$$($(1)_CORELIBS) $$(LIBS_PURE)))
$$(foreach t,$$(wildcard services/$(1)/tests/adapters/test_*.c),$$(call unit_test,$(1),$$(t),$$($(1)_fakes_src) $$($(1)_shell_src),$$($(1)_archives) $$(KIT) $$(FULL) $$(PROTO) $$(PURE),$$($(1)_LIBS) $$(LIBS_ALL)))
$$(foreach t,$$(wildcard services/$(1)/tests/bench/bench_*.c),$$(call bench_program,$(1),$$(t),$$($(1)_shell_src),$$($(1)_archives) $$(KIT) $$(FULL) $$(PROTO) $$(PURE),$$($(1)_LIBS) $(LIBS_TEST) $$(LIBS_ALL)))
$$(foreach t,$$(wildcard services/$(1)/tests/fuzz/fuzz_*.c),$$(call fuzz_target,$(1),$$(t)))
endef

test_xflags = -iquoteservices/$(1) -iquoteservices/$(1)/core -iquoteservices/$(1)/tests/fakes $(foreach c,$($(1)_CORES),-iquoteservices/$(c)/core) $($(1)_XFLAGS)

# $(call unit_test,OWNER,TEST.c,OTHER SOURCES,ARCHIVES,LIBS)
define unit_test_
$$(call objs,$(2)): XFLAGS := $(call test_xflags,$(1))
$$(call program,$(BUILD)/tests/$(1)/$(basename $(notdir $(2))),$(2) $(3),$(4),$(LIBS_TEST) $(5))
ALL_TESTS += $(BUILD)/tests/$(1)/$(basename $(notdir $(2)))
endef
unit_test = $(eval $(call unit_test_,$(1),$(2),$(3),$(4),$(5)))

define bench_program_
$$(call objs,$(2)): XFLAGS := $(call test_xflags,$(1))
$$(call program,$(BUILD)/bench/$(basename $(notdir $(2))),$(2) $(3),$(4),$(5))
ALL_BENCH += $(BUILD)/bench/$(basename $(notdir $(2)))
endef
bench_program = $(eval $(call bench_program_,$(1),$(2),$(3),$(4),$(5)))

# Replay build of a fuzz target (any compiler): the driver feeds the corpus. The fuzzing build is `make fuzz` (clang).
define fuzz_target_
$$(call objs,$(2)): XFLAGS := $(call test_xflags,$(1))
$$(call program,$(BUILD)/fuzz/$(1)_$(patsubst fuzz_%,%,$(basename $(notdir $(2)))),$(2) $(wildcard services/$(1)/adapters/convert_*.c) $($(1)_FUZZ_SRC) $(if $(LIBFUZZER),,shared/testkit/fuzz_main.c),$(if $(filter shared,$(1)),,$($(1)_archives)) $(FULL) $(PROTO) $(PURE),$(if $(LIBFUZZER),-fsanitize=fuzzer) $($(1)_CORELIBS) $(LIBS_ALL))
ALL_FUZZ += $(BUILD)/fuzz/$(1)_$(patsubst fuzz_%,%,$(basename $(notdir $(2))))
endef
fuzz_target = $(eval $(call fuzz_target_,$(1),$(2)))

service = $(eval $(call service_,$(1)))$(eval $(call service_targets_,$(1)))

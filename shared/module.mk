# libaceso in layers. The pure library (base, series, stats, svg, rules) is all that a core/ may link.

pure_src := $(foreach m,base series stats svg rules,$(wildcard shared/$(m)/*.c))
full_src := $(foreach m,conf metrics loop pbx json rpc bus pg http kube llm agent svc,$(wildcard shared/$(m)/*.c))
kit_src := $(filter-out shared/testkit/fuzz_main.c,$(wildcard shared/testkit/*.c))

$(call lib,$(PURE),$(pure_src))
$(call lib,$(FULL),$(full_src))
$(call lib,$(KIT),$(kit_src))
$(call objs,$(pure_src)): XFLAGS := $(PUREFLAGS)

$(foreach m,base series stats svg rules,$(foreach t,$(wildcard shared/$(m)/tests/test_*.c),$(call unit_test,shared,$(t),,$(KIT) $(PURE),$(LIBS_PURE))))
$(foreach m,conf metrics loop pbx json rpc bus pg http kube llm agent svc testkit,$(foreach t,$(wildcard shared/$(m)/tests/test_*.c),$(call unit_test,shared,$(t),,$(KIT) $(FULL) $(PROTO) $(PURE),$(LIBS_ALL))))
$(foreach t,$(wildcard shared/*/tests/bench_*.c),$(call bench_program,shared,$(t),,$(KIT) $(FULL) $(PROTO) $(PURE),$(LIBS_TEST) $(LIBS_ALL)))
$(foreach t,$(wildcard shared/*/tests/fuzz_*.c),$(call fuzz_target,shared,$(t)))

# Same results, wider loops: neither flag changes a value.
$(call objs,shared/rules/kernels.c): XFLAGS := $(PUREFLAGS) -O3 -fno-trapping-math -fno-math-errno
# And for each instruction set of x86-64; simd.h says why values do not depend on it.
wide := $(PUREFLAGS) -O3 -fno-trapping-math -fno-math-errno
x86 := $(findstring x86_64,$(shell $(CC) -dumpmachine))
$(call objs,shared/rules/kernels_avx2.c): XFLAGS := $(wide) $(if $(x86),-mavx2)
$(call objs,shared/rules/kernels_avx512.c): XFLAGS := $(wide) $(if $(x86),-mavx512f -mavx512dq -mavx512vl -mprefer-vector-width=512)

# protobuf-c code: build/gen/<path>.pb-c.[ch] from proto/<path>.proto; one library; never committed.

PROTOS := $(shell find proto -name '*.proto' | sort)
PROTO_C := $(PROTOS:proto/%.proto=$(BUILD)/gen/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)
PROTO_O := $(PROTO_C:.c=.o)
PROTO_SET := $(BUILD)/gen/aceso.protoset

$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(dir $@) $(BUILD)/gen
	$(Q)protoc-c -Iproto --c_out=$(BUILD)/gen $<

$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c | $(PROTO_H)
	$(Q)$(COMPILE) $(CFLAGS_BASE) $(INCLUDES) -w -c -o $@ $<

$(PROTO_SET): $(PROTOS)
	@mkdir -p $(dir $@)
	$(Q)protoc -Iproto --include_imports --descriptor_set_out=$@ $(PROTOS)

# The descriptor set as an object with symbols ac_protoset_start / ac_protoset_end (reflection).
$(BUILD)/gen/protoset.o: $(PROTO_SET)
	$(Q)printf '.section .rodata\n.global ac_protoset_start\n.global ac_protoset_end\nac_protoset_start:\n.incbin "%s"\nac_protoset_end:\n.byte 0\n.section .note.GNU-stack,"",@progbits\n' $< | $(CC) -c -x assembler -o $@ -

$(BUILD)/lib/libaceso_proto.a: $(PROTO_O) $(BUILD)/gen/protoset.o
	@mkdir -p $(dir $@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

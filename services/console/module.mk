# The page for people: health, incidents, live. Its files are part of the program.
console_LIBS :=
$(call service,console)
$(BUILD)/obj/services/console/adapters/assets.o: $(wildcard services/console/web/*)

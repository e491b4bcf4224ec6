# The demo microservice engine, its applications and the load generator.
app_LIBS :=
$(call service,app)
$(BUILD)/obj/services/app/adapters/specs.o: services/app/specs/hotel.yaml

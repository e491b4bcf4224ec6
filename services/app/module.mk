# The demo microservice engine, its applications and the load generator.
app_LIBS :=
$(call service,app)

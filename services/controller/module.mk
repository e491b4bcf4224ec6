# The controller reads models as the workers do, and describes them before a worker is there.
controller_CORES := worker
$(call service,controller)
$(call share,models,services/controller/models)

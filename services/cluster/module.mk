# The embedded cluster. Its objects are JSON, so its core may use jansson's values.
cluster_LIBS :=
cluster_CORELIBS := -ljansson
$(call service,cluster)

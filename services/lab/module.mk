# The benchmark orchestrator.
lab_LIBS :=
$(call service,lab)

# What programs look for beside themselves: build/share/aceso/{problems,apps,specs,models}.
$(call share,problems,services/lab/problems,$(wildcard services/lab/problems/*.yaml))
$(call share,apps,services/app/manifests,$(wildcard services/app/manifests/*.yaml))
$(call share,specs,services/app/specs,$(wildcard services/app/specs/*.yaml))
$(call share,models,services/controller/models,$(call rwildcard,services/controller/models,%.onnx %.json %.yaml %.pbtxt))

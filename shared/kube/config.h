/* What a kubeconfig's current context says. All texts owned. */
#pragma once

#include <aceso/err.h>

struct kube_config {
    char *server;                                /* https://host:port */
    char *ca, *token, *client_cert, *client_key; /* PEM texts and a bearer token; NULL = absent */
};

int kube_config_load(const char *path, struct kube_config *c, struct ac_err *err) AC_MUST_USE;
void kube_config_fini(struct kube_config *c);

/* Puts the parts of the service together; main's callbacks. Loop thread. */
#pragma once

#include <aceso/svc.h>

int cluster_start(struct ac_svc *s, struct ac_err *err);
void cluster_ready(struct ac_svc *s);
void cluster_stop(struct ac_svc *s);
void cluster_fini(struct ac_svc *s);

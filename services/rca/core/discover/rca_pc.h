/* PC: skeleton, colliders by one of three rules, Meek's rules. Pure. */
#pragma once

#include "discover/rca_skeleton.h"

enum ac_rca_collider_rule {
    AC_RCA_BY_SEPSET,     /* the middle is in no set that separated the ends */
    AC_RCA_BY_MAX_P,      /* the ends are less dependent without the middle than with it */
    AC_RCA_BY_DEFINITE_P, /* the same, but only where the tests do not contradict each other */
};

/* Which collider wins where two want the same edge. */
enum ac_rca_priority {
    AC_RCA_DEFAULT_PRIORITY = -1, /* STRONGER, of definite ones STRONGER_WITHOUT */
    AC_RCA_OVERWRITE,             /* the later one */
    AC_RCA_BOTH_WAYS,             /* the edge gets two arrows */
    AC_RCA_EXISTING,              /* the earlier one */
    AC_RCA_STRONGER,              /* by p of the ends given the middle, smallest first */
    AC_RCA_STRONGER_WITHOUT       /* by p of the ends without the middle, largest first */
};

struct ac_rca_pc_params {
    struct ac_rca_skeleton_params skeleton;
    enum ac_rca_collider_rule rule;
    enum ac_rca_priority priority;
};

void ac_rca_pc(struct ac_rca_ci *t, const struct ac_rca_pc_params *params, struct ac_rca_pdag *g);

/* The lab's data as messages. All in the arena; NULL when its cap is passed. Texts are borrowed
 * from the arguments. */
#pragma once

#include "lab.h"

#include <aceso/arena.h>
#include <aceso/v1/lab.pb-c.h>

Aceso__V1__Session *lab_session_to_pb(const struct lab_view *v, struct ac_arena *a);
Aceso__V1__SessionEvent *lab_event_to_pb(const struct lab_view *v, const struct lab_event *e,
                                         struct ac_arena *a);
/** One problem asked for one task: "pod_kill_hotel_res-detection-1". */
Aceso__V1__Problem *lab_problem_to_pb(const struct lab_problem *p, enum lab_task task,
                                      struct ac_arena *a);

#include "streaming.h"

/* The greatest (least) of the last n points, of as many as there are while the series is young: a
 * window is known when half of it is there. */
#define OF_750(op, x)                                                                              \
    "coalesce(" op "(" x ", 750), coalesce(" op "(" x ", 375), " op "(" x ", 187)))"
#define OF_1000(op, x)                                                                             \
    "coalesce(" op "(" x ", 1000), coalesce(" op "(" x ", 500), " op "(" x ", 250)))"
#define OF_1500(op, x) "coalesce(" op "(" x ", 1500), " OF_750(op, x) ")"
#define OF_3000(op, x) "coalesce(" op "(" x ", 3000), " OF_1500(op, x) ")"

/* "NAME": how far x left the range of its last n points, in units of that range. */
#define LEFT(name, of, x, past)                                                                    \
    "    let " name                                                                                \
    "_high = " of("max", past) "\n"                                                                \
                               "    let " name                                                     \
                               "_low = " of("min", past) "\n"                                      \
                                                         "    let " name                           \
                                                         " = coalesce(abs(outside(" x ", " name    \
                                                         "_low, " name "_high)) / (" name          \
                                                         "_high - " name "_low + 1e-9 * abs(" name \
                                                         "_high) + 1e-12), 0)\n"

/* clang-format off */
const char streaming_rule[] =
    "language 1\n"
    "\n"
    "# A record is an alarm: what the series has not done in its last thousands of points. What is\n"
    "# exceeded is a range, so that the score means the same for every series.\n"
    "rule \"streaming\" {\n"
    "    let hour = mean(value, 12)\n"
    "    let reach = max(value, 48) - min(value, 48)\n"
    "    let spread = std(value, 100)\n"
    "    let value_past = lag(value, 1)\n"
    "    let hour_past = lag(hour, 1)\n"
    "    let reach_past = lag(reach, 1)\n"
    "    let spread_past = lag(spread, 1)\n"
    "    # each: by which share of its range did it leave it\n"
    LEFT("value_new", OF_3000, "value", "value_past")
    LEFT("hour_new", OF_3000, "hour", "hour_past")
    LEFT("hour_lately", OF_1000, "hour", "hour_past")
    LEFT("reach_new", OF_3000, "reach", "reach_past")
    LEFT("spread_new", OF_1500, "spread", "spread_past")
    "    let level = greatest(2 * value_new, greatest(0.7 * hour_new, 0.35 * hour_lately))\n"
    "    let shape = greatest(4 * reach_new, 0.5 * spread_new)\n"
    "    let excess = greatest(level, shape)\n"
    "    # only the greatest of the last 100 points counts: one alarm for one event\n"
    "    let score = if(excess > coalesce(max(lag(excess, 1), 100), 0), excess, 0)\n"
    "    when score > 0.065\n"
    "    reason \"{value} after a mean of {hour}: level {level}, shape {shape} beyond the past\"\n"
    "}\n";
/* clang-format on */

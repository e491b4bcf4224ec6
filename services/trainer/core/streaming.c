#include "streaming.h"

/* clang-format off */

/* The greatest (least) of the last 3,000 points, of as many as there are while the series is
 * young: a window is known when half of it is there. */
#define LATELY(op, x)                                                                              \
    "coalesce(" op "(" x ", 3000), coalesce(" op "(" x ", 1500), coalesce(" op "(" x ", 750), "    \
    "coalesce(" op "(" x ", 375), " op "(" x ", 187)))))"

/* "NAME_new": by how much, in the sense of by, x left the range of its last points, in units of
 * that range; 0 while there is no past. */
#define NEW(name, x, by)                                                                           \
    "    let " name "_past = lag(" x ", 1)\n"                                                      \
    "    let " name "_high = " LATELY("max", name "_past") "\n"                                    \
    "    let " name "_low = " LATELY("min", name "_past") "\n"                                     \
    "    let " name "_unit = " name "_high - " name "_low + 1e-9 * abs(" name "_high) + 1e-12\n"   \
    "    let " name "_new = coalesce(" by " / " name "_unit, 0)\n"
#define LEFT(name, x)  NEW(name, x, "abs(outside(" x ", " name "_low, " name "_high))")
#define BELOW(name, x) NEW(name, x, "greatest(" name "_low - " x ", 0)")

const char streaming_rule[] =
    "language 1\n"
    "\n"
    "# A record is an alarm: what the series has not done in its last 3,000 points. What is left is\n"
    "# a range, so that the score means the same for every series. Points five minutes apart are\n"
    "# supposed where a day is meant.\n"
    "rule \"streaming\" {\n"
    "    # a spike or a dip\n"
    LEFT("value", "value")
    "    # a level: short, but no single point\n"
    "    let hour = mean(value, 12)\n"
    LEFT("hour", "hour")
    "    # a step from level to level, wherever they are\n"
    "    let usual = median(value, 48)\n"
    "    let step_up = usual - lag(usual, 48)\n"
    LEFT("step_up", "step_up")
    "    # silence: the greatest value of a day is less than that of any day before\n"
    "    let peak = max(value, 288)\n"
    BELOW("peak", "peak")
    "    # a day that is not like the day before\n"
    "    let daily = median(value - lag(value, 288), 24)\n"
    LEFT("daily", "daily")
    "    # a series that becomes rough or smooth\n"
    "    let rough = median(abs(value - lag(value, 1)), 48)\n"
    LEFT("rough", "rough")
    "    let level = greatest(70 * value_new, greatest(17 * hour_new, 17 * step_up_new))\n"
    "    let shape = greatest(10 * peak_new, greatest(0.8 * daily_new, 2.5 * rough_new))\n"
    "    let excess = greatest(level, shape)\n"
    "    # only the greatest of the last 100 points counts: one alarm for one event\n"
    "    let score = if(excess > coalesce(max(lag(excess, 1), 100), 0), excess, 0)\n"
    "    when score > 1\n"
    "    reason \"{value} after a mean of {hour}: level {level}, shape {shape} beyond the past\"\n"
    "}\n";
/* clang-format on */

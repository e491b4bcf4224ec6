#include "streaming.h"

const char streaming_rule[] =
    "language 1\n"
    "\n"
    "# A record: a short mean leaves the range of the last 1,000 points by a share of that range.\n"
    "rule \"streaming\" {\n"
    "    let short = mean(value, 3)\n"
    "    let past = lag(short, 1)\n"
    "    let high = coalesce(max(past, 1000), max(past, 300))\n"
    "    let low = coalesce(min(past, 1000), min(past, 300))\n"
    "    let excess = abs(outside(short, low, high)) / (high - low)\n"
    "    # only the greatest of the last 100 points counts: one alarm for one event\n"
    "    let score = if(excess > coalesce(max(lag(excess, 1), 100), 0), excess, 0)\n"
    "    when score > 0.07\n"
    "    reason \"{short} lies beyond [{low}, {high}], the range of the last 1,000 points\"\n"
    "}\n";

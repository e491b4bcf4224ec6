/* Time zones for the rule language: the system's zone files (TZif, RFC 8536) as tables of offsets.
 * Pure but for ac_zone_load. A zone never changes after it was made and may be shared by threads.
 * Rules name zones; whoever evaluates them gives each point the zone's offset as an input. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

#define AC_ZONE_DIR "/usr/share/zoneinfo"

struct ac_zone;

/** name is for messages. AC_EINVAL on bytes that are no zone file. Caller destroys. */
int ac_zone_parse(const char *name, const void *bytes, size_t len, struct ac_zone **ret,
                  struct ac_err *err) AC_MUST_USE;
/** Reads dir/name (dir NULL: AC_ZONE_DIR). AC_ENOTFOUND when there is no such zone. */
int ac_zone_load(const char *dir, const char *name, struct ac_zone **ret,
                 struct ac_err *err) AC_MUST_USE;
void ac_zone_destroy(struct ac_zone *z); /* NULL is fine */
/** Seconds to add to UTC to get the zone's clock at a Unix time. */
int32_t ac_zone_offset_s(const struct ac_zone *z, int64_t time_ns);

/* An answer as a picture: what deviates, one sparkline a measurement in order of onset over one
 * axis of time, and below it, where calls are known, the graph of the components concerned with the
 * proofs of the path. Pure; the same answer gives the same bytes. */
#pragma once

#include "rca_engine.h"

#include <aceso/buf.h>

/* More are counted in a last line: of measurements the greatest deviations are drawn, the root
 * cause's before others; of components those of the path, then the impact's earliest. */
#define AC_RCA_PICTURE_ROWS       40
#define AC_RCA_PICTURE_COMPONENTS 24

/** False when out cannot hold it. */
bool ac_rca_picture(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out);

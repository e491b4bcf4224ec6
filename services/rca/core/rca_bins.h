/* Time cut into bins for what is counted (log lines, spans), and which of them a recording covers:
 * where nothing was recorded nothing is known, elsewhere no line means none. Pure. */
#pragma once

#include "rca_model.h"

struct rca_cover { /* stretches of time that were recorded */
    int64_t (*parts)[2];
    size_t n, cap;
    int64_t from_ns, to_ns; /* of the stretch that grows */
    bool grows;
};

struct rca_bins {
    int64_t from_ns, step_ns;
    size_t n;
    bool *covered;
};

/** Something was recorded at t. */
void rca_cover_at(struct rca_cover *c, int64_t t_ns);
/** What comes next is another recording (file): what lies between the two is not covered. */
void rca_cover_end(struct rca_cover *c);
void rca_cover_fini(struct rca_cover *c);

/** Bins over all that is covered: step_ns wide, wider where it takes more than max_bins of them. A
 * bin counts as covered when its middle is. */
struct rca_bins rca_bins_make(const struct rca_cover *c, int64_t step_ns, size_t max_bins);
void rca_bins_fini(struct rca_bins *b);
/** The bin of a time that the cover knows. */
size_t rca_bins_at(const struct rca_bins *b, int64_t t_ns);
/** What stands for the bin in a measurement: its middle. */
int64_t rca_bins_time(const struct rca_bins *b, size_t bin);
/** How wide to count beside the measurements of a case: ten seconds, where a recording is short a
 * thirtieth of it; never finer than the measurements nor than a second. */
int64_t rca_bins_step(const struct ac_rca_case *c, const struct rca_cover *cover);

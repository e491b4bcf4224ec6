/* Anomalies put into a series by a seed, with their labels: something to learn from, or to be
 * judged on, where nobody has labelled anything. Pure; the same seed gives the same. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/rng.h>

enum inject_kind {
    INJECT_SPIKE,    /* 1 to 3 points away */
    INJECT_STEP,     /* another level for a while */
    INJECT_DROP,     /* down to the least value seen, or below */
    INJECT_FLAT,     /* one value again and again */
    INJECT_TREND,    /* away, more and more */
    INJECT_VARIANCE, /* noise grown */
    INJECT_END
};
const char *inject_kind_name(enum inject_kind k);

#define INJECT_LONGEST 60 /* points: the longest event of any kind */

struct inject_how {
    unsigned kinds; /* bit mask of 1u << kind */
    size_t every;   /* one event in about so many points */
    size_t longest; /* room for one; no event is longer than that */
    double unit;    /* sizes are 6 to 40 of it; 0: the mean change of v */
    bool even;      /* sizes are spread evenly, in the logarithm, instead of by chance */
};

/** Changes v and writes 1 to labels where it did; events do not touch. Returns how many; 0 when v
 * has too little to measure sizes by, or every is too small for longest. */
size_t inject(double *v, uint8_t *labels, size_t n, const struct inject_how *how,
              struct ac_rng *rng);

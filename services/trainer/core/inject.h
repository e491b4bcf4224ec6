/* Anomalies put into a series by a seed, with their labels: something to learn from, or to be
 * judged on, where nobody has labelled anything. Pure; the same seed gives the same. */
#pragma once

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

/** Changes v and writes 1 to labels where it did; sizes are 6 to 40 mean changes. Puts one event in
 * about `every` points, of the kinds in the bit mask (1u << kind), none of which touch. Returns how
 * many; 0 when v has too little to measure sizes by. */
size_t inject(double *v, uint8_t *labels, size_t n, size_t every, unsigned kinds,
              struct ac_rng *rng);

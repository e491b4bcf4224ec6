/* Measures of detections against labels. Pure; the only place where they are defined.
 *
 * Labels and flags: one byte a point, 0 or not. A segment is a maximal run of labels, [a, b].
 * 0 wherever a ratio has nothing below its line. All are O(n) but those that sort (O(n log n)).
 *
 * event F1        TP = segments hit, FN = segments missed, FP = flagged points outside every
 *                 segment; 2 TP / (2 TP + FP + FN). With a delay K a segment is hit by a flag in
 *                 [a, min(b, a + K)], without anywhere in it. (Ren et al., KDD 2019, section 4.1,
 *                 for the delay; segments against points as in docs/measures.md.)
 * point F1        every point for itself.
 * adjusted F1     point F1 after all points of a hit segment count as flagged (Xu et al., WWW
 *                 2018). A random detector does well by it: for comparison only.
 * AUC-PR          average precision: the sum over distinct scores, falling, of the recall gained
 *                 times the precision there (as scikit-learn's average_precision_score).
 * VUS-PR          volume under the precision-recall surface (Paparrizos et al., VLDB 2022): the
 *                 mean over buffers w = 0 .. L of a range-based area. Points at distance d <= w / 2
 *                 of a segment count sqrt(1 - d / w), sums at most 1; recall is multiplied by the
 *                 share of ranges touched, ranges being segments joined where their buffers meet;
 *                 250 thresholds at even ranks.
 * time to detect  points from a segment's first to the first flag in it, of the segments that are
 *                 hit at all; quantiles by nearest rank.
 * alarms a day    runs of flags over the time that the points span.
 * flapping        changes of the flag an hour; an alarm that opens and closes is two, the state
 *                 before the first point is "no alarm".
 *
 * Ties: AUC-PR takes points of equal score together (any other order would depend on their place in
 * the file); VUS-PR flags all points at or above a threshold, so equal scores go together as well.
 * A missing score (NaN) is the lowest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SCORE_NO_DELAY   SIZE_MAX
#define SCORE_VUS_LENGTH 100  /* the L that figures are quoted with */
#define SCORE_VUS_MAX    4096 /* time grows with L squared for each segment */

struct score_events {
    double f1;
    size_t tp, fp, fn;
};

struct score_segment {
    size_t a, b; /* inclusive */
};

/** Caller frees *ret. */
size_t score_segments(const uint8_t *labels, size_t n, struct score_segment **ret);
struct score_events score_events(const uint8_t *labels, const uint8_t *flags, size_t n,
                                 size_t delay);
double score_point_f1(const uint8_t *labels, const uint8_t *flags, size_t n);
double score_adjusted_f1(const uint8_t *labels, const uint8_t *flags, size_t n);
double score_auc_pr(const uint8_t *labels, const double *score, size_t n);
/** length: at most SCORE_VUS_MAX. 0 without segments. */
double score_vus_pr(const uint8_t *labels, const double *score, size_t n, size_t length);
/** Flags at the finite threshold with the best event F1 without a delay, of equal ones the
 * greatest; none where all are worse than silence. It looks at the labels that are scored: for
 * comparison with what others publish only. */
void score_best_flags(const uint8_t *labels, const double *score, size_t n, uint8_t *ret);
/** Alarms: runs of flags. */
size_t score_alarms(const uint8_t *flags, size_t n);
/** Changes of the flag. */
size_t score_transitions(const uint8_t *flags, size_t n);
/** Points to the first flag of each segment that has one, in order; ret has room for all segments.
 */
size_t score_detection_times(const uint8_t *labels, const uint8_t *flags, size_t n, size_t *ret);

struct score_input {
    const uint8_t *labels, *flags;
    const double *score; /* NULL: none */
    size_t n, delay;
    int64_t step_ns;
};

struct score_report {
    size_t points, segments, alarms;
    struct score_events with_delay, whole;
    double point_f1, adjusted_f1;
    double auc_pr, vus_pr;                /* NaN without a score */
    double detect_median_s, detect_p90_s; /* NaN when no segment is hit */
    double days, alarms_per_day, flaps_per_hour;
};

void score_report(const struct score_input *in, struct score_report *ret);

/* Measures of detections against labels, by the definitions of docs/trainer.md: a segment is a
 * maximal run of label 1; with a delay K it is hit by a flag in its first K + 1 points; every
 * flagged point outside segments is one false alarm. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SCORE_NO_DELAY SIZE_MAX

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
/** As point F1 after every point of a hit segment counts as flagged: for comparison only. */
double score_adjusted_f1(const uint8_t *labels, const uint8_t *flags, size_t n);
/** Average precision of a score over points; a missing score is the lowest. */
double score_auc_pr(const uint8_t *labels, const double *score, size_t n);
/** Volume under the precision-recall surface: mean over buffers 0..length around segments. */
double score_vus_pr(const uint8_t *labels, const double *score, size_t n, size_t length);
/** Alarms: runs of flags. */
size_t score_alarms(const uint8_t *flags, size_t n);

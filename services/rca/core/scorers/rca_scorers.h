/* The scorers of the literature, each a pure function of a frame (and of the model fitted to it): a
 * score a column, finite and >= 0, larger is more likely the cause. They are here to be compared
 * with; docs/rca.md says how they do and where each fails. */
#pragma once

#include "scorers/rca_sem.h"

/* Regression on parents with descendant adjustment: M. Li et al., "Causal Inference-Based Root
 * Cause Analysis for Online Service Systems with Intervention Recognition", KDD 2022 (CIRCA;
 * regression- based hypothesis testing, then the adjustment). The largest residual of the incident
 * in deviations of the normal residual; of what is anomalous the largest score among its anomalous
 * effects is added, effects that are normal standing for their own. Limits: linear; a wrong graph
 * moves the blame; needs the time exactly. */
void ac_rca_score_circa(const struct ac_rca_frame *f, const struct ac_rca_sem *s, double *score);

/* Traversal: J. Lin et al., "Microscope: Pinpoint Performance Issues with Causal Graphs in
 * Micro-service Environments", ICSOC 2018; as in M. Hardt et al., "The PetShop Dataset", CLeaR
 * 2024. Candidates are anomalous, have no anomalous cause, and reach the symptom over anomalous
 * columns alone; their score is their deviation, all others have 0. Limits: one normal column in
 * between and the path is lost; no symptom: every anomalous column without anomalous cause. */
void ac_rca_score_traversal(const struct ac_rca_frame *f, double *score);

/* Personalised random walk against the edges: the walk of M. Kim et al., "Root Cause Detection in a
 * Service-Oriented Architecture", SIGMETRICS 2013 (MonitorRank: forward by similarity to the
 * symptom, backward a share of it, staying where no cause is more similar), restarted where
 * deviations are as in L. Wu et al., "MicroRCA", NOMS 2020 (damping 0.85). The score is the share
 * of time. Limits: what has many effects collects visits; deviations of one size say nothing. */
void ac_rca_score_walk(const struct ac_rca_frame *f, double *score);

/* Invariance: A. Ikram et al., "Root Cause Analysis of Failures in Microservices through Causal
 * Discovery", NeurIPS 2022 (RCD: psi-PC around a node F that tells faulty from normal rows, in
 * chunks, then on what is left, until nothing more goes). Tests: chi square on five classes of
 * equal width, sets up to 3 out of the chunk. The score is -ln of the largest p value, hence what
 * stays dependent on F whatever is given comes first. Limits: few faulty rows leave the tests no
 * power; chunks by chance (seed). AC_ENOMEM, AC_EINVAL. */
int ac_rca_score_rcd(const struct ac_rca_frame *f, uint64_t seed, double *score,
                     struct ac_err *err) AC_MUST_USE;

/* Shapley values of the noise: K. Budhathoki et al., "Causal structure-based root cause analysis of
 * outliers", ICML 2022. Players are the noises of the symptom's causes in the row where the symptom
 * deviates most; a set's worth is -ln P(the symptom is at least as far off when only the others are
 * drawn anew), here of the linear model with Gaussian noise, in closed form. Exact up to
 * AC_RCA_SHAPLEY_EXACT players, else 500 orders drawn by seed; beyond 64 players the weakest count
 * nothing. Negative shares count 0. Without a symptom all scores are 0. */
#define AC_RCA_SHAPLEY_EXACT 12
void ac_rca_score_shapley(const struct ac_rca_frame *f, const struct ac_rca_sem *s, uint64_t seed,
                          double *score);

/* In-distribution fix: L. Nagalapatti et al., "Robust Root Cause Diagnosis using In-Distribution
 * Interventions", ICLR 2025 (IDI: a cause is anomalous where its own causes are not, and setting it
 * to a normal value makes the symptom normal). A column's value in the symptom's worst row is
 * replaced by those of 200 normal rows (by seed), its effects follow by the model. Score: share of
 * the draws with a normal symptom, plus a hundredth of the share by which it came nearer; 0 without
 * the first condition or a symptom. Limits: of several causes none alone heals. */
void ac_rca_score_fix(const struct ac_rca_frame *f, const struct ac_rca_sem *s, uint64_t seed,
                      double *score);

/* When the incident began, by the change points of the series (rca_bocpd.h) before and in it: the
 * stated time moves to the widest step among the changes at most `reach` rows off: series that
 * depend on their past have changes in plenty. Rows: the last 600 before the
 * incident; series: latency and errors, the AC_RCA_BOCPD_MAX_D that vary most. hazard 1 / 250. */
int64_t ac_rca_change_time(const struct ac_rca_case *c, const struct ac_rca_frame *f,
                           int64_t stated_ns, size_t reach);

/** Row of the incident (from the first row of the frame) where the symptom is farthest off. */
size_t ac_rca_worst_row(const struct ac_rca_frame *f, int column);

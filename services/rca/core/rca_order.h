/* The order of a series' samples by value: found once, it gives the sorted values of any stretch of
 * time without another sort. Pure. */
#pragma once

#include "rca_model.h"

/** Row numbers of v[0..n), n < 2^32, the smallest value first, equal ones by row; no NaN. out and
 * work have n places each, keys 2 * n. */
void ac_rca_order(const double *v, size_t n, uint32_t *out, uint32_t *work, uint64_t *keys);

/** The values of rows [from, to), or of all others (not inside), ascending, into out, which has
 * room for one more than there are. order: of m, NULL: not known. Returns how many. */
size_t ac_rca_sorted_part(const struct ac_rca_metric *m, const uint32_t *order, size_t from,
                          size_t to, bool inside, double *out);

struct ac_team;
/** Of all measurements, the work shared by the team (NULL: none). */
uint32_t **ac_rca_orders_create(const struct ac_rca_case *c, struct ac_team *team);
void ac_rca_orders_destroy(const struct ac_rca_case *c, uint32_t **orders);

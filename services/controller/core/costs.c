#include "costs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define COLUMNS 10

static const char *const header[COLUMNS] = {"model",   "input_kb", "output_kb", "weights_mb",
                                            "load_ms", "b1_ms",    "b2_ms",     "b4_ms",
                                            "b8_ms",   "b16_ms"};

static int parse_header(char *line, struct ac_err *err)
{
    for (unsigned i = 0; i < COLUMNS; i++) {
        const char *f = ac_str_next(&line, ',');
        if (!ac_streq(f, header[i]))
            return ac_err_set(err, AC_EINVAL, "row 1, column %u: expected \"%s\", found \"%.40s\"",
                              i + 1, header[i], f ? f : "");
    }
    return 0;
}

static int parse_row(char *line, unsigned row, struct costs_row *r, struct ac_err *err)
{
    double v[COLUMNS] = {0};
    char *f = ac_str_next(&line, ',');
    if (ac_str_empty(f) || !ac_str_copy(r->model, sizeof(r->model), f))
        return ac_err_set(err, AC_EINVAL,
                          "row %u, column 1: a name of 1 to %d characters is needed", row,
                          COSTS_NAME_MAX - 1);
    for (unsigned i = 1; i < COLUMNS; i++) {
        f = ac_str_next(&line, ',');
        if (!f || !ac_str_to_f64(f, &v[i]) || !isfinite(v[i]) || v[i] < 0 || v[i] > 1e7)
            return ac_err_set(err, AC_EINVAL,
                              "row %u, column %u (%s): not a number from 0 to 1e7: \"%.40s\"", row,
                              i + 1, header[i], f ? f : "");
        if (i >= 3 && v[i] == 0)
            return ac_err_set(err, AC_EINVAL, "row %u, column %u (%s): must be above 0", row, i + 1,
                              header[i]);
    }
    r->input_kb = v[1];
    r->output_kb = v[2];
    r->weights_mb = v[3];
    r->cost.load_ns = llround(v[4] * 1e6);
    r->cost.pages = (uint32_t)ceil(v[3] * 1e6 / COSTS_PAGE_BYTES);
    for (unsigned b = 0; b < POLICY_BATCHES; b++)
        r->cost.exec_ns[b] = llround(v[5 + b] * 1e6);
    return 0;
}

int serving_costs_parse(const char *text, size_t len, struct costs *ret_c, struct ac_err *err)
{
    struct costs c = {0};
    size_t cap = 0;
    int rc = 0;
    ac_cleanup(ac_free_p) char *copy = ac_xstrndup(text, len);
    char *rest = copy;
    unsigned row = 0;
    bool seen_header = false;
    for (char *line; rc == 0 && (line = ac_str_next(&rest, '\n')) != NULL;) {
        row++;
        line = ac_str_trim(line);
        if (*line == '\0' || *line == '#')
            continue;
        if (!seen_header) {
            rc = parse_header(line, err);
            seen_header = true;
            continue;
        }
        if (c.n == COSTS_ROWS_MAX) {
            rc = ac_err_set(err, AC_ERANGE, "row %u: more than %d models", row, COSTS_ROWS_MAX);
            break;
        }
        ac_grow(&c.rows, &cap, c.n + 1, sizeof(*c.rows));
        memset(&c.rows[c.n], 0, sizeof(c.rows[c.n]));
        rc = parse_row(line, row, &c.rows[c.n], err);
        if (rc == 0 && serving_costs_find(&c, c.rows[c.n].model))
            rc = ac_err_set(err, AC_EINVAL, "row %u, column 1: %s is there twice", row,
                            c.rows[c.n].model);
        c.n++;
    }
    if (rc == 0 && c.n == 0)
        rc = ac_err_set(err, AC_EINVAL, "row %u: the table has no model", row);
    if (rc) {
        serving_costs_free(&c);
        return rc;
    }
    *ret_c = c;
    return 0;
}

void serving_costs_free(struct costs *c)
{
    free(c->rows);
    *c = (struct costs){0};
}

const struct costs_row *serving_costs_find(const struct costs *c, const char *model)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->rows[i].model, model) == 0)
            return &c->rows[i];
    return NULL;
}

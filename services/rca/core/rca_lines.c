#include "rca_lines.h"

#include "rca_bins.h"
#include "rca_text.h"

#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/map.h>
#include <aceso/str.h>

#define SEVERITY_WARN 13
#define MAX_CELLS     ((size_t)16 << 20) /* bins of all patterns */
#define EVENT_NS      (60 * AC_NS_PER_S) /* equal lines of a minute are one event */

struct pattern {
    char *component, *peer, *pattern, *sample;
    int64_t *t_ns;
    size_t n, cap;
};

struct ac_rca_lines {
    struct pattern *p;
    size_t n, cap, lines;
    struct ac_map *index;    /* component, peer and pattern -> 1 + place */
    struct ac_map *patterns; /* component -> how many */
    struct rca_cover cover;
};

/* ---- patterns ---- */

static bool parts_words(unsigned char c)
{
    return isspace(c) || iscntrl(c) || strchr("[](){}<>\"'=,;/|&?", c) != NULL;
}

/* What is not the same from one line to the next: anything with a digit, and what is too long for a
 * word. */
static bool is_value(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isdigit((unsigned char)s[i]))
            return true;
    return n > 40;
}

void ac_rca_pattern(const char *text, char out[AC_RCA_PATTERN_BYTES + 1])
{
    size_t n = 0;
    bool star = false; /* the last word written is a star: further values beside it are in it */
    for (const char *p = text; *p && p < text + AC_RCA_LINE_BYTES && n < AC_RCA_PATTERN_BYTES;) {
        size_t len = 0;
        if (parts_words((unsigned char)*p)) {
            bool blank = isspace((unsigned char)*p) || iscntrl((unsigned char)*p);
            if (!blank)
                out[n++] = *p;
            else if (n > 0 && out[n - 1] != ' ')
                out[n++] = ' ';
            star &= blank || *p == ',';
            p++;
            continue;
        }
        while (p[len] && !parts_words((unsigned char)p[len]))
            len++;
        if (!is_value(p, len)) {
            size_t room = AC_MIN(len, AC_RCA_PATTERN_BYTES - n);
            memcpy(out + n, p, room);
            n += room;
            star = false;
        } else if (star) {
            while (n > 0 && out[n - 1] != '*')
                n--;
        } else {
            out[n++] = '*';
            star = true;
        }
        p += len;
    }
    out[n] = '\0';
    rca_whole_characters(out);
    for (n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
        out[n - 1] = '\0';
}

static bool contains_word(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

int ac_rca_severity(const char *word)
{
    static const struct {
        const char *part;
        int number;
    } levels[] = {{"warn", 13},  {"err", 17},   {"crit", 21},  {"fatal", 21},
                  {"panic", 21}, {"emerg", 21}, {"alert", 21}, {"info", 9},
                  {"notice", 9}, {"debug", 5},  {"trace", 1}};
    int64_t n;
    if (ac_str_to_i64(word, &n))
        return n > 0 && n <= 24 ? (int)n : 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(levels); i++)
        if (strcasestr(word, levels[i].part))
            return levels[i].number;
    return 0;
}

static bool is_error(const struct ac_rca_line *x)
{
    static const char *const words[] = {"error",    "fail",        "exception", "panic",
                                        "fatal",    "traceback",   "timeout",   "timed out",
                                        "refused",  "unavailable", "denied",    "unreachable",
                                        "rejected", "warn",        NULL};
    return x->severity > 0 ? x->severity >= SEVERITY_WARN : contains_word(x->text, words);
}

/* ---- what is added ---- */

struct ac_rca_lines *ac_rca_lines_create(void)
{
    struct ac_rca_lines *l = ac_xcalloc(1, sizeof(*l));
    l->index = ac_map_create(NULL);
    l->patterns = ac_map_create(NULL);
    return l;
}

void ac_rca_lines_destroy(struct ac_rca_lines *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++) {
        free(l->p[i].component);
        free(l->p[i].peer);
        free(l->p[i].pattern);
        free(l->p[i].sample);
        free(l->p[i].t_ns);
    }
    free(l->p);
    ac_map_destroy(l->index);
    ac_map_destroy(l->patterns);
    rca_cover_fini(&l->cover);
    free(l);
}

static struct pattern *pattern_of(struct ac_rca_lines *l, const struct ac_rca_line *x)
{
    char text[AC_RCA_PATTERN_BYTES + 1];
    const char *peer = x->peer ? x->peer : "";
    ac_rca_pattern(x->text, text);
    ac_cleanup(ac_free_p) char *key = ac_xasprintf("%s\n%s\n%s", x->component, peer, text);
    intptr_t at = (intptr_t)ac_map_get(l->index, key);
    if (at > 0)
        return &l->p[at - 1];
    intptr_t many = (intptr_t)ac_map_get(l->patterns, x->component);
    ac_cleanup(ac_free_p) char *rest = NULL;
    if (many >= AC_RCA_PATTERNS_A_COMPONENT) { /* the last one takes all further ones */
        rest = ac_xasprintf("%s\n\n...", x->component);
        ac_str_copy(text, sizeof(text), "...");
        peer = "";
        at = (intptr_t)ac_map_get(l->index, rest);
        if (at > 0)
            return &l->p[at - 1];
    }
    ac_grow(&l->p, &l->cap, l->n + 1, sizeof(l->p[0]));
    l->p[l->n] = (struct pattern){
        .component = ac_xstrdup(x->component),
        .peer = ac_xstrdup(peer),
        .pattern = ac_xstrdup(text),
        .sample = ac_xstrndup(x->text, strnlen(x->text, 512)),
    };
    ac_map_set(l->patterns, x->component, (void *)(many + 1));
    ac_map_set(l->index, rest ? rest : key, (void *)(intptr_t)++l->n);
    return &l->p[l->n - 1];
}

int ac_rca_lines_add(struct ac_rca_lines *l, const struct ac_rca_line *x, struct ac_err *err)
{
    if (!x->component[0])
        return 0;
    rca_cover_at(&l->cover, x->t_ns);
    if (!is_error(x))
        return 0;
    if (l->lines >= AC_RCA_MAX_LINES)
        return ac_err_set(err, AC_ERANGE, "more than %d warnings and errors", AC_RCA_MAX_LINES);
    if (l->n >= AC_RCA_MAX_METRICS)
        return ac_err_set(err, AC_ERANGE, "more than %d patterns of lines", AC_RCA_MAX_METRICS);
    struct pattern *p = pattern_of(l, x);
    ac_grow(&p->t_ns, &p->cap, p->n + 1, sizeof(p->t_ns[0]));
    p->t_ns[p->n++] = x->t_ns;
    l->lines++;
    return 0;
}

void ac_rca_lines_cover(struct ac_rca_lines *l, int64_t from_ns, int64_t to_ns)
{
    rca_cover_at(&l->cover, from_ns);
    rca_cover_at(&l->cover, to_ns);
}

void ac_rca_lines_end(struct ac_rca_lines *l)
{
    rca_cover_end(&l->cover);
}

/* ---- what they are about ---- */

/* Whether a name stands anywhere in a text as a word of its own. */
static bool has_word(const char *text, const char *name, size_t n)
{
    for (const char *at = text; (at = strstr(at, name)); at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[n]))
            return true;
    return false;
}

/* The component that a text names, other than the one that says it; the longest name wins. */
static int named_in(const struct ac_rca_case *c, const char *text, int speaker)
{
    int best = -1;
    size_t best_len = 0;
    for (size_t i = 0; i < c->ncomponents; i++) {
        size_t n = strlen(c->components[i]);
        if ((int)i == speaker || n < 3 || n <= best_len || !has_word(text, c->components[i], n))
            continue;
        best = (int)i;
        best_len = n;
    }
    return best;
}

static bool calls_others(const struct ac_rca_case *c, int component)
{
    for (size_t e = 0; e < c->nedges; e++)
        if (c->edges[e].from == component)
            return true;
    return false;
}

/* The one component that this one calls and that calls nobody; itself when there is not just one.
 */
static int store_of(const struct ac_rca_case *c, int component)
{
    int store = component, stores = 0;
    for (size_t e = 0; e < c->nedges; e++) {
        if (c->edges[e].from == component && !calls_others(c, c->edges[e].to)) {
            store = c->edges[e].to;
            stores++;
        }
    }
    return stores == 1 ? store : component;
}

static int about(const struct ac_rca_case *c, const struct pattern *p, int speaker,
                 enum ac_rca_event_class cls)
{
    int who = p->peer[0] ? ac_rca_component_find(c, p->peer) : -1;
    if (who < 0)
        who = named_in(c, p->sample, speaker);
    if (who < 0 && (cls == AC_RCA_EVENT_DENIED || cls == AC_RCA_EVENT_TIMEOUT ||
                    cls == AC_RCA_EVENT_UNREACHABLE))
        return store_of(c, speaker);
    return who < 0 ? speaker : who;
}

/* ---- what comes out ---- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* An event for each minute in which it was said, until there are too many: words only add to what
 * is measured. */
static void add_events(struct ac_rca_case *c, const struct pattern *p, int64_t from_ns,
                       struct ac_rca_event e)
{
    size_t i = 0;
    while (i < p->n && p->t_ns[i] < from_ns)
        i++;
    while (i < p->n) {
        e.t_ns = p->t_ns[i];
        for (e.count = 0; i < p->n && p->t_ns[i] - e.t_ns < EVENT_NS; i++)
            e.count++;
        if (ac_rca_event_add(c, &e))
            return;
    }
}

static int add_counts(struct ac_rca_case *c, const struct pattern *p, int speaker, int who,
                      const struct rca_bins *b, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *name =
        speaker == who ? ac_xasprintf("log \"%s\"", p->pattern)
                       : ac_xasprintf("log of %s \"%s\"", p->component, p->pattern);
    int m = ac_rca_metric_add(c, who, -1, AC_RCA_LOGERR, AC_RCA_MEAN, name);
    if (m < 0)
        return ac_err_set(err, m, "more than %d measurements", AC_RCA_MAX_METRICS);
    for (size_t i = 0, at = 0; i < b->n; i++) {
        double count = 0;
        for (; at < p->n && rca_bins_at(b, p->t_ns[at]) == i; at++)
            count++;
        if (b->covered[i])
            ac_rca_metric_push(&c->metrics[m], rca_bins_time(b, i), count);
    }
    return 0;
}

int ac_rca_lines_build(struct ac_rca_lines *l, struct ac_rca_case *c, int64_t events_from_ns,
                       struct ac_err *err)
{
    int rc = 0;
    struct rca_bins b = rca_bins_make(&l->cover, rca_bins_step(c, &l->cover),
                                      AC_MIN((size_t)20000, MAX_CELLS / (l->n + 1)));
    for (size_t i = 0; !rc && i < l->n; i++) /* a text may name any of them */
        if (ac_rca_component(c, l->p[i].component) < 0)
            rc = ac_err_set(err, AC_ERANGE, "more than %d components", AC_RCA_MAX_COMPONENTS);
    for (size_t i = 0; !rc && i < l->n; i++) {
        struct pattern *p = &l->p[i];
        enum ac_rca_event_class cls = ac_rca_event_classify(p->sample);
        int speaker = ac_rca_component_find(c, p->component), who = about(c, p, speaker, cls);
        qsort(p->t_ns, p->n, sizeof(p->t_ns[0]), by_time);
        rc = add_counts(c, p, speaker, who, &b, err);
        if (cls != AC_RCA_EVENT_OTHER)
            add_events(c, p, events_from_ns,
                       (struct ac_rca_event){
                           .component = speaker, .about = who, .cls = cls, .text = p->sample});
    }
    rca_bins_fini(&b);
    return rc;
}

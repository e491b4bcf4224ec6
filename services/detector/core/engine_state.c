/* What a series is called and what it remembers, as bytes. */
#include "engine_impl.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define STATE_MAX (64u << 20)
#define MAGIC     0x32444341u /* ACD2 */

/* Head, then an entry a rule, then the bytes of ac_eval_save. */
struct head {
    uint32_t magic, n;
    int64_t last_ns, seen_ns;
    double last;
};
struct entry {
    uint64_t rule; /* hash of its name */
    struct alert a;
};

/* "LENGTH:TEXT": lengths make the joined key unambiguous. */
static void put_part(struct ac_buf *b, const char *s)
{
    char digits[24];
    size_t len = strlen(s), at = sizeof digits;
    digits[--at] = ':';
    for (size_t n = len; n || at == sizeof digits - 1; n /= 10)
        digits[--at] = (char)('0' + n % 10);
    ac_buf_append(b, digits + at, sizeof digits - at);
    ac_buf_append(b, s, len);
}

char *engine_key_(const struct engine_series *s)
{
    struct ac_buf b;
    if (s->n_labels > ENGINE_LABELS_MAX)
        return NULL;
    ac_buf_init(&b, ENGINE_KEY_MAX + 1);
    put_part(&b, s->ns);
    put_part(&b, s->component);
    put_part(&b, s->metric);
    for (size_t i = 0; i < s->n_labels; i++) {
        put_part(&b, s->labels[i].key);
        put_part(&b, s->labels[i].value);
    }
    if (b.failed) {
        ac_buf_fini(&b);
        return NULL;
    }
    return ac_buf_take(&b);
}

/* The next part: its terminator overwrites the length of the one behind it, which was read by then.
 */
static bool take_part(char **at, size_t *len, const char **ret)
{
    char *colon;
    if (**at < '0' || **at > '9')
        return false;
    size_t n = strtoul(*at, &colon, 10);
    if (*colon != ':' || n > ENGINE_KEY_MAX || strnlen(colon + 1, n) < n)
        return false;
    *ret = colon + 1;
    *len = n;
    *at = colon + 1 + n;
    return true;
}

bool engine_key_parse_(char *text, struct engine_series *ret, struct ac_label *labels)
{
    const char *part[3 + 2 * ENGINE_LABELS_MAX];
    size_t len[AC_ARRAY_LEN(part)], n = 0;
    for (char *at = text; *at; n++) {
        if (n == AC_ARRAY_LEN(part) || !take_part(&at, &len[n], &part[n]))
            return false;
    }
    if (n < 3 || n % 2 == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        text[(size_t)(part[i] - text) + len[i]] = '\0';
    for (size_t i = 3; i < n; i += 2)
        labels[(i - 3) / 2] = (struct ac_label){part[i], part[i + 1]};
    *ret = (struct engine_series){part[0], part[1], part[2], labels, (n - 3) / 2};
    return true;
}

void engine_save_(const struct series *s, struct ac_buf *b)
{
    struct head h = {MAGIC, (uint32_t)s->w.n, s->last_ns, s->seen_ns, s->last};
    ac_buf_append(b, &h, sizeof h);
    for (size_t i = 0; i < s->w.n; i++) {
        struct entry x = {ac_hash_str(s->w.rules[i]->name), s->w.alerts[i]};
        ac_buf_append(b, &x, sizeof x);
    }
    if (s->w.eval)
        (void)ac_eval_save(s->w.eval, b);
}

bool engine_load_(struct engine *e, struct series *s, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    struct head h;
    struct entry x;
    if (len < sizeof h)
        return false;
    memcpy(&h, p, sizeof h);
    size_t at = sizeof h + (size_t)h.n * sizeof x;
    if (h.magic != MAGIC || at > len || h.seen_ns < 0)
        return false;
    s->last_ns = h.last_ns;
    s->seen_ns = h.seen_ns;
    s->last = h.last;
    for (uint32_t k = 0; k < h.n; k++) {
        memcpy(&x, p + sizeof h + k * sizeof x, sizeof x);
        for (size_t i = 0; i < s->w.n; i++) {
            if (ac_hash_str(s->w.rules[i]->name) != x.rule || s->w.alerts[i].open || !x.a.open)
                continue;
            s->w.alerts[i] = x.a;
            e->counts.open++;
        }
    }
    if (s->w.eval && at < len && ac_eval_restore(s->w.eval, p + at, len - at, NULL, NULL) < 0)
        ac_eval_reset(s->w.eval);
    return true;
}

void engine_snapshot(struct engine *e, engine_snapshot_fn fn, void *arg)
{
    const char *key;
    void *v;
    struct ac_buf b;
    ac_buf_init(&b, STATE_MAX + (1u << 20));
    for (size_t it = 0; ac_map_next(e->series, &it, &key, &v);) {
        struct series *s = v;
        if (!s->dirty)
            continue;
        ac_buf_reset(&b);
        engine_save_(s, &b);
        AC_ASSERT(!b.failed); /* a plan's state has a limit below the buffer's */
        fn(key, b.data, b.len, arg);
        s->dirty = false;
    }
    ac_buf_fini(&b);
}

bool engine_restore(struct engine *e, const char *key, const void *state, size_t len)
{
    struct ac_label labels[ENGINE_LABELS_MAX];
    struct engine_series k;
    char *text = ac_xstrdup(key);
    struct series *s = NULL;
    if (engine_key_parse_(text, &k, labels))
        s = engine_series_(e, &k);
    free(text);
    if (!s)
        return false;
    engine_reset_(s);
    return engine_load_(e, s, state, len);
}

/* Inside shared/rules: tokens of the rule language. */
#pragma once

#include "rules_impl.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/rules.h>

enum tok {
    T_END,
    T_WORD,
    T_NUM,
    T_DURATION,
    T_STRING,
    T_PUNCT, /* one or two characters, in text */
    T_BAD
};

struct token {
    enum tok kind;
    int line, column;
    const char *text; /* word, punctuation (arena); string: unescaped */
    double num;
    int64_t ns;
    const char *comment; /* comment lines before it, or NULL */
    const char *trail;   /* comment on the line of the token before, or NULL */
};

struct lexer {
    const char *p, *end, *line_start;
    int line;
    bool started, newline; /* a token was read; a line ended since */
    bool not_utf8;         /* a comment before the next token is not */
    struct ac_arena *arena;
    struct ac_diags *diags;
};

void lexer_init(struct lexer *l, const char *text, size_t len, struct ac_arena *a,
                struct ac_diags *d);
/** T_BAD after it has put an error into diags. */
struct token lexer_next(struct lexer *l);

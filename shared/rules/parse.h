/* Inside shared/rules: the parser's state and the steps that its two files share. */
#pragma once

#include "lex.h"

struct parser {
    struct lexer lx;
    struct token t; /* current */
    struct ac_arena *arena;
    struct ac_diags *diags;
    struct ac_rule *rule;
    size_t cap_lets;
    const char *notes; /* comments inside the current clause */
    int depth;
};

bool parser_is(const struct parser *p, const char *text);
void parser_advance(struct parser *p);
bool parser_accept(struct parser *p, const char *text);
/** Puts "expected WANTED, found ..." into the diagnostics; returns false. */
bool parser_fail(struct parser *p, const char *hint, const char *wanted);
bool parser_expect(struct parser *p, const char *text);
void parser_did_you_mean(char *dst, size_t size, const char *name);
/** A whole expression; NULL after an error was noted. */
struct expr *parser_expr(struct parser *p);

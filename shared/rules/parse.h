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
/** The input of the rule under a name, or NULL. */
const struct input *parser_input(const struct parser *p, const char *name);
/** Adds an input; NULL after an error was noted. */
struct input *parser_add_input(struct parser *p, const struct token *at, struct ac_rule_input in);
/** input NAME = KIND("WHAT") {labels}, behind the word input. */
bool parser_parse_input(struct parser *p);
/** May name a let or an input; an error is noted otherwise. */
bool parser_new_name(struct parser *p, const char *usage);
/** {label = "PATTERN", ...}, if there is one. */
bool parser_labels(struct parser *p, struct ac_label **ret, size_t *ret_n);
/** [1, -2], at its [. */
struct expr *parser_list(struct parser *p);
/** A whole expression; NULL after an error was noted. */
struct expr *parser_expr(struct parser *p);

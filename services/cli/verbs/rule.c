/* aceso rule: checks, formats and evaluates rule files. No service is needed. */
#include "rule/rule.h"

#include <aceso/base.h>
#include <aceso/str.h>

static int cmd_rule(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_rule = {
    "rule", "check, format, explain, compare and evaluate rules", cmd_rule,
    "usage: aceso rule check FILE [--metrics LIST]\n"
    "       aceso rule fmt FILE [--to text|json] [--write]\n"
    "       aceso rule eval FILE --series CSV [--stream] [--out FLAGS] [--explain N] [--plot SVG]\n"
    "       aceso rule explain FILE [--series CSV] [--explain N]\n"
    "       aceso rule diff OLD NEW\n"
    "       aceso rule ops [--markdown]\n\n"
    "  check          syntax, types, bytes of state a series and arithmetic steps a point\n"
    "  --metrics LIST a file with a metric a line: a rule that follows none of them is a mistake\n"
    "                 FILE is rule text, or its syntax tree in JSON (as fmt --to json gives it)\n"
    "  fmt            prints the canonical text, or JSON; --write puts it into the file\n"
    "  --series CSV   value,label rows or a header with timestamp,value,label; .gz is read as it "
    "is;\n"
    "                 inputs of the rules are columns under their names\n"
    "  --stream       feeds point by point instead of in blocks: the flags are the same\n"
    "  --out FLAGS    one 0/1 a row; with several rules a row is 1 when any of them flags it\n"
    "  --explain N    show the reasons of at most N flagged rows (default 20)\n"
    "  --plot SVG     a picture of the series, its events, the flags and their reasons\n"
    "  explain        reads a rule out in plain words; with a series, tells of each flagged row\n"
    "                 which parts of the condition made it so, with their values\n"
    "  diff           rules, clauses, terms and numbers that changed, and which state lives on\n"
    "  ops            the operators of the language; --markdown: as docs/rules-reference.md\n"};

static const struct {
    const char *name;
    int files;
    int (*fn)(const struct rule_args *a, const struct cli_ctx *ctx);
} actions[] = {{"check", 1, rule_check_cmd}, {"fmt", 1, rule_fmt_cmd},
               {"eval", 1, rule_eval_cmd},   {"explain", 1, rule_explain_cmd},
               {"diff", 2, rule_diff_cmd},   {"ops", 0, rule_ops_cmd}};

static int cmd_rule(int argc, char **argv, const struct cli_ctx *ctx)
{
    struct rule_args a = {.explain = 20};
    const char *stream = NULL, *write = NULL, *explain = NULL, *markdown = NULL;
    struct cli_opt opts[] = {{.name = "--series", .has_value = true, .value = &a.series},
                             {.name = "--metrics", .has_value = true, .value = &a.metrics},
                             {.name = "--to", .has_value = true, .value = &a.to},
                             {.name = "--out", .has_value = true, .value = &a.out},
                             {.name = "--explain", .has_value = true, .value = &explain},
                             {.name = "--plot", .has_value = true, .value = &a.plot},
                             {.name = "--stream", .value = &stream},
                             {.name = "--write", .value = &write},
                             {.name = "--markdown", .value = &markdown}};
    int npos = 0;
    int rc = cli_parse(&cli_verb_rule, argc, argv, opts, AC_ARRAY_LEN(opts), &npos);
    if (rc)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    uint64_t max = 20;
    if (explain && (!ac_str_to_u64(explain, &max) || max > 1000000))
        return cli_usage("rule", "--explain is a number of rows");
    a.explain = (size_t)max;
    a.stream = stream;
    a.write = write;
    a.markdown = markdown;
    if (a.to && !ac_streq(a.to, "text") && !ac_streq(a.to, "json"))
        return cli_usage("rule fmt", "--to is text or json");
    if (npos < 1)
        return cli_usage("rule", "say check, fmt, eval, explain, diff or ops (aceso rule --help)");
    size_t i = 0;
    while (i < AC_ARRAY_LEN(actions) && !ac_streq(argv[1], actions[i].name))
        i++;
    if (i == AC_ARRAY_LEN(actions))
        return cli_usage("rule", "%s is no action: check, fmt, eval, explain, diff or ops",
                         argv[1]);
    if (npos != 1 + actions[i].files)
        return cli_usage("rule", "%s takes %s (see aceso rule --help)", argv[1],
                         actions[i].files == 2   ? "two files"
                         : actions[i].files == 1 ? "one file"
                                                 : "no file");
    a.file = actions[i].files > 0 ? argv[2] : NULL;
    a.other = actions[i].files > 1 ? argv[3] : NULL;
    if (actions[i].fn == rule_eval_cmd && !a.series)
        return cli_usage("rule eval", "name a series file with --series");
    return actions[i].fn(&a, ctx);
}

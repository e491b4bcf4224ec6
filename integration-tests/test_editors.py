"""The TextMate grammar of the rule language (editors/): tokens of real rules, read by a small tokeniser that follows
the format's own rules (patterns in order, the first match furthest left, begin/end with a stack)."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")).resolve() / "bin/aceso"
EDITORS = ROOT / "editors"
GRAMMAR = json.loads((EDITORS / "aceso.tmLanguage.json").read_text())


def rules_of(patterns):
    for p in patterns:
        if "include" in p:
            p = GRAMMAR["repository"][p["include"][1:]]
        if "match" in p or "begin" in p:
            yield p
        else:
            yield from rules_of(p["patterns"])


def tokens(text):
    """(text, innermost scope) of everything that has one."""
    out, stack = [], [(None, GRAMMAR["patterns"])]
    for line in text.splitlines():
        at = 0
        while True:
            top, patterns = stack[-1]
            found = [(re.compile(p.get("match", p.get("begin"))).search(line, at), p) for p in rules_of(patterns)]
            if top:
                found.insert(0, (re.compile(top["end"]).search(line, at), None))
            found = [(m, p) for m, p in found if m]
            if not found:
                break
            m, p = min(found, key=lambda x: x[0].start())
            scope = next((s["name"] for s, _ in reversed(stack) if s and "name" in s), None)
            if line[at:m.start()].strip() and scope:
                out.append((line[at:m.start()], scope))
            at = m.end()
            if p is None:
                stack.pop()
                continue
            captures = p.get("captures", p.get("beginCaptures", {}))
            for k, c in captures.items():
                if m.group(int(k)):
                    out.append((m.group(int(k)), c["name"]))
            if "begin" in p:
                stack.append((p, p["patterns"]))
            elif not captures:
                out.append((m.group(0), p["name"]))
            if at == m.start() and at >= len(line):
                break
    assert len(stack) == 1, stack
    return out


SAMPLE = """language 1
# "not a string" 5m
rule "a \\"b\\"" {
    on "rpc.*" {component = "x"}
    step 1m # every minute
    input errors = series("errors") {code = "5*"}
    let usual = robust_z(value, 2.5h, 0.1) - .5e-3
    let bad = medain(value, 3)
    when usual >= 3 and not bad or time_of_day("Europe/Berlin") < 100 for 2 of 3
    until errors == 0
    severity critical
    reason "{{x}} {usual} {largest 2 of usual, value} \\q"
}
"""


def test_tokens_of_a_rule():
    t = tokens(SAMPLE)
    scope = dict(reversed([(a, s.removesuffix(".aceso")) for a, s in t]))
    assert scope['# "not a string" 5m'] == "comment.line.number-sign"
    for word in ("language", "on", "step", "when", "until", "for", "of", "severity", "reason"):
        assert scope[word] == "keyword.control", word
    assert scope["rule"] == scope["let"] == scope["input"] == "keyword.declaration"
    assert scope["a "] == "entity.name.function" and scope['\\"'] == "constant.character.escape"
    assert scope["rpc.*"] == scope["Europe/Berlin"] == "string.quoted.double"
    assert scope["series"] == "support.type.input"
    assert ("errors", "variable.other.definition.aceso") in t and ("errors", "variable.other.aceso") in t
    assert scope["robust_z"] == scope["time_of_day"] == "support.function"
    assert scope["medain"] == "invalid.illegal.operator"
    assert scope["2.5"] == "constant.numeric.duration"
    assert scope["h"] == scope["m"] == "keyword.other.unit"
    assert scope[".5e-3"] == "constant.numeric" and scope["0.1"] == "constant.numeric"
    assert scope["and"] == scope["or"] == scope["not"] == "keyword.operator.logical"
    assert scope[">="] == scope["=="] == "keyword.operator.comparison" and scope["-"] == "keyword.operator.arithmetic"
    assert scope["critical"] == "constant.language.severity" and scope["value"] == "variable.language"
    assert scope["{usual}"] == scope["{largest 2 of usual, value}"] == "variable.other.placeholder"
    assert scope["{{"] == "constant.character.escape"
    assert scope["\\q"] == "invalid.illegal.escape"


def test_every_operator_is_known_to_the_grammar():
    ops = json.loads(subprocess.run([str(ACESO), "rule", "ops", "--json"], capture_output=True, text=True,
                                    check=True).stdout)["operators"]
    for o in ops:
        assert (o["name"], "support.function.aceso") in tokens(f"let x = {o['example'].split(' => ')[0]}"), o["name"]
    known = next(p["match"] for p in GRAMMAR["repository"]["expression"]["patterns"]
                 if p.get("name") == "support.function.aceso")
    assert set(re.findall(r"[a-z_]{2,}|\bz\b", known.split("(", 1)[1].split(")")[0])) == {o["name"] for o in ops}


@pytest.mark.parametrize("file", sorted((ROOT / "shared/rules/tests/corpus/rules").glob("*.rule")), ids=lambda f: f.name)
def test_nothing_of_a_good_rule_is_called_wrong(file):
    t = tokens(file.read_text())
    assert len(t) > 20 and not [x for x in t if "invalid" in x[1]]


def test_the_package_names_its_files():
    p = json.loads((EDITORS / "package.json").read_text())["contributes"]
    assert p["grammars"][0]["scopeName"] == GRAMMAR["scopeName"] == "source.aceso"
    for f in (p["grammars"][0]["path"], p["languages"][0]["configuration"]):
        json.loads((EDITORS / f).read_text())

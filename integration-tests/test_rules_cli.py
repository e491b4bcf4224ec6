"""aceso rule and aceso train as people use them: checks and messages with places, formatting, evaluation against a
plain calculation, training that sees the training part only, and the bench against an independent scorer."""

import gzip
import json
import math
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")).resolve() / "bin/aceso"
SCORER = ROOT.parent / "shared/reference/score_events.py"


def aceso(*args, code=0, text=None):
    p = subprocess.run([str(ACESO), *map(str, args)], capture_output=True, text=True, timeout=120, input=text)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def answer(*args, **kw):
    return json.loads(aceso(*args, "--json", **kw).stdout.splitlines()[-1])


RULE = """language 1
# how the shop feels
rule "slow" {
    on "latency*" {service = "search"}   # glob
    step 1s
    let m = mean(value, 5)
    let usual = median(lag(value, 5), 30s)
    when m > 3 * usual and m > 2 for 2 of 3
    until m < 2 for 3 of 3
    severity critical
    reason "mean {m}, usually {usual}"
}
"""


def test_check_states_cost_and_errors_with_their_place(tmp_path):
    f = tmp_path / "a.rule"
    f.write_text(RULE)
    ok = answer("rule", "check", f)
    assert ok["ok"] and ok["errors"] == [] and ok["state_bytes"] > 0 and ok["ops_per_point"] > 1
    assert f"{f}: ok; 1 rules" in aceso("rule", "check", f).stdout
    f.write_text(RULE.replace("mean(", "meen(").replace("{usual}", "{usuel}"))
    bad = answer("rule", "check", f, code=2)
    assert [(e["line"], e["column"]) for e in bad["errors"]] == [(6, 13)] and bad["errors"][0]["hint"] == "did you mean mean?"
    assert aceso("rule", "check", f, code=2).stderr == f"{f}:6:13: there is no operator meen (did you mean mean?)\n"


ERRORS = [
    ("", 1, 1, "expected language"),
    ("language 2", 1, 10, "language 1 only"),
    ("language 1\nrule \"a\" { when value }", 2, 17, "truth value"),
    ("language 1\nrule \"a\" { on \"x\" }", 2, 1, "no when"),
    ("language 1\nrule \"a\" {\n when mean(value, 0) > 1 }", 3, 19, "whole number of points"),
    ("language 1\nrule \"a\" {\n when mean(value, 5m) > 1 }", 3, 19, "step"),
    ("language 1\nrule \"a\" {\n when median(value, 2000000) > 1 }", 3, 21, "1000000"),
    ("language 1\nrule \"a\" {\n when value > 1 for 5 of 3 }", 3, 21, "K <= N"),
    ("language 1\nrule \"a\" {\n when value > 1\n reason \"{x}\" }", 4, 9, "not known"),
    ("language 1\nrule \"a\" {\n let x = 1\n let x = 2\n when value > x }", 4, 6, "given twice"),
    ("language 1\nrule \"a\" {\n when value > 1 $ }", 3, 17, ""),
    ("language 1\nrule \"a\" {\n when value > 1\n severity urgent }", 4, 11, "severity"),
    ("language 1\nrule \"a\" {\n when season_mean(value, 5, 2, 5) > 1 }", 3, 32, "no look ahead"),
    ("language 1\nrule \"a\" { when value > 1 }\nrule \"a\" { when value > 2 }", 3, 1, "the name a"),
    ("language 1\nrule \"a\" { when " + "(" * 5000 + "value > 1", 2, None, "too deeply"),
    ("language 1\nrule \"a\" { reason \"open", 2, 19, ""),
]


@pytest.mark.parametrize("text,line,column,part", ERRORS)
def test_each_mistake_has_a_place(tmp_path, text, line, column, part):
    f = tmp_path / "bad.rule"
    f.write_text(text)
    e = answer("rule", "check", f, code=2)["errors"][0]
    assert e["line"] == line and column in (None, e["column"]) and part in e["message"] + e["hint"], e
    for verb in (("check",), ("fmt",), ("eval", "--series", f)):
        p = aceso("rule", verb[0], f, *verb[1:], code=2)
        assert p.stderr.startswith(f"{f}:{line}:{e['column']}: ") and not p.stdout


def test_every_rule_with_a_mistake_is_told(tmp_path):
    f = tmp_path / "bad.rule"
    f.write_text("language 1\n" + "".join(f'rule "r{i}" {{ when valu > {i} }}\n' for i in range(3)))
    assert [e["line"] for e in answer("rule", "check", f, code=2)["errors"]] == [2, 3, 4]


def test_fmt_is_canonical_and_keeps_comments(tmp_path):
    f = tmp_path / "a.rule"
    f.write_text('language 1 rule "a" { # why\n let x=mean( value ,3)when x>1 and(not(x>5)) reason "{x}" }')
    once = aceso("rule", "fmt", f).stdout
    assert "# why" in once and "let x = mean(value, 3)\n" in once
    aceso("rule", "fmt", f, "--write")
    assert f.read_text() == once == aceso("rule", "fmt", f).stdout
    assert answer("rule", "fmt", f)["text"] == once


@pytest.mark.parametrize("text", [
    "language 1\n" + "".join(f'rule "r{i}" {{ when median(value, 1000) > {i} }}\n' for i in range(4000)),
    "language 1\nrule \"a\" {\n" + "".join(f" let x{i} = median(value, {i + 1})\n" for i in range(2000)) +
    " when x0 > 1 }",
    "language 1\nrule \"a\" {\n let x0 = value\n" + "".join(f" let x{i + 1} = x{i} + x{i}\n" for i in range(2000)) +
    " when x2000 > 1 }",
    "language 1\nrule \"a\" { when value > 1 reason \"" + "{value}" * 200000 + "\" }",
    "language 1\n" + "rule " * 500000,
    "language 1\n" + "#" * 4000000,
    "language 1\nrule \"a\" { when " + "not " * 500000 + "value > 1 }",
    "language 1\nrule \"a\" { when value > 1" + " + value" * 400000 + " }",
    "language 1\nrule \"a\" { when ar(value, [" + "1, " * 500000 + "1]) > 1 }",
    "x" * (4 << 20),
    "language 1 " + "y" * (4 << 20),
], ids=["rules", "windows", "doubling", "placeholders", "words", "comment", "not", "sum", "list", "word", "too-long"])
def test_hostile_texts_end_soon_in_little_memory(tmp_path, text):
    f = tmp_path / "hostile.rule"
    f.write_text(text)
    p = subprocess.run(["sh", "-c", 'ulimit -v 1500000; exec "$0" rule check "$1"', str(ACESO), str(f)],
                       capture_output=True, text=True, timeout=20,
                       env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})  # it reserves memory a processor
    assert p.returncode in (0, 2), p.stderr[-500:]
    assert p.returncode == 0 or str(f) in p.stderr.splitlines()[0][:300], p.stderr[:300]


def values(rng, n):
    return [10 + 3 * math.sin(i / 20) + rng.gauss(0, 0.3) + (15 if i % 97 < 4 and i > 50 else 0) for i in range(n)]


def test_eval_is_what_one_calculates_by_hand(tmp_path):
    rng = random.Random(5)
    v = values(rng, 1000)
    gaps = {i for i in range(1000) if rng.random() < 0.05}
    csv = tmp_path / "s.csv"
    csv.write_text("timestamp,value\n" + "".join(f"{1000 + i},{'' if i in gaps else repr(x)}\n" for i, x in enumerate(v)))
    with gzip.open(tmp_path / "s.csv.gz", "wt") as z:
        z.write(csv.read_text())
    rule = tmp_path / "a.rule"
    rule.write_text('language 1\nrule "a" {\n let m = mean(value, 5)\n let top = max(value, 3)\n'
                    ' when m > 13 and top < 30 for 2 of 3\n reason "{m}"\n}\n')
    raw = []
    for i in range(1000):
        w = [v[k] for k in range(max(0, i - 4), i + 1) if k not in gaps]
        t = [v[k] for k in range(max(0, i - 2), i + 1) if k not in gaps]
        raw.append(2 * len(w) >= 5 and sum(w) / len(w) > 13 and 2 * len(t) >= 3 and max(t) < 30)
    flags = {}
    for name, more in (("batch", ()), ("stream", ("--stream",))):
        a = answer("rule", "eval", rule, "--series", csv, "--out", tmp_path / name, "--explain", "3", *more)
        flags[name] = [int(x) for x in (tmp_path / name).read_text().split()]
        assert a["points"] == 1000 and a["flagged"] == sum(flags[name]) and len(a["explained"]) == 3
        first = a["explained"][0]
        assert flags[name][first["row"]] == 1 and first["values"]["m"] > 13
    assert flags["batch"] == flags["stream"]
    assert flags["batch"] == [int(sum(raw[max(0, i - 2):i + 1]) >= 2) for i in range(1000)]
    assert sum(flags["batch"]) > 20
    assert answer("rule", "eval", rule, "--series", tmp_path / "s.csv.gz")["flagged"] == sum(flags["batch"])


@pytest.mark.parametrize("text,place", [
    ("timestamp,value\n1,2\n2,x\n", "3:2: "), ("a,b\n1,2\n", "1:1: "),
    ("timestamp,value\n5,1\n4,1\n", "3:1: "),
])
def test_a_malformed_series_is_one_line_and_no_output(tmp_path, text, place):
    (tmp_path / "s.csv").write_text(text)
    (tmp_path / "a.rule").write_text('language 1 rule "a" { when value > 1 }')
    p = aceso("rule", "eval", tmp_path / "a.rule", "--series", tmp_path / "s.csv", "--out", tmp_path / "o", code=2)
    assert len(p.stderr.splitlines()) == 1 and f"s.csv:{place}" in p.stderr, p.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("args", [
    ("rule",), ("rule", "nothing", "x"), ("rule", "check"), ("rule", "eval", "x.rule"), ("train",),
    ("train", "--series", "x.csv"), ("train", "bench", "--dataset", "kpi"), ("train", "bench", "--dataset", "no", "."),
    ("train", "--series", "x.csv", "--out", "o", "--proposer", "oracle"), ("rule", "check", "/nonexistent/x.rule"),
    ("train", "--series", "/nonexistent/x.csv", "--out", "o"),
])
def test_wrong_usage_is_one_line_and_exit_2(tmp_path, args):
    p = subprocess.run([str(ACESO), *args], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert p.returncode == 2 and p.stderr.strip() and not p.stdout
    lines = [x for x in p.stderr.splitlines() if x.strip() and not x.endswith("1 series")]  # no progress
    assert len(lines) == 1 or "usage:" in p.stderr, p.stderr


# ---- training ----

def kpi(path, seed, n=4000, train=2000, test_labels=True):
    """A series with a season, noise and labelled events: spikes and steps."""
    rng = random.Random(seed)
    rows, event = [], 0
    for i in range(n):
        if event == 0 and rng.random() < 0.008:
            event, size = rng.randint(2, 6), rng.choice((8, 10, -8))
        label = int(event > 0)
        rows.append((20 + 5 * math.sin(i / 60) + rng.gauss(0, 0.5) + (size if label else 0),
                     label if test_labels or i < train else 0))
        event -= event > 0
    path.write_text(f"# made series n_train={train}\nvalue,label\n" + "".join(f"{v!r},{y}\n" for v, y in rows))
    return [y for _, y in rows]


def event_f1(labels, flags, delay):
    """The same definition, written once more: segments hit within the delay, flagged points outside all of them."""
    hit = missed = i = 0
    while i < len(labels):
        end = i
        while end < len(labels) and labels[end]:
            end += 1
        if end > i:
            last = end if delay is None else min(end, i + delay + 1)
            hit, missed = (hit + 1, missed) if 1 in flags[i:last] else (hit, missed + 1)
        i = end + 1
    false = sum(1 for y, f in zip(labels, flags) if f and not y)
    return 2 * hit / (2 * hit + false + missed) if hit + false + missed else 0.0


def test_training_sees_the_training_part_only_and_the_bench_scores_as_others_do(tmp_path):
    data, blind = tmp_path / "data", tmp_path / "blind"
    data.mkdir()
    blind.mkdir()
    labels = {s: kpi(data / f"s{s}.csv", s) for s in range(3)}
    for s in range(3):
        kpi(blind / f"s{s}.csv", s, test_labels=False)
    files = [data / f"s{s}.csv" for s in range(3)]
    out = answer("train", "--series", files[0], "--series", files[1], "--series", files[2], "--out", tmp_path / "out")
    names = [x["name"] for x in out["series"]]
    answer("train", *[a for s in range(3) for a in ("--series", blind / f"s{s}.csv")], "--out", tmp_path / "out2")
    with_delay, without = [], []
    for s, name in enumerate(names):
        rule, flags = tmp_path / "out" / f"{name}.rule", tmp_path / "out" / f"{name}.flags"
        assert rule.read_text() == (tmp_path / "out2" / f"{name}.rule").read_text()
        assert answer("rule", "check", rule)["ok"]
        answer("rule", "eval", rule, "--series", files[s], "--out", tmp_path / "again", "--stream")
        assert (tmp_path / "again").read_text() == flags.read_text()
        f = [int(x) for x in flags.read_text().split()]
        assert len(f) == 4000
        with_delay.append(event_f1(labels[s][2000:], f[2000:], 7))
        without.append(event_f1(labels[s][2000:], f[2000:], None))
        if SCORER.exists():
            r = json.loads(subprocess.run([sys.executable, str(SCORER), str(files[s]), str(flags)], check=True,
                                          capture_output=True, text=True).stdout)
            assert math.isclose(r["event_f1_delay"], with_delay[-1], abs_tol=1e-6)
            assert math.isclose(r["event_f1"], without[-1], abs_tol=1e-6)
    bench = answer("train", "bench", "--dataset", "kpi", data)
    assert bench["series"] == 3
    assert math.isclose(bench["event_f1_delay"], sum(with_delay) / 3, abs_tol=1e-6)
    assert math.isclose(bench["event_f1"], sum(without) / 3, abs_tol=1e-6)
    assert bench["event_f1_delay"] > 0.7, "the events of this data are plain"
    assert bench["series_with_events"] == 3
    for protocol in ("honest", "argos"):
        runs = [answer("train", "bench", "--dataset", "kpi", data, "--protocol", protocol, "--threads", t) for t in (1, 3)]
        assert runs[0].pop("seconds") > 0 and runs[1].pop("seconds") > 0
        assert runs[0] == runs[1], "the result depends on the threads"
    # The lines of the series are of the stream that is scored.
    text = aceso("train", "bench", "--dataset", "kpi", data, "--protocol", "argos").stdout
    each = [tuple(map(float, m)) for m in re.findall(r"^s\d +(\S+)  tp +(\d+) fp +(\d+) fn +(\d+) ", text, re.M)]
    assert len(each) == 3 and all(abs(f - 2 * tp / (2 * tp + fp + fn)) < 1e-4 for f, tp, fp, fn in each)
    assert math.isclose(runs[0]["event_f1"], sum(e[0] for e in each) / 3, abs_tol=1e-4)
    assert (runs[0]["tp"], runs[0]["fp"]) == (sum(e[1] for e in each), sum(e[2] for e in each))


def test_what_cannot_be_told_apart_or_scored_is_refused(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for d in (one, two):
        d.mkdir()
        (d / "a.csv").write_text("timestamp,value\n" + "".join(f"{60 * i},{i % 7}\n" for i in range(300)))
    p = aceso("train", "--series", one / "a.csv", "--series", two / "a.csv", "--out", tmp_path / "out", code=2)
    assert "two/a.csv: its series a is that of " in p.stderr and not (tmp_path / "out").exists()
    answer("train", "--series", one / "a.csv", "--out", tmp_path / "out")  # nobody has to have labelled it
    assert "one/a.csv: no column of labels" in aceso("train", "bench", "--dataset", "csv", one, code=2).stderr


def test_budget_evolution_and_feedback(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    kpi(data / "a.csv", 5)
    train = ("train", "--series", data / "a.csv", "--out")
    evolved = [answer(*train, tmp_path / f"e{i}", "--evolve", 6, "--seed", 3)["series"][0] for i in range(2)]
    for e in evolved:
        assert e["evolve"]["tries"] == 6 and not e["evolve"]["cut"] and e["value"] >= e["base_value"]
        assert math.isclose(e["value"] - e["base_value"], e["evolve"]["gain"] + sum(p["gain"] for p in e["parts"] if p["kept"]),
                            abs_tol=1e-5)
    assert evolved[0]["rule"] == evolved[1]["rule"]
    cut = answer(*train, tmp_path / "c", "--evolve", 100000, "--budget-s", 0.5)["series"][0]
    assert cut["evolve"]["cut"] and cut["evolve"]["tries"] < 100000
    voted = answer(*train, tmp_path / "v", "--vote", 3)["series"][0]
    first = voted["parts"][0]
    assert first["name"] == "vote" and first["kept"] == (first["gain"] > 0) == ("reason \"vote of 3: " in voted["rule"])
    held = answer(*train, tmp_path / "h", "--alarm-budget", 2)["series"][0]
    assert held["budget"]["after"] <= held["budget"]["before"] and "lately <= 2" in held["rule"]
    bench = answer("train", "bench", "--dataset", "csv", data, "--alarm-budget", 2)
    assert bench["worse_than_base"] == 0 and bench["alarms_per_day"] < 3
    assert answer("train", "bench", "--dataset", "csv", data, "--protocol", "feedback")["event_f1_delay"] > 0.7
    for bad in (("--alarm-budget", "0"), ("--evolve", "x"), ("--seed", "-1"), ("--vote", "1"), ("--vote", "10")):
        aceso(*train, tmp_path / "b", *bad, code=2)


def test_training_reports_a_bad_file_and_writes_nothing_for_it(tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("# x n_train=2\nvalue,label\n1,0\nx,0\n")
    p = aceso("train", "--series", bad, "--out", tmp_path / "out", code=2)
    assert "bad.csv:4:1: " in p.stderr and not (tmp_path / "out").exists()


def test_the_manual_is_the_operator_table():
    assert aceso("rule", "ops", "--markdown").stdout == (ROOT / "docs/rules-reference.md").read_text(), \
        "make it again: build/bin/aceso rule ops --markdown > docs/rules-reference.md"
    ops = answer("rule", "ops")["operators"]
    text = aceso("rule", "ops").stdout
    assert len(ops) > 45 and all(o["example"] in text and o["missing"] and o["cost"] for o in ops)


INPUTS = """language 1
rule "errors" {
    on "requests"
    step 1h
    input errors = series("errors") {kind = "5*"}
    input score = model("resnet")
    let share = ratio(errors, value, 10)
    let night = time_of_day("Europe/Berlin") < 21600
    when share > 0.1 and not night or score > 3
    reason "{share} {score} {errors}"
}
"""


def test_inputs_are_columns_and_zones_have_their_summer_time(tmp_path):
    rule, csv = tmp_path / "a.rule", tmp_path / "a.csv"
    rule.write_text(INPUTS)
    start = 1774742400  # 2026-03-29 00:00 UTC: an hour before the clocks of Berlin are put forward
    rows = [(start + 3600 * i, 100 if i % 7 else 5, i % 13, i % 5) for i in range(48)]
    csv.write_text("timestamp,value,score,errors\n" + "".join(f"{t},{v},{s},{e}\n" for t, v, e, s in rows))
    want = []
    for i, (t, v, e, s) in enumerate(rows):
        local = (t + (7200 if t >= start + 3600 else 3600)) % 86400
        want.append(int((v >= 10 and e / v > 0.1 and local >= 21600) or s > 3))
    assert 3 < sum(want) < 40
    for mode in ([], ["--stream"]):
        out = answer("rule", "eval", rule, "--series", csv, "--out", tmp_path / "f", *mode)
        assert [int(x) for x in (tmp_path / "f").read_text().split()] == want
    assert out["explained"][0]["values"].keys() == {"share", "score", "errors"}
    csv.write_text("timestamp,value,score\n1,2,3\n")
    p = aceso("rule", "eval", rule, "--series", csv, code=2)
    assert p.stderr == f"aceso rule eval: {csv}:1:1: the header names no column 'errors'\n"
    csv.write_text("timestamp,value,score,errors\n1,2,3,x\n")
    assert "a.csv:2:4: expected a number" in aceso("rule", "eval", rule, "--series", csv, code=2).stderr
    rule.write_text(INPUTS.replace("Europe/Berlin", "Europe/Atlantis"))
    csv.write_text("timestamp,value,score,errors\n1,2,3,4\n")
    assert "there is no time zone Europe/Atlantis" in aceso("rule", "eval", rule, "--series", csv, code=2).stderr


def test_a_season_by_a_zones_clock_follows_it_over_the_change(tmp_path):
    """A peak at 08:00 Berlin time every day: by points of 24 h it moves away in spring, by the clock it does not."""
    csv, rule = tmp_path / "s.csv", tmp_path / "s.rule"
    start, change = 1774742400 - 10 * 86400, 1774746000
    text, peaks = "timestamp,value\n", []
    for i in range(24 * 20):
        t = start + 3600 * i
        peak = (t + (7200 if t >= change else 3600)) % 86400 == 8 * 3600
        peaks.append(peak)
        text += f"{t},{100 if peak else 1}\n"
    csv.write_text(text)
    for zone, wrong in ((', "Europe/Berlin"', set()), ("", {peaks.index(True, 24 * i) for i in range(10, 13)})):
        rule.write_text('language 1\nrule "s" { step 1h\n when value > 50 and season_max(value, 1d, 3, 0' + zone +
                        ") < 50 }\n")
        answer("rule", "eval", rule, "--series", csv, "--out", tmp_path / "f")
        flagged = {i for i, x in enumerate((tmp_path / "f").read_text().split()) if x == "1"}
        assert flagged == wrong or (wrong and flagged and flagged <= wrong), (zone, flagged, wrong)


def test_many_rules_flag_the_rows_that_they_flag_point_by_point(tmp_path):
    rule, csv, rng = tmp_path / "a.rule", tmp_path / "s.csv", random.Random(4)
    rule.write_text('language 1\n' + "".join(
        f'rule "r{i}" {{ input x = series("m") when value + x > {3 + i / 1000} and time_of_day() > {30000 + i} }}\n' for i in range(2200)))
    csv.write_text("timestamp,value,x\n" + "".join(f"{60 * i},{rng.gauss(0, 1)},{rng.gauss(0, 1)}\n" for i in range(1500)))
    flags = [answer("rule", "eval", rule, "--series", csv, "--out", tmp_path / name, *mode)["flagged"]
             for name, mode in (("a", []), ("b", ["--stream"]))]
    assert 5 < flags[0] == flags[1] and (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    (s,) = answer("backtest", "--series", csv, "--rules", rule)["series"]
    text = (tmp_path / "a").read_text().replace("\n", "")
    assert s["old"]["alarms"] == len([run for run in text.split("0") if run])


def test_rules_as_json_and_back(tmp_path):
    rule, tree = tmp_path / "a.rule", tmp_path / "a.json"
    rule.write_text(RULE + INPUTS.split("\n", 1)[1])
    once = aceso("rule", "fmt", rule).stdout
    tree.write_text(aceso("rule", "fmt", rule, "--to", "json").stdout)
    t = json.loads(tree.read_text())
    assert [r["name"] for r in t["rules"]] == ["slow", "errors"]
    assert t["rules"][0]["when"]["args"][0] == {"op": ">", "args": ["m", {"op": "*", "args": [3, "usual"]}]}
    assert t["rules"][0]["when_for"] == [2, 3] and t["rules"][1]["inputs"][1]["kind"] == "model"
    assert aceso("rule", "fmt", tree).stdout == once
    assert answer("rule", "check", tree)["rules"] == 2
    t["rules"][0]["when"]["args"][0]["args"][1]["args"][1] = "usuel"
    tree.write_text(json.dumps(t))
    message = "rules[0].when.args[0].args[1].args[1]: the name usuel is not known (did you mean usual?)"
    assert aceso("rule", "check", tree, code=2).stderr == f"{tree}: {message}\n"
    assert answer("rule", "check", tree, code=2)["errors"] == [{"line": 0, "column": 0, "message": message, "hint": ""}]
    tree.write_text('{"name": "a",\n\n"metric": "lat", "when": {"op": "<", "args": [{"op": "time_of_day", "args": [{"zone": "A/B"}]}, 5]}}')
    assert aceso("rule", "check", tree, code=2).stderr.startswith(f"{tree}: there is no time zone A/B"), "no line of the tree"
    tree.write_text('{"name": "a"')
    assert aceso("rule", "fmt", tree, code=2).stderr.startswith(f"{tree}:1:12: ")
    rule.write_text(INPUTS.replace("Berlin", "Berlim"))
    zone = answer("rule", "check", rule, code=2)["errors"][0]
    assert (zone["line"], zone["column"]) == (8, 29) and "there is no time zone Europe/Berlim" in zone["message"]


def test_explain_reads_a_rule_out_and_proves_its_flags(tmp_path):
    rule, csv = tmp_path / "a.rule", tmp_path / "a.csv"
    rule.write_text('language 1\nrule "a" {\n let m = mean(value, 3)\n when m > 3 and value < 100 for 2 of 3\n'
                    ' until value < 1\n}\n')
    csv.write_text("value\n" + "".join(f"{v}\n" for v in [1, 1, 1, 20, 30, 2, 1, 1, 1, 0, 1]))
    out = answer("rule", "explain", rule, "--series", csv)
    assert "m is the mean of the value over the last 3 points." in out["rules"][0]["text"]
    assert "It flags a point when m is above 3 and the value is below 100, on at least 2 of 3 points." in \
        out["rules"][0]["text"]
    rows = {x["row"]: x for x in out["explained"]}
    flags = [i for i, x in enumerate(answer("rule", "eval", rule, "--series", csv)["explained"])]
    assert len(flags) == len(rows) and sorted(rows) == list(range(4, 9))
    assert rows[4]["because"] == ["m > 3 (17 > 3)", "value < 100 (30 < 100)",
                                  "true on at least 2 of the last 3 points"]
    assert rows[4]["values"] == {"value": 30, "m": 17} and rows[4]["reason"] == "value 30, m 17"
    assert rows[8]["because"] == ["it was flagged before, and until has not come true since"]
    text = aceso("rule", "explain", rule, "--series", csv, "--explain", "1").stdout
    assert "row 4: value 30, m 17\n    m > 3 (17 > 3)\n" in text and "row 5" not in text


def test_reasons_that_do_not_fit_are_an_error_and_no_half_answer(tmp_path):
    rule, csv = tmp_path / "a.rule", tmp_path / "s.csv"
    rule.write_text(f'language 1\nrule "a" {{ when value > 0 reason "{"x" * 4000}" }}\n')
    csv.write_text("value\n" + "1\n" * 70000)
    for verb in ("eval", "explain"):
        for mode in (["--json"], []) if verb == "eval" else (["--json"],):
            p = aceso("rule", verb, rule, "--series", csv, "--explain", 70000, *mode, code=1)
            assert "too long" in p.stderr and not p.stdout.strip()


def test_explain_of_many_rules_reads_the_series_once(tmp_path):
    """As a pipe can be read once only."""
    rule, pipe = tmp_path / "a.rule", tmp_path / "s.csv"
    rule.write_text('language 1\n' + 'rule "a" {\n input x = series("m")\n when value > x }\n'
                    'rule "b" {\n input q = series("n")\n input y = series("m")\n when value > y and q > 0 }\n' +
                    "".join(f'rule "r{i}" {{ when value > 5 }}\n' for i in range(50)))
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f'printf "value,x,q\\n1,2,3\\n6,2,1\\n" > {pipe}'])
    out = answer("rule", "explain", rule, "--series", pipe, "--explain", 10)["explained"]
    assert writer.wait(10) == 0
    assert [(x["row"], x["rule"]) for x in out] == [(1, r) for r in ["a", "b"] + [f"r{i}" for i in range(8)]]
    assert out[1]["because"] == ["value > y (6 > 2)", "q > 0 (1 > 0)"]


def test_diff_names_numbers_terms_and_the_state_that_lives_on(tmp_path):
    old, new = tmp_path / "old.rule", tmp_path / "new.rule"
    old.write_text(RULE)
    assert aceso("rule", "diff", old, old).stdout == "the same rules\n"
    new.write_text(RULE.replace("3 * usual", "4 * usual").replace("critical", "info"))
    out = answer("rule", "diff", old, new)
    assert [(c["what"], c["name"], c["before"], c["after"]) for c in out["changes"]] == [
        ("severity", "", "critical", "info"), ("number", "when", "3 * usual", "4 * usual")]
    s = out["state"][0]
    assert not out["same"] and s["kept"] == s["operators"] > 3, "a threshold keeps all state"
    new.write_text(RULE.replace("30s", "40s"))
    s = answer("rule", "diff", old, new)["state"][0]
    assert 0 < s["kept"] < s["operators"] and s["cold_points"] >= 40
    new.write_text(RULE.replace('rule "slow"', 'rule "slower"'))
    assert "renamed: slow -> slower\n  state: all of it lives on" in aceso("rule", "diff", old, new).stdout
    new.write_text("language 1\n")
    assert answer("rule", "diff", old, new)["changes"][0]["what"] == "removed"
    aceso("rule", "diff", old, code=2)


def test_check_knows_metrics_and_versions(tmp_path):
    rule, metrics = tmp_path / "a.rule", tmp_path / "metrics"
    rule.write_text(INPUTS)
    metrics.write_text("# of the shop\nrequests\nerror_rate\n")
    bad = answer("rule", "check", rule, "--metrics", metrics, code=2)["errors"]
    assert [(e["line"], e["column"], e["message"]) for e in bad] == [(5, 11, 'no metric is called "errors"')]
    rule.write_text(INPUTS.replace('"requests"', '"reqeusts*"').replace('series("errors")', 'series("error_*")'))
    p = aceso("rule", "check", rule, "--metrics", metrics, code=2)
    assert p.stderr == f'{rule}:3:8: no metric is called "reqeusts*" (did you mean requests?)\n'
    rule.write_text("language 7\nrule \"a\" { when soon(value) }\n")
    assert aceso("rule", "check", rule, code=2).stderr == \
        f"{rule}:1:10: the text is in language 7; this program knows language 1 only (take a newer aceso)\n"


def test_the_manuals_examples_are_rules(tmp_path):
    manual = (ROOT / "docs/rules.md").read_text()
    rule = tmp_path / "a.rule"
    text = "".join(l[4:] + "\n" for l in manual[:manual.index("## Clauses")].splitlines() if l.startswith("    "))
    rule.write_text(text)
    assert answer("rule", "check", rule)["rules"] == 1
    assert text.split("rule ", 1)[1] in aceso("rule", "fmt", rule).stdout, "the example is canonical"


def test_diff_and_explain_of_large_rules_end_soon(tmp_path):
    old, new, csv = tmp_path / "old.rule", tmp_path / "new.rule", tmp_path / "s.csv"
    old.write_text('language 1\nrule "a" {\n' + "".join(f" let x{i} = median(value, {i + 1})\n" for i in range(2000)) +
                   " when x0 > 1 }\n")
    new.write_text(old.read_text().replace("x", "y").replace(", 7)", ", 7000)"))
    changes = answer("rule", "diff", old, new)["changes"]
    assert [c["what"] for c in changes].count("let renamed") == 1999 and len(changes) == 2002
    chain = "".join(f" let b{i + 1} = b{i} and b{i}\n" for i in range(1000))
    old.write_text(f'language 1\nrule "a" {{\n let b0 = value > 0\n{chain} when b1000 }}\n')
    csv.write_text("value\n" + "1\n" * 100)
    out = answer("rule", "explain", old, "--series", csv)
    assert out["explained"][0]["because"] == ["value > 0 (1 > 0)"]

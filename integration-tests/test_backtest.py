"""aceso backtest and rule eval --plot: two rule sets over one history, their measures, each alarm that differs, pictures."""
import json
import os
import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ACESO = Path(os.environ.get("ACESO_BUILD", ROOT / "build")).resolve() / "bin/aceso"
SCORER = ROOT.parent / "shared/reference/score_events.py"
SVG = "{http://www.w3.org/2000/svg}"
OLD = """language 1
rule "high" {
    let expected = 20
    let low = expected - 6
    let high = expected + 6
    let score = abs(value - expected)
    when value > high
    reason "{value} is more than {high}"
}
"""


def aceso(*args, code=0):
    p = subprocess.run([ACESO, *map(str, args)], capture_output=True, text=True, timeout=60)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def answer(*args):
    return json.loads(aceso(*args, "--json").stdout.splitlines()[-1])


@pytest.fixture
def made(tmp_path):
    """A day of minutes around 20: two peaks that are events, a peak that is none, and a dip that is one."""
    rng, values, labels = random.Random(7), [], []
    for i in range(1440):
        event = 300 <= i < 310 or 700 <= i < 705 or 1000 <= i < 1004
        v = 20 + rng.uniform(-1, 1)
        v += 10 if 302 <= i < 310 or 700 <= i < 705 or i == 500 else -10 if 1001 <= i < 1004 else 0
        values.append(v)
        labels.append(int(event))
    (tmp_path / "day.csv").write_text("# series=day interval_s=60 t0=1750000000 n_train=400\nvalue,label\n" + "".join(
        f"{v!r},{y}\n" for v, y in zip(values, labels)))
    (tmp_path / "old.rule").write_text(OLD)
    (tmp_path / "new.rule").write_text(OLD.replace("when value > high", "when value < low or (value > high and lag(value, 1) > high)"))
    return tmp_path


def test_two_rule_sets_are_compared(made):
    out = answer("backtest", "--series", made / "day.csv", "--rules", made / "old.rule", "--against", made / "new.rule", "--plot", made / "p")
    (s,) = out["series"]
    old, new = s["old"], s["new"]
    assert (s["points"], s["segments"], s["uneven"], out["delay"]) == (1440, 3, 0, 7)
    assert (old["tp"], old["fp"], old["fn"], old["alarms"]) == (2, 1, 1, 3)
    assert (new["tp"], new["fp"], new["fn"], new["alarms"]) == (3, 0, 0, 3)
    assert old["event_f1_delay"] == pytest.approx(2 / 3, abs=1e-6) and new["event_f1_delay"] == 1
    assert old["alarms_per_day"] == 3 and old["flaps_per_hour"] == 0.25
    assert (old["detect_median_s"], old["detect_p90_s"]) == (0, 120) and new["detect_median_s"] == 60
    assert 0.7 < old["auc_pr"] < 1 and old["auc_pr"] == new["auc_pr"]
    assert old["nab"] < new["nab"] <= 100
    peak, dip = s["differing"]
    assert (peak["set"], peak["row"], peak["points"], peak["hit"], peak["rule"]) == ("old", 500, 1, False, "high")
    assert (dip["set"], dip["row"], dip["points"], dip["hit"], dip["time"]) == ("new", 1001, 3, True, "2025-06-16T07:47:40.000000Z")
    assert peak["reason"].endswith("is more than 26")
    # the file itself says where its test part begins
    (late,) = answer("backtest", "--series", made / "day.csv", "--rules", made / "old.rule", "--test")["series"]
    assert (late["points"], late["segments"], late["old"]["tp"], late["new"], late["differing"]) == (1040, 2, 1, None, [])
    svg = ET.parse(s["plot"]).getroot()
    words = [t.strip() for e in svg.iter(SVG + "text") for t in e.itertext()]
    assert "day" in words and "expected band" in words and "new rules" in words
    assert any(w.startswith("old only: ") for w in words)
    assert "prefers-color-scheme:dark" in Path(s["plot"]).read_text()


@pytest.mark.skipif(not SCORER.exists(), reason="the independent scorer is not here")
@pytest.mark.parametrize("delay", [0, 3, 7])
def test_an_independent_scorer_says_the_same(made, delay):
    aceso("rule", "eval", made / "old.rule", "--series", made / "day.csv", "--out", made / "flags")
    p = subprocess.run([sys.executable, SCORER, made / "day.csv", made / "flags", "--delay", str(delay)], capture_output=True, text=True, check=True)
    want = json.loads(p.stdout)
    (s,) = answer("backtest", "--series", made / "day.csv", "--rules", made / "old.rule", "--test", "--delay", delay)["series"]
    for key in ("event_f1_delay", "event_f1", "point_f1", "pa_f1", "tp", "fp", "fn"):
        assert s["old"][key] == pytest.approx(want[key], abs=1e-6), key
    assert s["segments"] == want["segments"] and s["points"] == want["points"]


def test_people_read_the_same(made):
    text = aceso("backtest", "--series", made / "day.csv", "--rules", made / "old.rule", "--against", made / "new.rule").stdout
    assert "alarms a day                      3.000        3.000" in text
    assert "old only: row 500, 2025-06-15T23:26:40.000000Z, 1 points, high:" in text and "[hits no event]" in text
    text = aceso("backtest", "--series", made / "day.csv", "--rules", made / "old.rule", "--against", made / "new.rule", "--list", "1").stdout
    assert "and 1 more" in text


def test_without_labels_nothing_is_claimed(made):
    (made / "bare.csv").write_text("timestamp,value\n" + "".join(f"{60 * i + (600 if i > 50 else 0)},{90 if i == 40 else 20}\n" for i in range(100)))
    (s,) = answer("backtest", "--series", made / "bare.csv", "--rules", made / "old.rule", "--against", made / "old.rule")["series"]
    assert s["uneven"] == 1 and s["differing"] == [] and s["old"]["alarms"] == 1
    assert all(s["old"][k] is None for k in ("event_f1_delay", "tp", "point_f1", "auc_pr", "vus_pr", "nab", "detect_median_s"))


def test_two_series_of_one_name_do_not_share_a_picture(made):
    (made / "other.csv").write_text((made / "day.csv").read_text().replace("value,label\n", "value,label\n20,0\n"))
    series = ("--series", made / "day.csv", "--series", made / "other.csv")
    p = aceso("backtest", *series, "--rules", made / "old.rule", "--plot", made / "p", "--json", code=2)
    assert p.stderr.startswith(f"aceso backtest: {made / 'other.csv'}: its series day is that of {made / 'day.csv'}, too") and not p.stdout
    assert len(answer("backtest", *series, "--rules", made / "old.rule")["series"]) == 2


def test_eval_plots(made):
    out = answer("rule", "eval", made / "old.rule", "--series", made / "day.csv", "--plot", made / "day.svg")
    assert out["flagged"] == 14
    words = [t.strip() for e in ET.parse(made / "day.svg").getroot().iter(SVG + "text") for t in e.itertext()]
    assert "flagged" in words and "labelled" in words and any(w.endswith("is more than 26") for w in words)


@pytest.mark.parametrize("args,message", [
    (["--rules", "old.rule"], "name series files with --series"),
    (["--series", "day.csv"], "name a rule file with --rules"),
    (["--series", "day.csv", "--rules", "old.rule", "--delay", "x"], "--delay is a number of points"),
    (["--series", "none.csv", "--rules", "old.rule"], "none.csv: cannot open"),
    (["--series", "day.csv", "--rules", "none.rule"], "none.rule: cannot open"),
    (["--series", "cut.csv", "--rules", "old.rule"], "cut.csv:3:1: expected a number, not 'x'"),
])
def test_wrong_usage_is_one_line(made, args, message):
    (made / "cut.csv").write_text("value\n1\nx\n")
    p = aceso("backtest", *(made / a if a.endswith((".csv", ".rule")) else a for a in args), "--plot", made / "p", code=2)
    assert message in p.stderr and len(p.stderr.splitlines()) == 1 and not p.stdout and not (made / "p").exists()

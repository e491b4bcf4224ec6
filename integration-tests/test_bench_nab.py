"""aceso train bench --dataset nab on a small corpus, against the benchmark's definition written out plainly here."""

import gzip
import json
import math
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")).resolve() / "bin/aceso"
N = 400
RULE = 'language 1\nrule "x" {\n    let score = abs(value)\n    when score > 5\n}\n'
PROFILES = {"nab_standard": (0.11, 1), "nab_low_fp": (0.22, 1), "nab_low_fn": (0.11, 2)}


def sigmoid(x):
    return -1.0 if x >= 3 else 2 / (1 + math.exp(5 * x)) - 1


def time(i):  # three rows twice, as when clocks are set back
    i = i if i < 300 else i - 3
    return f"2024-03-{1 + i // 144:02}T{i // 6 % 24:02}:{i % 6 * 10:02}:00".replace("T", " ")


def value(s, i):
    return ((i * 7919 + s * 104729) % 1000) / 1000 + (9 if (s, i) in {(0, 210), (1, 150), (2, 380), (2, 90)} else 0)


WINDOWS = [[(200, 230), (350, 360)], [(140, 160)], []]


def by_hand(threshold, fp, fn):
    total = 0.0
    for s, windows in enumerate(WINDOWS):
        flagged = [i for i in range(60, N) if abs(value(s, i)) >= threshold]
        for a, b in windows:
            inside = [sigmoid(-(b - i + 1) / (b - a + 1)) / sigmoid(-1) for i in flagged if a <= i <= b]
            total += max(inside) if inside else -fn
        for i in flagged:
            if not any(a <= i <= b for a, b in windows):
                before = [w for w in windows if w[1] < i]
                total += fp * (sigmoid((i - before[-1][1]) / (before[-1][1] - before[-1][0])) if before else -1)
    return 100 * (total + 3 * fn) / (3 + 3 * fn)


def bench(*args, code=0):
    p = subprocess.run([str(ACESO), "train", "bench", "--dataset", "nab", *map(str, args), "--json"],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == code, (p.stdout, p.stderr)
    return json.loads(p.stdout.splitlines()[-1]) if code == 0 else p.stderr


def test_the_score_is_the_benchmarks(tmp_path):
    labels = {}
    for s, group in enumerate(("one", "one", "two")):
        (tmp_path / "data" / group).mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{time(i)},{value(s, i)}\n" for i in range(N))
        with gzip.open(tmp_path / "data" / group / f"s{s}.csv.gz", "wt") as f:
            f.write("timestamp,value\n" + rows)
        labels[f"{group}/s{s}.csv"] = [[time(a) + ".000000", time(b) + ".000000"] for a, b in WINDOWS[s]]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(labels))
    rule = tmp_path / "x.rule"
    rule.write_text(RULE)
    out = bench(tmp_path, "--rule", rule)
    thresholds = {abs(value(s, i)) for s in range(3) for i in range(60, N)} | {math.inf}
    for key, (fp, fn) in PROFILES.items():
        assert math.isclose(out[key], max(by_hand(t, fp, fn) for t in thresholds), abs_tol=1e-3), key
        assert out[key + "_left_out"] <= out[key] + 1e-3
    assert out["series"] == 3 and out["worse_than_base"] is None and bench(tmp_path)["series"] == 3
    assert "only --rule goes with it" in bench(tmp_path, "--threads", 2, code=2)

    rule.write_text('language 1\nrule "x" {\n    # let score = abs(value)\n    when value > 5\n}\n')
    assert "no let named score" in bench(tmp_path, "--rule", rule, code=2)
    labels["two/s2.csv"] = [["2031-01-01 00:00:00", "2031-01-01 01:00:00"]]
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(labels))
    assert "two/s2.csv: window 1" in bench(tmp_path, code=2)
    labels["../s2.csv"] = []
    del labels["two/s2.csv"]
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(labels))
    assert "not a series of the folder" in bench(tmp_path, code=2)

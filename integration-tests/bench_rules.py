"""Ten typical rules beside the same rules in numpy: over whole series, and fed point by point.

    python integration-tests/bench_rules.py [POINTS]     (make bench-rules)

Each rule is read as its syntax tree (aceso rule fmt --to json) and evaluated here by operators that are
written with numpy; flags must be the same in all ways. Times are of one processor, without what other
programs took of it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  (one thread: set before)
from numpy.lib.stride_tricks import sliding_window_view  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build"))
SINGLE = 2000  # points fed to numpy one by one, after all windows are full
NAN = np.nan


def points_of(arg, step_s):
    """A count: a number, or a duration in steps."""
    if not isinstance(arg, str):
        return int(arg)
    n, unit = re.fullmatch(r"(\d+)(s|m|h|d|w)", arg).groups()
    return int(n) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit] // step_s


# ---- over whole series ----


def lag(x, n):
    return np.concatenate([np.full(n, NAN), x[:-n]]) if n else x


def windows(x, n):
    return sliding_window_view(np.concatenate([np.full(n - 1, NAN), x]), n)


def middle(w, least, q=0.5):
    """The quantile of the known ones of each row, where there are enough."""
    if not np.isnan(w).any():
        return np.quantile(w, q, axis=1) if q != 0.5 else np.median(w, axis=1)
    s = np.sort(w, axis=1)
    n = (~np.isnan(w)).sum(axis=1)
    pos = q * np.maximum(n - 1, 0)
    low = pos.astype(int)
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    a, b = np.take_along_axis(s, np.stack([low, high], 1), 1).T
    return np.where(n >= least, a + (pos - low) * (b - a), NAN)


def middle_by_parts(w, least, q=0.5):
    return np.concatenate([middle(w[i : i + 20000], least, q) for i in range(0, len(w), 20000)])


def rolling_sum(x, n):
    known = ~np.isnan(x)
    total = np.cumsum(np.where(known, x, 0))
    count = np.cumsum(known)
    total[n:] -= total[:-n].copy()
    count[n:] -= count[:-n].copy()
    return np.where(count >= (n + 1) // 2, total, NAN), count


def ewma(x, c):
    """In steps of 256 points by a triangle of powers; a missing point keeps the value."""
    out = np.full(len(x), NAN)
    known = np.flatnonzero(~np.isnan(x))
    if not len(known):
        return out
    v, y, size = x[known], np.empty(len(known)), 256
    powers = (1 - c) ** np.arange(size + 1)
    triangle = np.tril(powers[np.abs(np.subtract.outer(np.arange(size), np.arange(size)))]) * c
    m, y[0] = v[0], v[0]
    for i in range(1, len(v), size):
        part = v[i : i + size]
        k = len(part)
        y[i : i + k] = triangle[:k, :k] @ part + powers[1 : k + 1] * m
        m = y[i + k - 1]
    out[known] = y
    last = np.maximum.accumulate(np.where(~np.isnan(x), np.arange(len(x)), -1))
    return np.where(last >= 0, out[np.maximum(last, 0)], NAN)


def season(x, n, m, h):
    parts = [windows(lag(x, d * n - h), 2 * h + 1) for d in range(1, m + 1)]
    return np.concatenate(parts, axis=1)


def envelope(x, n, m, q):
    blocks = len(x) // n
    filled = np.where(np.isnan(x[: blocks * n]), -np.inf, x[: blocks * n])
    best = filled.reshape(blocks, n).max(axis=1)
    best[np.isinf(best)] = NAN
    value = middle(windows(best, m), 1, q)
    out = np.full(len(x), NAN)
    out[n - 1 : blocks * n] = np.repeat(value, n)[: blocks * n - n + 1]
    out[blocks * n :] = value[-1]
    return out


def true_count(b, n):
    c = np.cumsum(b == 1)
    c[n:] -= c[:-n].copy()
    return c


def compare(op, a, b):
    f = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[op]
    return np.where(np.isnan(a) | np.isnan(b), NAN, f(a, b))


def edge(b, n):
    before = np.concatenate([[0], true_count(b, n)[:-1]])
    return ((b == 1) & (before == 0)).astype(float)


def latch(on, off):
    state = np.where(on == 1, 1, np.where(off == 1, 0, -1))
    last = np.maximum.accumulate(np.where(state >= 0, np.arange(len(state)), -1))
    return np.where(last >= 0, state[np.maximum(last, 0)], 0).astype(float)


WHOLE = {
    "+": np.add,
    "*": np.multiply,
    "/": lambda a, b: np.where(b == 0, NAN, a / b),
    "abs": np.abs,
    "log": lambda x: np.log(np.where(x > 0, x, NAN)),
    "clip": np.clip,
    "least": np.minimum,
    "greatest": np.maximum,
    "coalesce": lambda a, b: np.where(np.isnan(a), b, a),
    "or": lambda a, b: np.where((a == 1) | (b == 1), 1, a + b),
    "and": lambda a, b: np.where((a == 0) | (b == 0), 0, a * b),
    "lag": lag,
    "diff": lambda x, n: x - lag(x, n),
    "mean": lambda x, n: np.divide(*rolling_sum(x, n)),
    "sum": lambda x, n: rolling_sum(x, n)[0],
    "median": lambda x, n: middle_by_parts(windows(x, n), (n + 1) // 2),
    "min": lambda x, n: windows(x, n).min(axis=1),
    "max": lambda x, n: windows(x, n).max(axis=1),
    "ewma": ewma,
    "season_median": lambda x, n, m, h: middle_by_parts(season(x, n, m, h), h + 1),
    "envelope": envelope,
    "edge": edge,
    "predict": lambda x, c: np.convolve(np.concatenate([[NAN], x])[: len(x)], c)[: len(x)]
    if not np.isnan(x).any()
    else sum(k * lag(x, i + 1) for i, k in enumerate(c)),
}


class Whole:
    """A rule over a whole series: each term once."""

    def __init__(self, rule):
        self.rule = rule
        self.step = points_of(rule.get("step", "1m"), 1)
        self.lets = {x["name"]: x["expr"] for x in rule["lets"]}

    def run(self, values):
        self.terms = {"value": values}
        self.columns = {}
        flag = self.clause("when")
        if "until" in self.rule:
            flag = latch(flag, self.clause("until"))
        return flag == 1

    def clause(self, name):
        x = self.expr(self.rule[name])
        if name + "_for" in self.rule:
            k, n = self.rule[name + "_for"]
            return (true_count(x, n) >= k).astype(float)
        return x

    def expr(self, e):
        if isinstance(e, (int, float)):
            return e
        if isinstance(e, str):
            if e not in self.terms:
                self.terms[e] = self.expr(self.lets[e])
            return self.terms[e]
        key = json.dumps(e)
        if key not in self.columns:
            self.columns[key] = self.call(e["op"], e["args"])
        return self.columns[key]

    def call(self, op, args):
        if op == "-":
            return -self.expr(args[0]) if len(args) == 1 else self.expr(args[0]) - self.expr(args[1])
        if op in ("<", "<=", ">", ">="):
            return compare(op, self.expr(args[0]), self.expr(args[1]))
        x = self.expr(args[0])
        if op == "predict":
            return WHOLE[op](x, args[1]["list"])
        if op in ("clip", "envelope"):
            rest = [self.expr(a) if isinstance(a, dict) else a for a in args[1:]]
            return WHOLE[op](x, *rest)
        if op in ("ewma",):
            return WHOLE[op](x, args[1])
        if op in ("lag", "diff", "mean", "sum", "median", "min", "max", "season_median", "edge"):
            return WHOLE[op](x, *[points_of(a, self.step) for a in args[1:]])
        return WHOLE[op](x, *[self.expr(a) for a in args[1:]])


# ---- point by point: each term that is looked back on has its past in an array ----


class Single:
    """The same rule, a point at a time, going on from where a whole run stands."""

    def __init__(self, whole, at):
        self.whole, self.rule, self.lets = whole, whole.rule, whole.lets
        self.step, self.at, self.kept, self.arrays = whole.step, at, {}, {}

    def history(self, e, n):
        """The last n values of a term, the newest last; made from the whole run at first."""
        key = e if isinstance(e, str) else json.dumps(e)
        if key not in self.arrays:
            before = self.whole.expr(e)[: self.at - 1]
            room = np.full(n + 4096, NAN)
            take = before[-n:] if n else before[:0]
            room[n - len(take) : n] = take
            self.arrays[key] = [room, n, n]
        box = self.arrays[key]
        if n > box[2]:
            before = self.whole.expr(e)[: self.at - 1]
            seen = box[0][box[2] : box[1]]
            room = np.full(n + 4096, NAN)
            room[n - len(before[-n:]) : n] = before[-n:]
            room[n : n + len(seen)] = seen
            box[0], box[1], box[2] = room, n + len(seen), n
        if key not in self.pushed:
            box[0][box[1]] = self.expr(e)
            box[1] += 1
            self.pushed.add(key)
        return box[0][box[1] - n : box[1]]

    def push(self, value):
        self.now, self.pushed = {"value": value}, set()
        self.calls = {}
        flag = self.clause("when")
        if "until" in self.rule:
            off = self.clause("until")
            if "latch" not in self.kept:
                self.kept["latch"] = bool(self.whole.flags[self.at - 2])
            self.kept["latch"] = True if flag == 1 else False if off == 1 else self.kept["latch"]
            flag = self.kept["latch"]
        self.at += 1
        return flag == 1

    def clause(self, name):
        x = self.expr(self.rule[name])
        if name + "_for" in self.rule:
            k, n = self.rule[name + "_for"]
            return np.count_nonzero(self.history(self.rule[name], n) == 1) >= k
        return x

    def expr(self, e):
        if isinstance(e, (int, float)):
            return e
        if isinstance(e, str):
            if e not in self.now:
                self.now[e] = self.expr(self.lets[e])
            return self.now[e]
        key = id(e)
        if key not in self.calls:
            self.calls[key] = self.call(e, e["op"], e["args"])
        return self.calls[key]

    def keep(self, e, start):
        """What an operator remembers besides its window: from the whole run at first."""
        key = json.dumps(e)
        if key not in self.kept:
            self.kept[key] = start()
        return self.kept[key]

    def call(self, e, op, args):
        if op == "-":
            return -self.expr(args[0]) if len(args) == 1 else self.expr(args[0]) - self.expr(args[1])
        if op in ("<", "<=", ">", ">="):
            a, b = self.expr(args[0]), self.expr(args[1])
            return NAN if np.isnan(a) or np.isnan(b) else float(
                {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])
        count = [points_of(a, self.step) for a in args[1:] if not isinstance(a, dict)
                 and op in ("lag", "diff", "mean", "sum", "median", "min", "max", "season_median",
                            "edge")]
        if op == "lag":
            return self.history(args[0], count[0] + 1)[0]
        if op == "diff":
            w = self.history(args[0], count[0] + 1)
            return w[-1] - w[0]
        if op in ("mean", "sum", "median", "min", "max"):
            f = {"mean": np.mean, "sum": np.sum, "median": np.median, "min": np.min, "max": np.max}
            return f[op](self.history(args[0], count[0]))
        if op == "season_median":
            n, m, h = count
            w = self.history(args[0], n * m + h + 1)
            i = len(w) - 1
            return np.median(np.concatenate([w[i - d * n - h : i - d * n + h + 1]
                                             for d in range(1, m + 1)]))
        if op == "predict":
            c = self.keep(e, lambda: np.array(args[1]["list"]))
            return np.dot(self.history(args[0], len(c) + 1)[-2::-1], c)
        if op == "edge":
            w = self.history(args[0], count[0] + 1)
            return float(w[-1] == 1 and not (w[:-1] == 1).any())
        if op == "ewma":
            state = self.keep(e, lambda: [self.whole.expr(e)[self.at - 2]])
            state[0] += args[1] * (self.expr(args[0]) - state[0])
            return state[0]
        if op == "envelope":
            return self.envelope(e, args)
        if op == "coalesce":
            a = self.expr(args[0])
            return self.expr(args[1]) if np.isnan(a) else a
        if op == "or":
            a, b = self.expr(args[0]), self.expr(args[1])  # both: their pasts go on
            return float(a == 1 or b == 1)
        f = {"+": np.add, "*": np.multiply, "/": np.divide, "abs": np.abs, "log": np.log,
             "clip": np.clip, "least": np.minimum, "greatest": np.maximum}[op]
        return f(*[self.expr(a) for a in args])

    def envelope(self, e, args):
        n, m, q = points_of(args[1], self.step), points_of(args[2], self.step), args[3]

        def start():
            x = self.whole.expr(args[0])[: self.at - 1]
            blocks = len(x) // n
            best = np.nanmax(x[: blocks * n].reshape(blocks, n)[-m:], axis=1)
            rest = x[blocks * n :]
            return [best, np.max(rest) if len(rest) else -np.inf, len(rest),
                    self.whole.expr(e)[self.at - 2]]

        s = self.keep(e, start)
        s[1] = np.maximum(s[1], self.expr(args[0]))
        s[2] += 1
        if s[2] == n:
            s[0] = np.append(s[0], s[1])[-m:]
            s[1], s[2], s[3] = -np.inf, 0, np.quantile(s[0], q)
        return s[3]


# ---- the table ----


def make_series(text, n):
    """A day of minutes, noise and events, in the units that the rule was learnt in."""
    unit = re.search(r"let y7? = \w+ / ([\d.e+-]+)", text)
    unit = float(unit.group(1)) if unit else 0.012
    r = np.random.RandomState(1)
    t = np.arange(n)
    v = 12 + 6 * np.sin(2 * np.pi * t / 1440) + 0.7 * r.standard_normal(n)
    for at in r.randint(0, n, n // 1500):
        v[at : at + r.randint(1, 20)] += r.choice([-1, 1]) * r.uniform(5, 30)
    return np.ascontiguousarray(np.maximum(v, 0.1) * unit)


def timed(f):
    began = time.process_time()
    out = f()
    return out, time.process_time() - began


def bench(path, n, folder):
    text = path.read_text()
    values = make_series(text, n)
    values.tofile(folder / "series")
    aceso = BUILD / "bin" / "aceso"
    tree = subprocess.run([aceso, "rule", "fmt", path, "--to", "json"], check=True,
                          capture_output=True, text=True).stdout
    out = subprocess.run([BUILD / "bench" / "bench_rule_speed", path, folder / "series",
                          folder / "flags"], check=True, capture_output=True, text=True).stdout
    ours = json.loads(out)
    flags = np.fromfile(folder / "flags", dtype=np.uint8).astype(bool)
    whole = Whole(json.loads(tree)["rules"][0])
    with np.errstate(all="ignore"):
        whole.flags, took = timed(lambda: whole.run(values))
        at = n - SINGLE + 1
        single = Single(whole, at)
        single.push(values[at - 1])  # its windows are set up
        fed, fed_took = timed(lambda: [single.push(v) for v in values[at:]])
    wrong = int((whole.flags != flags).sum())
    wrong_fed = int((np.array(fed) != flags[at:]).sum())
    return ours, took * 1e9 / n, fed_took * 1e9 / len(fed), wrong, wrong_fed, int(flags.sum())


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    rules = sorted((ROOT / "shared/rules/tests/typical").glob("*.rule"))
    print(f"# {n} points a rule, processor time of one thread; M points/s; numpy {np.__version__}")
    print(f"{'rule':24} {'by point':>9} {'blocks':>8} {'64 side':>8} {'numpy':>8} {'by point':>9}"
          f" {'x whole':>8} {'x point':>8} {'x blocks':>9} {'bytes':>7} {'flags':>6}")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in rules:
            ours, whole, fed, wrong, wrong_fed, flagged = bench(path, n, pathlib.Path(folder))
            s, b, m = ours["stream_ns"], ours["blocks_ns"], ours["lanes_ns"]
            print(f"{path.stem:24} {1e3 / s:9.2f} {1e3 / b:8.1f} {1e3 / m:8.1f} {1e3 / whole:8.2f}"
                  f" {1e3 / fed:9.4f} {whole / b:8.1f} {fed / s:8.0f} {fed / b:9.0f}"
                  f" {ours['state_bytes']:7} {flagged:6}", flush=True)
            if wrong or wrong_fed:
                print(f"  flags that differ: {wrong} whole, {wrong_fed} point by point")
                bad += wrong + wrong_fed
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Rules from few labels: event F1 with delay by kind of series and number of labelled events left in training.

    python integration-tests/bench_few_labels.py [--data DIR] [--part tune|report] [--aceso BINARY]
                                                 [--kinds a,b] [--keep 0,1,2] [--series N] [--out DIR]
    (make bench-few RULES_DATA=DIR)

Made series: hourly (seasons, trend, noise; spikes, dips, shifts; K = 3), minutes (web services; K = 7),
states (resting on levels; hourly; K = 3). One in five moves for good behind its training part, which nobody
labelled. Fewer labels mean fewer events in the training part, the rest of the series staying as it is.
Real ones, with DIR (folders kpi and nab): the KPI training parts alone, halved, labelled events beyond those kept
replaced by a straight line, as minutes and as hourly means and maxima; the Numenta set with its own labels,
each point of it widened to 8. Parts are of different seeds, and of different series of the real sets.
"""

import argparse
import gzip
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEEP = (0, 1, 2, 3, 5, 9)
DELAYS = {"hourly": 3, "minutes": 7, "states": 3, "kpi-minutes": 7, "kpi-hours-mean": 3, "kpi-hours-max": 3, "nab": 7}
FIRST_SEED = {"tune": 0, "report": 1000}


# ---- made series: values without events, and events as (start, length, change of a value) ----


def smooth_noise(r, n, size, memory, heavy=False):
    """An autoregression; heavy: one point in fifty is four times as far away."""
    out, x = [], 0.0
    for _ in range(n):
        e = r.gauss(0, 1) * (4 if heavy and r.random() < 0.02 else 1)
        x = memory * x + math.sqrt(1 - memory * memory) * e
        out.append(size * x)
    return out


def daily(r, day, n, weekend):
    """A positive shape of the day with weekends below it."""
    a, b, p, q = r.uniform(0.3, 0.9), r.uniform(0, 0.35), r.uniform(0, 6.28), r.uniform(0, 6.28)
    out = []
    for t in range(n):
        x = 2 * math.pi * t / day
        s = 1 + a * math.sin(x + p) * 0.7 + b * math.sin(2 * x + q)
        out.append(max(s, 0.05) * (weekend if t // day % 7 >= 5 else 1))
    return out


def traffic(r, n, day, lengths):
    level, weekend = math.exp(r.uniform(1, 9)), r.choice((1, 1, r.uniform(0.5, 0.95)))
    shape = daily(r, day, n, weekend)
    noise = smooth_noise(r, n, r.uniform(0.02, 0.12), r.uniform(0.2, 0.8), r.random() < 0.4)
    drift = smooth_noise(r, n, r.uniform(0, 0.1), 1 - 1 / (3 * day))
    values = [max(level * s * (1 + e) * (1 + d), 0) for s, e, d in zip(shape, noise, drift)]
    kind = r.choice(("spike", "dip", "shift", "all"))

    def event():
        k = r.choice(("spike", "dip", "shift")) if kind == "all" else kind
        if k == "spike":
            f = r.uniform(1.5, 4)
        else:
            f = r.choice((0, r.uniform(0, 0.5))) if k == "dip" else r.choice((r.uniform(1.4, 2.2), r.uniform(0.3, 0.7)))
        return r.randint(*lengths[k]), lambda v: v * f

    return values, event


def sine(r, n, day, _lengths):
    amplitude, trend, level = r.uniform(1, 1000), r.uniform(-1, 1), r.uniform(-1, 3)
    period, noise = day * r.choice((1, 1, 7)) * r.uniform(0.9, 1.1), r.uniform(0.04, 0.25)
    values = [amplitude * (level + trend * 3 * t / n + math.sin(2 * math.pi * t / period) + noise * r.gauss(0, 1))
              for t in range(n)]

    def event():
        size = r.choice((-1, 1)) * amplitude * r.uniform(4, 14) * noise
        return r.randint(1, 3), lambda v: v + size

    return values, event


def seasons(r, n, day, _lengths, changes=False):
    parts = [(p, r.uniform(0.1, 1.0), r.uniform(0, 6.28)) for p in (day / 2, day, 7 * day)]
    scale, trend, noise = r.uniform(10, 3000), r.uniform(-2, 2), r.uniform(0.02, 0.1)
    at = sorted(r.sample(range(n // 8, n), r.randint(1, 3))) if changes else []
    values, base, gain, louder = [], 0.0, 1.0, 1.0
    for t in range(n):
        if t in at:
            trend, gain, louder = r.uniform(-2, 2), r.uniform(0.6, 1.5), r.uniform(0.7, 1.6)
        base += trend / n
        s = sum(a * math.sin(2 * math.pi * t / p + f) for p, a, f in parts)
        values.append(scale * (base + gain * s + noise * louder * r.gauss(0, 1)))

    def event():
        size = r.choice((-1, 1)) * scale * noise * r.uniform(4, 14)
        return 1, lambda v: v + size

    return values, event


def changing(r, n, day, lengths):
    return seasons(r, n, day, lengths, True)


def latency(r, n, day, _lengths):
    base = math.exp(r.uniform(2, 7))
    load, noise = daily(r, day, n, 1), smooth_noise(r, n, r.uniform(0.03, 0.15), r.uniform(0, 0.5), True)
    values = [base * (1 + 0.3 * s) * math.exp(e) for s, e in zip(load, noise)]

    def event():
        f = math.exp(r.uniform(0.4, 2))
        return r.choice((r.randint(1, 5), r.randint(10, 60))), lambda v: v * f

    return values, event


def success(r, n, _day, _lengths):
    spread, grain = r.uniform(0.02, 0.5), r.choice((0.01, 0.1))
    values = [min(100.0, round((100 - abs(r.gauss(0, spread))) / grain) * grain) for _ in range(n)]

    def event():
        loss = math.exp(r.uniform(math.log(6 * spread), math.log(60 * spread)))
        return r.randint(2, 30), lambda v: max(v - loss, 0)

    return values, event


def levels(r, n, _day, _lengths):
    """Rests on two to five levels, with next to no noise; events are levels never used."""
    low, grain = r.uniform(0, 50), r.choice((1, 1, 0.1))
    steps = sorted(low + r.uniform(0, 50) for _ in range(r.randint(2, 5)))
    dwell, tiny = r.uniform(10, 120), r.choice((0, 0.3))
    at, values = r.choice(steps), []
    for _ in range(n):
        at = r.choice(steps) if r.random() < 1 / dwell else at
        values.append(round((at + tiny * r.gauss(0, 1)) / grain) * grain)
    span = steps[-1] - steps[0] + 1
    high = r.choice((True, True, False))

    def event():
        v = steps[-1] + span * r.uniform(0.2, 1.2) if high else min(0, steps[0] - 0.2 * span)
        return r.randint(1, 24), lambda _: round(v)

    return values, event


def counts(r, n, day, _lengths):
    """Mostly at rest, with small bursts at some hours; events are larger or longer."""
    rate, top = r.uniform(0.02, 0.2), r.randint(1, 8)
    burst = [r.randint(1, top) if r.random() < rate else 0 for _ in range(n)]
    hour = r.randrange(day)
    values = [float(x + (top if t % day == hour else 0)) for t, x in enumerate(burst)]

    def event():
        size = top * r.uniform(2, 6) + 2
        return r.randint(1, 6), lambda v: v + round(size)

    return values, event


def plateaus(r, n, day, _lengths):
    """A gauge that moves by small steps at work and rests at night; events leave its range or empty it."""
    level, values, x = r.uniform(20, 90), [], 0.0
    for t in range(n):
        if 8 <= t % day * 24 // day < 20 and r.random() < 0.5:
            x = 0.9 * x + r.gauss(0, 2)
        values.append(float(round(level + x)))
    kind = r.choice(("empty", "full", "spike"))

    def event():
        if kind == "spike":
            size = r.choice((-1, 1)) * r.uniform(12, 40)
            return r.randint(1, 3), lambda v: round(v + size)
        return r.randint(2, 30), lambda _: 0.0 if kind == "empty" else 100.0 + level / 4

    return values, event


MAKERS = {
    "hourly": (3600, 24, (1440, 1680), (traffic, sine, seasons, changing, traffic)),
    "minutes": (60, 1440, (8 * 1440, 8 * 1440), (traffic, latency, success)),
    "states": (3600, 24, (1200, 1600), (levels, counts, plateaus)),
}
LENGTHS = {
    "hourly": {"spike": (1, 3), "dip": (1, 6), "shift": (6, 48)},
    "minutes": {"spike": (1, 5), "dip": (3, 30), "shift": (20, 120)},
    "states": {},
}
GAP = 12


def place(r, a, b, events, n):
    """Up to n events at free places in [a, b)."""
    out = []
    for _ in range(20 * n):
        if len(out) == n:
            break
        length, change = events()
        at = r.randrange(a, max(a + 1, b - length))
        if at + length <= b and all(at + length + GAP < s or at > s + m + GAP for s, m, _ in out):
            out.append((at, length, change))
    return out


def made(kind, seed, keep):
    step, day, (low, high), makers = MAKERS[kind]
    r = random.Random(f"{kind} {seed}")
    n = r.randint(low, high)
    values, event = makers[seed % len(makers)](r, n, day, LENGTHS[kind])
    cut = n // 2
    train = place(r, 2 * day if cut > 4 * day else 24, cut, event, max(KEEP))
    test = place(r, cut + GAP, n, event, r.randint(1, 8))
    if r.random() < 0.2:
        spread = max(values[:cut]) - min(values[:cut])
        at, by = r.randrange(cut + cut // 4, n), spread * r.uniform(0.3, 1.2)
        values = [v + (by if t >= at else 0) for t, v in enumerate(values)]
    labels = [0] * n
    for at, length, change in r.sample(train, len(train))[:keep] + test:
        for t in range(at, at + length):
            values[t], labels[t] = change(values[t]), 1
    return step, cut, values, labels


# ---- real series ----


def read_kpi(path):
    with gzip.open(path, "rt") as f:
        head = dict(x.split("=") for x in f.readline()[2:].split())
        f.readline()
        rows = [line.split(",") for line in f]
    n = int(head["n_train"])  # what lies behind is not looked at
    return int(head["interval_s"]), [float(v) for v, _ in rows[:n]], [int(x) for _, x in rows[:n]]


def runs(labels):
    out, start = [], None
    for i, x in enumerate([*labels, 0]):
        if x and start is None:
            start = i
        elif not x and start is not None:
            out.append((start, i))
            start = None
    return out


def thinned(values, labels, cut, keep, seed):
    events = [e for e in runs(labels) if e[0] < cut]
    r = random.Random(seed)
    values, labels = values[:], labels[:]
    for a, b in r.sample(events, len(events))[keep:]:
        left = values[a - 1] if a else values[min(b, len(values) - 1)]
        right = values[b] if b < len(values) else left
        for t in range(a, b):
            values[t], labels[t] = left + (right - left) * (t - a + 1) / (b - a + 1), 0
    return values, labels


def kpi(kind, path, keep):
    step, values, labels = read_kpi(path)
    cut = len(values) // 2
    values, labels = thinned(values, labels, cut, keep, path.name)
    if kind == "kpi-minutes":
        first = max(0, cut - 21 * 86400 // step)
        return step, cut - first, values[first:cut + 21 * 86400 // step], labels[first:cut + 21 * 86400 // step]
    k = 3600 // step
    pieces = range(0, len(values) - k + 1, k)
    fold = max if kind.endswith("max") else lambda v: sum(v) / len(v)
    return 3600, cut // k, [fold(values[i:i + k]) for i in pieces], [max(labels[i:i + k]) for i in pieces]


def nab(path, points):
    with gzip.open(path, "rt") as f:
        rows = [line.rstrip("\n").split(",") for line in f][1:]
    labels = [0] * len(rows)
    for i, (when, _) in enumerate(rows):
        if when in points:
            labels[max(0, i - 3):i + 5] = [1] * len(labels[max(0, i - 3):i + 5])
    times = [time.mktime(time.strptime(when[:19], "%Y-%m-%d %H:%M:%S")) for when, _ in rows[:200]]
    steps = sorted(b - a for a, b in zip(times, times[1:]))
    return int(steps[len(steps) // 2]) or 300, len(rows) // 2, [float(v) for _, v in rows], labels


def real(kind, data, part, keep):
    """name, series; every second of them is of the other part."""
    want = 0 if part == "tune" else 1
    if kind == "nab":
        points = json.loads((data / "nab/labels/combined_labels.json").read_text())
        for i, (name, at) in enumerate(sorted(points.items())):
            path = data / "nab/data" / f"{name}.gz"
            if i % 2 == want and path.exists():
                yield name.replace("/", "-").removesuffix(".csv"), nab(path, set(at))
        return
    for i, path in enumerate(sorted((data / "kpi").glob("*.csv.gz"))):
        if i % 2 == want:
            yield path.name.removesuffix(".csv.gz"), kpi(kind, path, keep)


# ---- the table ----


def write(folder, name, series):
    step, cut, values, labels = series
    rows = "".join(f"{v:.9g},{x}\n" for v, x in zip(values, labels))
    (folder / f"{name}.csv").write_text(
        f"# series={name} interval_s={step} t0=0 n_train={cut} n_test={len(values) - cut}\nvalue,label\n{rows}")


def fill(folder, kind, keep, args):
    folder.mkdir(parents=True)
    if kind in MAKERS:
        for seed in range(FIRST_SEED[args.part], FIRST_SEED[args.part] + args.series):
            write(folder, f"{kind}-{seed}", made(kind, seed, keep))
        return
    for name, series in real(kind, args.data, args.part, keep):
        write(folder, name, series)


def score(args, folder, kind):
    r = subprocess.run([args.aceso, "train", "bench", "--dataset", "csv", str(folder), "--delay", str(DELAYS[kind]),
                        "--json"], capture_output=True, text=True, check=False)
    if r.returncode:
        sys.exit(f"{folder}: aceso train bench: {r.stderr.strip()}")
    return json.loads(r.stdout.splitlines()[-1])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", type=pathlib.Path)
    p.add_argument("--part", choices=FIRST_SEED, default="report")
    p.add_argument("--aceso", default=str(pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")) / "bin/aceso"))
    p.add_argument("--kinds")
    p.add_argument("--keep", default=",".join(map(str, KEEP)))
    p.add_argument("--series", type=int, default=40, help="made series a kind")
    p.add_argument("--out", type=pathlib.Path, help="keep the series files here; what is there is taken as it is")
    args = p.parse_args()
    kinds = args.kinds.split(",") if args.kinds else [k for k in DELAYS if k in MAKERS or args.data]
    keeps = [int(k) for k in args.keep.split(",")]
    print(f"part {args.part}; event F1 with delay (false alarm points a series)")
    print("kind            K  series " + "".join(f"{k:>14}" for k in keeps), flush=True)
    with tempfile.TemporaryDirectory() as temp:
        for kind in kinds:
            row = ""
            for keep in keeps if kind != "nab" else [-1]:
                folder = (args.out or pathlib.Path(temp)) / args.part / f"{kind}-{keep}"
                if not folder.exists():
                    fill(folder, kind, keep, args)
                d = score(args, folder, kind)
                row += f"  {d['event_f1_delay']:.3f} ({d['fp'] / d['series']:4.1f})"
            print(f"{kind:15} {DELAYS[kind]:2} {d['series_with_events']:4}    {row}", flush=True)


if __name__ == "__main__":
    main()

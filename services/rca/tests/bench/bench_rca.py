"""make bench-rca: the tables of docs/benchmarks.md on root causes, as Markdown. Ours and the peers' figures come from
one run on one machine, one process at a time; a peer that takes more than --peer-s of processor time is stopped and shown
as '> N s'.
Without --data only the times are taken: the data sets are no part of the repository."""
import argparse
import glob
import gzip
import json
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ABLATED = ["cpu", "mem", "lat", "err", "gap", "sli", "caller", "load,net,io,clat", "explained", "onset"]
SCORERS = ["recipe", "nsigma", "baro", "baro-change", "circa", "traversal", "walk", "rcd", "shapley", "fix"]
METHODS = ["pc", "fci", "ges", "lingam", "pcmci", "granger"]
NOT_TRIED = "not tried"  # a smaller size took too long
PEERS = {"pcmci": "tigramite", "granger": "RCAEval"}


def measure(argv, limit_s):
    """(stdout, stderr, processor seconds, peak MiB) or None when it took more processor time."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(argv, stdout=out, stderr=err, text=True, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_CPU, (int(limit_s), int(limit_s) + 1)))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text, words = out.read(), err.read()
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return None
    if child.returncode:
        sys.exit(f"{' '.join(argv)}: exit code {child.returncode}: {words.strip().splitlines()[-1:]}")
    return text, words, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Bench:
    def __init__(self, a):
        self.a = a

    def ours(self, *argv, limit_s=3600):
        r = measure([self.a.aceso, "rca", *argv, "--json"], limit_s)
        return r and (json.loads(r[0]), r[1], r[3], r[2])

    def dataset(self, name, *more):
        where = {"petshop": "petshop/dataset", "sockshop": "sockshop-cpu", "nezha": "nezha-online-boutique"}
        return self.ours("bench", "--dataset", name, os.path.join(self.a.data, where.get(name, name)), *more)[0]

    def peer(self, method, path):
        r = measure([sys.executable, os.path.join(HERE, "peer.py"), method, path], self.a.peer_s)
        return r and {**json.loads(r[0].splitlines()[-1]), "mib": r[3]}


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def head(*cells):
    print()
    row(*cells)
    row(*["---"] * len(cells))


def top(d):
    return "/".join(f"{d[k]:.3f}".lstrip("0") if d[k] < 1 else "1.00" for k in ("ac1", "ac3", "ac5"))


def accuracy(b):
    head("set", "top-1/3/5", "Avg@5", "always answering", "normal windows left unanswered", "ms a case")
    for name, more in [("sockshop", []), ("sockshop", ["--late-s", "60"]), ("sockshop", ["--late-s", "120"]),
                       ("petshop", []), ("petshop", ["--late-s", "300"]), ("nezha", []),
                       ("nezha", ["--no-graph", "--no-edge-latency"])]:
        d = b.dataset(name, *more)
        row(f"`{' '.join([name, *more])}`", top(d), f"{d['avg5']:.3f}", top(d["always"]),
            f"{d['specificity']:.3f}" if "specificity" in d else "", f"{d['seconds_per_case'] * 1e3:.1f}")
    head("set", "kind of fault", "cases", "top-1", "top-3", "Avg@5")
    for name in ("sockshop", "petshop", "nezha"):
        for kind, t in b.dataset(name)["by_fault"].items():
            row(name, kind, t["cases"], f"{t['ac1']:.3f}", f"{t['ac3']:.3f}", f"{t['avg5']:.3f}")
    d = b.dataset("causal-learn")
    print(f"\ncausal-learn's stored outputs: {d['equal']} of {d['cases']} equal, {d['without_data']} without data")


def ablation(b):
    sets = [("sockshop", ["--late-s", "60"]), ("petshop", []), ("nezha", [])]
    head("without", *[" ".join([n, *m]) for n, m in sets])
    row("nothing", *[top(b.dataset(n, *m)) for n, m in sets])
    for part in ABLATED:
        row(f"`{part}`", *[top(b.dataset(n, *m, "--without", part)) for n, m in sets])
    row("the graph", *[top(b.dataset(n, *m, "--no-graph")) for n, m in sets])


WITHIN = [("load", "cpu"), ("load", "mem"), ("load", "lat"), ("load", "err"), ("cpu", "lat"), ("mem", "lat"),
          ("cpu", "err"), ("mem", "err"), ("lat", "err")]


def by_hand(name):
    """Calls that documents state, all calls, and what drives what by the rule of fixtures/README.md."""
    with open(os.path.join(HERE, "..", "fixtures", name + ".csv"), encoding="utf-8") as f:
        lines = [line.rstrip("\n").split(",", 2) for line in f][1:]
    stated = {(a, c) for a, c, why in lines if not why.startswith("known:")}
    metrics = {(f"{s}.{x}", f"{s}.{y}") for s in {n for call in stated for n in call} for x, y in WITHIN}
    for a, c in stated:
        metrics |= {(f"{a}.load", f"{c}.load"), (f"{c}.lat", f"{a}.lat"), (f"{c}.err", f"{a}.err")}
    return stated, {(a, c) for a, c, _ in lines}, metrics


def share(found, truth):
    both = len(found & truth)
    p, r = both / max(len(found), 1), both / max(len(truth), 1)
    return f"{p:.2f} / {r:.2f} / {2 * p * r / max(p + r, 1e-9):.2f}"


def quality(b):
    """Synthesised graphs against those written down by hand: precision, recall, F1."""
    head("documents of", "calls that a document states", "all calls", "what drives what")
    for name in ("online-boutique", "sock-shop"):
        stated, known, metrics = by_hand(name)
        edges = b.ours("synthesise", "--docs", os.path.join(b.a.data, "docs", name))[0]["edges"]
        calls = {(e["from"], e["to"]) for e in edges if e["kind"] == "calls" and e["confidence"] >= .5}
        there = {n for call in stated for n in call}
        drives = {(e["from"], e["to"]) for e in edges if e["kind"] == "causes"
                  and {n.rpartition(".")[0] for n in (e["from"], e["to"])} <= there}
        row(name, share(calls, stated), share(calls, known), share(drives, metrics))


def graphs(b):
    """The same recipe and scorers with one graph after another, where the documents are there."""
    docs = os.path.join(b.a.data, "docs", "online-boutique")
    if not os.path.isdir(docs):
        return
    metrics = glob.glob(os.path.join(b.a.data, "nezha-online-boutique", "rca_data", "*", "metric"))
    with tempfile.TemporaryDirectory() as d:
        made, checked = os.path.join(d, "made.json"), os.path.join(d, "checked.json")
        b.ours("synthesise", "--docs", docs, "--out", made)
        b.ours("synthesise", "--docs", docs, "--metrics", sorted(metrics)[0], "--out", checked)
        oracle = os.path.join(HERE, "..", "fixtures", "online-boutique.csv")
        ways = [("none", ["--no-graph"]), ("recorded calls", []), ("synthesised", ["--graph", made]),
                ("validated", ["--graph", checked]), ("written down by hand", ["--graph", oracle])]
        head("graph (nezha, without edge latencies)", "recipe", "`circa`", "`traversal`", "`shapley`")
        for name, more in ways:
            if "--graph" in more and not os.path.exists(more[1]):
                continue
            row(name, *[top(b.dataset("nezha", "--no-edge-latency", *more, "--scorer", s))
                        for s in ("recipe", "circa", "traversal", "shapley")])


def scorers(b):
    sets = [("sockshop", []), ("sockshop", ["--late-s", "60"]), ("petshop", []), ("nezha", []),
            ("nezha", ["--no-graph", "--no-edge-latency"])]
    head("scorer", *[" ".join([n, *m]) for n, m in sets], "ms a case")
    for s in SCORERS:
        d = [b.dataset(n, *m, "--scorer", s) for n, m in sets]
        row(f"`{s}`", *[top(x) for x in d], f"{max(x['seconds_per_case'] for x in d) * 1e3:.1f}")


# ---- bnlearn's networks ----

def true_edges(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", errors="replace") as f:
        text = f.read()
    return [(p.strip(), m[0].strip()) for m in re.findall(r"probability\s*\(\s*([^|)\s]+)\s*\|\s*([^)]*)\)", text)
            for p in m[1].split(",")]


def cpdag(names, edges):
    import numpy as np
    from causallearn.graph.Dag import Dag
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.DAG2CPDAG import dag2cpdag
    nodes = [GraphNode(n) for n in names]
    g = Dag(nodes)
    for a, c in edges:
        g.add_directed_edge(nodes[names.index(a)], nodes[names.index(c)])
    return np.array(dag2cpdag(g).graph)


def compare(truth, found):
    """F1 of the skeleton; pairs whose marks differ."""
    n = len(truth)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    there = sum(truth[i][j] != 0 for i, j in pairs)
    said = sum(found[i][j] != 0 for i, j in pairs)
    both = sum(truth[i][j] != 0 and found[i][j] != 0 for i, j in pairs)
    return 2 * both / max(there + said, 1), sum(
        truth[i][j] != found[i][j] or truth[j][i] != found[j][i] for i, j in pairs)


def bnlearn(b):
    head("network", "variables", "F1", "SHD", "s", "causal-learn: F1", "SHD", "s")
    sums = []
    with tempfile.TemporaryDirectory() as d:
        r = b.ours("bench", "--dataset", "bnlearn", os.path.join(b.a.data, "bnlearn"), "--out", d,
                   "--max-variables", str(b.a.max_variables))
        lines = re.findall(r"(\S+)\s+(\d+) variables, +\d+ edges: F1 ([\d.]+), SHD (\d+), ([\d.]+) s", r[1])
        files = {os.path.basename(f).split(".bif")[0]: f
                 for f in glob.glob(os.path.join(b.a.data, "bnlearn", "**", "*.bif*"), recursive=True)}
        for name, n, f1, shd, seconds in lines:
            csv = os.path.join(d, name + ".csv")
            p = b.peer("pc-chisq", csv)
            theirs = (f"> {b.a.peer_s:g} s", "", "")
            if p:
                with open(csv, encoding="utf-8") as f:
                    names = f.readline().strip().split(",")
                q = compare(cpdag(names, true_edges(files[name])), p["graph"])
                theirs = (f"{q[0]:.3f}", q[1], f"{p['seconds']:.1f}")
                sums.append((float(f1), int(shd), *q))
            row(name, n, f1, shd, seconds, *theirs)
    if sums:
        mean = [sum(c) / len(sums) for c in zip(*sums)]
        row(f"mean of the {len(sums)} that both have", "", f"{mean[0]:.3f}", f"{mean[1]:.1f}", "",
            f"{mean[2]:.3f}", f"{mean[3]:.1f}", "")


def edges(b):
    """Verdicts on edges whose truth is known: tuned on half of the networks, reported on the other."""
    d = b.ours("bench", "--dataset", "edges", os.path.join(b.a.data, "bnlearn"),
               "--max-variables", str(b.a.max_variables))[0]
    head("half", "data", "rows", "enough to see", "contradicted that are wrong", "wrong ones that are contradicted",
         "true ones that are supported")
    for v in d["verdicts"]:
        row(v["half"], v["data"], v["rows"], v["detectable"],
            *[f"{v[k]:.3f}" for k in ("contradicted_are_wrong", "wrong_are_contradicted", "true_are_supported")])
    print("\nF1 of contradicted, tuned / reported: "
          + ", ".join(f"{f['detectable']:g}: {f['tuned']:.3f} / {f['reported']:.3f}" for f in d["f1"])
          + f"; chosen on the tuned half: {d['chosen']:g}")


# ---- time and memory ----

def write_model(path, p, n, seed):
    """Linear, two random causes each, Gaussian noise: all variables correlate."""
    rng = random.Random(seed)
    causes = [[(j, rng.uniform(.3, .8)) for j in rng.sample(range(i), min(i, 2))] for i in range(p)]
    with open(path, "w", encoding="utf-8") as f:
        f.write(",".join(f"x{i}" for i in range(p)) + "\n")
        for _ in range(n):
            v = []
            for i in range(p):
                v.append(sum(w * v[j] for j, w in causes[i]) + rng.gauss(0, 1))
            f.write(",".join("%.6g" % x for x in v) + "\n")


def write_incident(folder, p, seed):
    """600 healthy rows and 100 of an incident: four measurements a service, the first one burns."""
    rng = random.Random(seed)
    names = [f"s{i // 4}_{('cpu', 'mem', 'latency', 'load')[i % 4]}" for i in range(p)]
    case = os.path.join(folder, "s0-cpu", "1")
    os.makedirs(case)
    rows = []
    for t in range(700):
        shared = rng.gauss(0, 1)
        v = [10 + rng.gauss(0, 1) + .5 * shared for _ in names]
        if t >= 600:
            v[0] += 30
            v[2] += 10
        rows.append([t, *v])
    for name, part in (("normal", rows[:600]), ("anomalous", rows[600:])):
        with open(os.path.join(case, name + ".csv"), "w", encoding="utf-8") as f:
            f.write(",".join(["time", *names]) + "\n")
            f.writelines(",".join("%.6g" % x for x in r) + "\n" for r in part)
    whole = os.path.join(folder, "whole.csv")
    with open(whole, "w", encoding="utf-8") as f:
        f.write(",".join(["time", *names]) + "\n")
        f.writelines(",".join("%.6g" % x for x in r) + "\n" for r in rows)
    return whole


def exponent(points):
    """Slope of ln t over ln p, least squares; of what took a millisecond and more."""
    q = [(math.log(p), math.log(t)) for p, t in points if t and t >= 1e-3]
    if len(q) < 2:
        return ""
    mx, my = sum(x for x, _ in q) / len(q), sum(y for _, y in q) / len(q)
    return f"{sum((x - mx) * (y - my) for x, y in q) / sum((x - mx) ** 2 for x, _ in q):.1f}"


def shown(r, limit_s):
    if r == NOT_TRIED:
        return "not tried"
    if not r:
        return f"> {limit_s:g} s"
    s = r["seconds"]
    return (f"{s * 1e3:.1f} ms" if s < 1 else f"{s:.1f} s") + f" ({r['mib']:.0f})"


def time_table(b, names, ours, theirs):
    sizes = b.a.sizes
    head("method", "who", *[f"{p} variables" for p in sizes], "exponent")
    for name in names:
        mine, peer = [], []
        for p in sizes:
            mine.append(ours(name, p) if not mine or isinstance(mine[-1], dict) else NOT_TRIED)
            if name in theirs:  # a size more is not tried once one took too long
                peer.append(theirs[name](p) if not peer or isinstance(peer[-1], dict) else NOT_TRIED)
        row(f"`{name}`", "ours", *[shown(r, b.a.own_s) for r in mine],
            exponent([(p, r["seconds"]) for p, r in zip(sizes, mine) if isinstance(r, dict)]))
        if peer:
            who = PEERS.get(name, "causal-learn" if name in METHODS else "RCAEval")
            row("", who, *[shown(r, b.a.peer_s) for r in peer],
                exponent([(p, r["seconds"]) for p, r in zip(sizes, peer) if isinstance(r, dict)]))


def times(b):
    print(f"\nProcessor time (ours with reading the file, the peers' without), and in brackets the peak MiB of the process. 2,000 "
          f"rows; level .01; lags up to 3. One run; load average {os.getloadavg()[0]:.1f} at its begin.")
    with tempfile.TemporaryDirectory() as d:
        files = {p: os.path.join(d, f"{p}.csv") for p in {*b.a.sizes, 212, 1000}}
        for p, path in files.items():
            write_model(path, p, 2000, 5)

        def ours(method, p):
            r = b.ours("discover", "--method", method, "--alpha", "0.01", "--data", files[p], limit_s=b.a.own_s)
            return r and {"seconds": r[3], "wall": r[0]["seconds"], "mib": r[2]}

        time_table(b, [m for m in METHODS if m in b.a.methods], ours,
                   {m: (lambda p, m=m: b.peer(m, files[p])) for m in METHODS})
        best = {p: min(ours("pc", p)["wall"] for _ in range(5)) for p in (212, 1000)}
        print("\nPC by the wall clock, reading left out, best of 5: "
              + ", ".join(f"{p} variables {s * 1e3:.0f} ms" for p, s in best.items()))
    print("\nA whole answer, processor time without reading; 600 rows before the incident, 100 in it; no calls are known.")
    with tempfile.TemporaryDirectory() as d:
        whole = {p: write_incident(os.path.join(d, str(p)), p, 7) for p in b.a.sizes}

        # RCAEval's rcd is not among the peers: it wants a changed causal-learn.
        def answer(scorer, p):
            r = b.ours("bench", "--dataset", "sockshop", os.path.join(d, str(p)), "--scorer", scorer, limit_s=b.a.own_s)
            return r and {"seconds": r[0]["processor_seconds_per_case"], "mib": r[2]}

        time_table(b, [s for s in SCORERS if s in b.a.methods], answer,
                   {s: (lambda p, s=s: b.peer(s, whole[p])) for s in ("nsigma", "baro", "circa")})


def main():
    parts = {f.__name__: f for f in (accuracy, scorers, ablation, quality, graphs, bnlearn, edges, times)}
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--aceso", required=True)
    a.add_argument("--data", help="folder with sockshop-cpu, petshop, nezha-online-boutique, causal-learn, bnlearn, docs")
    a.add_argument("--only", default=",".join(parts), help="of " + ", ".join(parts))
    a.add_argument("--max-variables", type=int, default=100, help="larger networks of bnlearn are left out")
    a.add_argument("--peer-s", type=float, default=60, help="processor time a peer may take for one size")
    a.add_argument("--own-s", type=float, default=120, help="processor time that ours may take for one size")
    a.add_argument("--sizes", type=lambda s: [int(x) for x in s.split(",")], default=[50, 200, 500, 1000])
    a.add_argument("--methods", type=lambda s: s.split(","), default=METHODS + SCORERS, help="rows of the times")
    args = a.parse_args()
    unknown = set(args.only.split(",")) - set(parts)
    if unknown:
        a.error(f"--only: {', '.join(sorted(unknown))}: not one of {', '.join(parts)}")
    bench = Bench(args)
    for name, run in parts.items():
        if name not in args.only.split(","):
            continue
        if name != "times" and not args.data:
            print(f"\n{name}: left out, no RCA_DATA")
            continue
        print(f"\n### {name}")
        run(bench)


if __name__ == "__main__":
    main()

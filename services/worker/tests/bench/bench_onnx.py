#!/usr/bin/env python3
"""Latency of the CPU executor beside ONNX Runtime's, one thread each, in turns in one run; errors against stored outputs.

  bench_onnx.py DIR [--rounds N] [--batches 1,4,16]     DIR: folders with model.onnx and test_data_set_*

Needs onnxruntime (PyPI), which the tree does not install: python3 -m venv V && V/bin/pip install onnxruntime
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy
import onnxruntime

ACESO = pathlib.Path(os.environ.get("ACESO_BUILD", "build")) / "bin/aceso"


def ours(model, *args):
    p = subprocess.run([ACESO, "serve", "model", model, "--json", *args], capture_output=True, text=True)
    if not p.stdout.strip():
        raise RuntimeError(p.stderr.strip().splitlines()[-1])
    return json.loads(p.stdout.splitlines()[-1])


def fields(data):
    """Numbers and values of a protobuf message's fields."""
    at = 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            v |= (data[at] & 127) << shift
            at += 1
            shift += 7
            if data[at - 1] < 128:
                return v
    while at < len(data):
        key = varint()
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        size = varint() if size is None else size
        yield key >> 3, varint() if key & 7 == 0 else data[at:at + size]
        at += size


def largest(folder):
    """Of the stored outputs, whose differences are stated relative to it."""
    top = 0.0
    for path in folder.glob("output_*.pb"):
        f = dict(fields(path.read_bytes()))
        top = max(top, float(numpy.abs(numpy.frombuffer(f.get(9, f.get(4, b"")), numpy.float32)).max(initial=0)))
    return top


def session(model):
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    o.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), o, providers=["CPUExecutionProvider"])


def theirs(s, batch, executions):
    feed = {}
    for i in s.get_inputs():
        dims = [d if isinstance(d, int) else batch for d in i.shape]
        feed[i.name] = numpy.zeros(dims, numpy.float32 if i.type == "tensor(float)" else numpy.int64)
    took = []
    for _ in range(executions):
        t = time.perf_counter_ns()
        s.run(None, feed)
        took.append((time.perf_counter_ns() - t) / 1e3)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def latency(model, batch, rounds):
    s = session(model)
    free = any(not isinstance(d, int) for i in s.get_inputs() for d in i.shape)
    if batch > 1 and not free:
        return
    a, b = [], []
    for _ in range(rounds):
        r = ours(model, "--batch", str(batch))
        a.append((r["median_us"], r["p99_us"]))
        b.append(theirs(s, batch, r["executions"]))
    cells = [f(v[k] for v in side) for side in (a, b) for k, f in ((0, statistics.median), (1, min))]
    print("%-36s %5d %10.1f %10.1f %10.1f %10.1f %6.2f" %
          ("/".join(model.parts[-2:-1]), batch, *cells, cells[0] / cells[2]), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir", type=pathlib.Path)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--batches", default="1,2,4,8,16")
    args = p.parse_args()
    models = sorted(args.dir.rglob("model.onnx"))
    checks = [(m, d) for m in models for d in sorted(m.parent.glob("test_data_set_*"))]
    if not checks:
        sys.exit("bench_onnx: no folder with model.onnx and test_data_set_* in %s" % args.dir)
    print("%-50s %12s %12s %12s %12s" % ("stored outputs", "absolute", "of largest", "largest", "its float's step"))
    for m, d in checks:
        r = ours(m, "--check", d)
        top = numpy.float32(largest(d))
        print("%-50s %12.3g %12.3g %12.6g %12.3g" %
              ("/".join(d.parts[-2:]), r["max_abs_error"], r["max_abs_error"] / top, top, numpy.spacing(top)), flush=True)
    print("\n%-36s %5s %10s %10s %10s %10s %6s" % ("us (median of rounds; least p99)", "batch", "ours p50", "p99", "theirs p50", "p99", "ratio"))
    for m in sorted({m for m, _ in checks}):
        for b in map(int, args.batches.split(",")):
            latency(m, b, args.rounds)


if __name__ == "__main__":
    main()

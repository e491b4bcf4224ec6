#!/usr/bin/env python3
"""Makes the dense autoencoder that the demo application's recommendation asks, and its test vectors.

Only the standard library: the protobuf bytes are written by hand, and the expected outputs come from a
float64 evaluation of the graph here, not from any runtime. Seeded: the same files every time.
  services/controller/models/hotel_recommend/1/model.onnx    features [N,16] -> reconstruction [N,16], score [N,1]
  services/worker/tests/data/hotel_recommend/test_data_set_b{1,4}/{input,output}_*.pb
"""
import math
import pathlib
import random
import struct

SEED = 20260101
FLOAT = 1
INT64 = 7


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def num(field, v):
    return varint(field << 3) + varint(v)


def blob(field, b):
    if isinstance(b, str):
        b = b.encode()
    return varint(field << 3 | 2) + varint(len(b)) + b


def tensor(name, dims, values, dtype=FLOAT):
    raw = struct.pack("<%d%s" % (len(values), "f" if dtype == FLOAT else "q"), *values)
    return b"".join(num(1, d) for d in dims) + num(2, dtype) + blob(8, name) + blob(9, raw)


def value_info(name, dims):
    shape = b"".join(blob(1, blob(2, d) if isinstance(d, str) else num(1, d)) for d in dims)
    return blob(1, name) + blob(2, blob(1, num(1, FLOAT) + blob(2, shape)))


def attr(name, v):
    if isinstance(v, float):
        return blob(1, name) + varint(2 << 3 | 5) + struct.pack("<f", v) + num(20, 1)
    return blob(1, name) + num(3, v) + num(20, 2)


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Model:
    def __init__(self, rng):
        self.rng, self.nodes, self.tensors, self.run = rng, [], [], []

    def weights(self, name, dims, spread):
        n = math.prod(dims)
        v = [f32(self.rng.gauss(0, spread)) for _ in range(n)]
        self.tensors.append(tensor(name, dims, v))
        return v

    def node(self, op, inputs, output, fn, **attrs):
        body = b"".join(blob(1, i) for i in inputs) + blob(2, output) + blob(3, output) + blob(4, op)
        body += b"".join(blob(5, attr(k, v)) for k, v in attrs.items())
        self.nodes.append(body)
        self.run.append((inputs[0], output, fn))

    def gemm(self, x, out, k, n, trans):
        w = self.weights(out + "_w", [n, k] if trans else [k, n], 1 / math.sqrt(k))
        b = self.weights(out + "_b", [n], 0.2)
        at = (lambda i, j: w[j * k + i]) if trans else (lambda i, j: w[i * n + j])
        extra = {"transB": 1} if trans else {}
        self.node("Gemm", [x, out + "_w", out + "_b"], out,
                  lambda v: [sum(v[i] * at(i, j) for i in range(k)) + b[j] for j in range(n)], **extra)

    def matmul_add(self, x, out, k, n):
        w = self.weights(out + "_w", [k, n], 1 / math.sqrt(k))
        self.node("MatMul", [x, out + "_w"], out + "_mm",
                  lambda v: [sum(v[i] * w[i * n + j] for i in range(k)) for j in range(n)])
        b = self.weights(out + "_b", [n], 0.2)
        self.node("Add", [out + "_mm", out + "_b"], out, lambda v: [a + c for a, c in zip(v, b)])

    def batch_norm(self, x, out, n):
        p = {s: self.weights("%s_%s" % (out, s), [n], 0.5) for s in ("scale", "bias", "mean")}
        var = [f32(0.5 + self.rng.random()) for _ in range(n)]
        self.tensors.append(tensor(out + "_var", [n], var))
        eps = f32(1e-3)
        self.node("BatchNormalization", [x] + [out + "_" + s for s in ("scale", "bias", "mean", "var")], out,
                  lambda v: [(a - m) / math.sqrt(s2 + eps) * s + b for a, m, s2, s, b in
                             zip(v, p["mean"], var, p["scale"], p["bias"])], epsilon=1e-3)

    def unary(self, op, x, out, fn):
        self.node(op, [x], out, lambda v: [fn(a) for a in v])

    def evaluate(self, row):
        values = {"features": row}
        for source, out, fn in self.run:
            values[out] = fn(values[source])
        return values

    def bytes(self):
        graph = b"".join(blob(1, n) for n in self.nodes) + blob(2, "hotel_recommend")
        graph += b"".join(blob(5, t) for t in self.tensors)
        graph += blob(11, value_info("features", ["N", 16]))
        graph += blob(12, value_info("reconstruction", ["N", 16])) + blob(12, value_info("score", ["N", 1]))
        return num(1, 8) + blob(2, "aceso make_dense_model") + blob(7, graph) + blob(8, blob(1, "") + num(2, 13))


def main():
    root = pathlib.Path(__file__).resolve().parents[3]
    m = Model(random.Random(SEED))
    m.matmul_add("features", "enc1", 16, 32)
    m.batch_norm("enc1", "enc1_bn", 32)
    m.unary("Relu", "enc1_bn", "enc1_act", lambda a: max(a, 0.0))
    m.gemm("enc1_act", "enc2", 32, 8, True)
    m.unary("Tanh", "enc2", "code", math.tanh)
    m.gemm("code", "score_lin", 8, 1, False)
    m.unary("Sigmoid", "score_lin", "score", lambda a: 1 / (1 + math.exp(-a)))
    m.gemm("code", "dec1", 8, 32, False)
    m.unary("Relu", "dec1", "dec1_act", lambda a: max(a, 0.0))
    m.matmul_add("dec1_act", "reconstruction", 32, 16)
    out = root / "services/controller/models/hotel_recommend/1/model.onnx"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(m.bytes())
    rng = random.Random(SEED + 1)
    for batch in (1, 4):
        rows = [[f32(rng.gauss(0, 1)) for _ in range(16)] for _ in range(batch)]
        got = [m.evaluate(r) for r in rows]
        d = root / "services/worker/tests/data/hotel_recommend" / ("test_data_set_b%d" % batch)
        d.mkdir(parents=True, exist_ok=True)
        (d / "input_0.pb").write_bytes(tensor("features", [batch, 16], sum(rows, [])))
        for i, (name, n) in enumerate((("reconstruction", 16), ("score", 1))):
            (d / ("output_%d.pb" % i)).write_bytes(tensor(name, [batch, n], sum((g[name] for g in got), [])))


if __name__ == "__main__":
    main()

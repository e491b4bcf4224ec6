#!/usr/bin/env python3
"""Makes small models of operators over images and of moves of elements, and their test vectors.

Only the standard library; the expected outputs come from a float64 evaluation of each operator's definition
here, element by element, not from any runtime. Seeded: the same files every time.
  services/worker/tests/data/operators/CASE/{model.onnx,input_0.pb,output_0.pb}    x [N,...] -> y
  services/worker/tests/data/refused/CASE.onnx    models that ask for something that is not there
"""
import itertools
import math
import pathlib
import random

from make_dense_model import INT64, attr, blob, f32, num, tensor, value_info

SEED = 20260102
BATCH = 3


def any_attr(name, v):
    if isinstance(v, str):
        return blob(1, name) + blob(4, v) + num(20, 3)
    if isinstance(v, (list, tuple)):
        return blob(1, name) + b"".join(num(8, i) for i in v) + num(20, 7)
    return attr(name, v)


class Array:
    """A tensor as a dictionary from index to value."""

    def __init__(self, dims, at):
        self.dims = list(dims)
        self.v = {i: at(i) for i in itertools.product(*map(range, dims))}

    def flat(self):
        return [self.v[i] for i in sorted(self.v)]

    def map(self, fn):
        return Array(self.dims, lambda i: fn(self.v[i]))


def extent(size, kernel, stride, dilation, pads, ceil=False):
    room = size + sum(pads) - (dilation * (kernel - 1) + 1)
    n = (-(-room // stride) if ceil else room // stride) + 1
    return n - 1 if ceil and (n - 1) * stride >= size + pads[0] else n


def same(size, kernel, stride, lower):
    extra = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return ((extra + 1) // 2, extra // 2) if lower else (extra // 2, (extra + 1) // 2)


def conv(x, w, bias, groups, strides, dilations, pads):
    per, area = w.dims[1], [range(k) for k in w.dims[2:]]
    rows = w.dims[0] // groups
    out = [extent(n, k, s, d, p) for n, k, s, d, p in zip(x.dims[2:], w.dims[2:], strides, dilations, pads)]

    def at(i):
        total = bias[i[1]]
        for c in range(per):
            for tap in itertools.product(*area):
                place = tuple(o * s - p[0] + t * d for o, s, p, t, d in zip(i[2:], strides, pads, tap, dilations))
                total += x.v.get((i[0], i[1] // rows * per + c) + place, 0.0) * w.v[(i[1], c) + tap]
        return total
    return Array([x.dims[0], w.dims[0]] + out, at)


def pool(x, kernel, strides, pads, fn, ceil=False):
    """fn gets the values inside the input and how many places of the window lie in it and its pads."""
    out = [extent(n, k, s, 1, p, ceil) for n, k, s, p in zip(x.dims[2:], kernel, strides, pads)]

    def at(i):
        inside, padded = [], 0
        for tap in itertools.product(*map(range, kernel)):
            place = tuple(o * s - p[0] + t for o, s, p, t in zip(i[2:], strides, pads, tap))
            padded += all(-p[0] <= a < n + p[1] for a, p, n in zip(place, pads, x.dims[2:]))
            if i[:2] + place in x.v:
                inside.append(x.v[i[:2] + place])
        return fn(inside, padded)
    return Array(x.dims[:2] + out, at)


class Case:
    def __init__(self, name, dims):
        self.name, self.rng = name, random.Random("%d %s" % (SEED, name))
        self.nodes, self.tensors, self.dims = [], [], dims
        self.x = self.random([BATCH] + dims)

    def random(self, dims):
        return Array(dims, lambda _: f32(self.rng.gauss(0, 1)))

    def weights(self, name, dims, spread=0.5, around=0.0):
        a = Array(dims, lambda _: f32(around + self.rng.uniform(-spread, spread)))
        self.tensors.append(tensor(name, dims, a.flat()))
        return a

    def ints(self, name, values):
        self.tensors.append(tensor(name, [len(values)], values, INT64))

    def node(self, op, inputs, output, *outputs, **attrs):
        body = b"".join(blob(1, i) for i in inputs) + b"".join(blob(2, o) for o in (output, *outputs))
        body += blob(3, output) + blob(4, op)
        self.nodes.append(body + b"".join(blob(5, any_attr(k, v)) for k, v in attrs.items()))

    def model(self, outputs, opset=13):
        graph = b"".join(blob(1, n) for n in self.nodes) + blob(2, self.name)
        graph += b"".join(blob(5, t) for t in self.tensors) + blob(11, value_info("x", ["N"] + self.dims))
        graph += b"".join(blob(12, value_info(name, ["N"] + dims)) for name, dims in outputs)
        return num(1, 8) + blob(2, "aceso make_operator_models") + blob(7, graph) + blob(8, blob(1, "") + num(2, opset))

    def write(self, folder, first, opset=13, y="y", **more):
        outputs = [(y, first), *more.items()]
        d = folder / self.name
        d.mkdir(parents=True, exist_ok=True)
        (d / "model.onnx").write_bytes(self.model([(name, o.dims[1:]) for name, o in outputs], opset))
        (d / "input_0.pb").write_bytes(tensor("x", self.x.dims, self.x.flat()))
        for i, (name, o) in enumerate(outputs):
            (d / ("output_%d.pb" % i)).write_bytes(tensor(name, o.dims, o.flat()))


def conv_fused(folder):
    """Groups, strides, dilations and uneven pads; normalisation, a constant summand and Relu become part of it."""
    c = Case("conv_fused", [4, 9, 8])
    w, b = c.weights("w", [6, 2, 3, 2]), c.weights("b", [6])
    scale, bias, mean = (c.weights(s, [6]) for s in ("scale", "bias", "mean"))
    var, more = c.weights("var", [6], 0.4, 1.0), c.weights("more", [6, 1, 1])
    c.node("Conv", ["x", "w", "b"], "c", group=2, strides=[2, 1], dilations=[1, 3], pads=[1, 2, 0, 1])
    c.node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], "n", epsilon=1e-3)
    c.node("Add", ["n", "more"], "a")
    c.node("Relu", ["a"], "y")
    y = conv(c.x, w, b.flat(), 2, [2, 1], [1, 3], [(1, 0), (2, 1)])
    y = Array(y.dims, lambda i: max(0.0, (y.v[i] - mean.v[i[1:2]]) / math.sqrt(var.v[i[1:2]] + f32(1e-3)) *
                                    scale.v[i[1:2]] + bias.v[i[1:2]] + more.v[(i[1], 0, 0)]))
    c.write(folder, y)


def conv_residual(folder):
    """Depthwise and pointwise with automatic pads, and a sum with what came in before Relu6."""
    c = Case("conv_residual", [5, 7, 6])
    w1, w2 = c.weights("w1", [5, 1, 3, 4]), c.weights("w2", [5, 5, 1, 1])
    c.tensors += [tensor("low", [], [0.0]), tensor("high", [], [6.0])]
    c.node("Conv", ["x", "w1"], "c", group=5, auto_pad="SAME_UPPER")
    c.node("LeakyRelu", ["c"], "l", alpha=0.25)
    c.node("Conv", ["l", "w2"], "d")
    c.node("Add", ["d", "x"], "a")
    c.node("Clip", ["a", "low", "high"], "y")
    y = conv(c.x, w1, [0.0] * 5, 5, [1, 1], [1, 1], [same(7, 3, 1, False), same(6, 4, 1, False)])
    y = conv(y.map(lambda v: v if v >= 0 else 0.25 * v), w2, [0.0] * 5, 1, [1, 1], [1, 1], [(0, 0), (0, 0)])
    c.write(folder, Array(y.dims, lambda i: min(6.0, max(0.0, y.v[i] + c.x.v[i]))))


def conv_line(folder):
    """One dimension, several channels out of each group."""
    c = Case("conv_line", [3, 17])
    w = c.weights("w", [6, 1, 4])
    c.node("Conv", ["x", "w"], "y", group=3, strides=[3], auto_pad="SAME_LOWER", kernel_shape=[4])
    c.write(folder, conv(c.x, w, [0.0] * 6, 3, [3], [1], [same(17, 4, 3, True)]))


def conv_tiles(folder):
    """So many places that the unrolled image is made in several pieces, which end within a row."""
    c = Case("conv_tiles", [8, 50, 59])
    w = c.weights("w", [2, 8, 3, 3])
    c.node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1])
    c.node("GlobalAveragePool", ["c"], "p")
    c.node("Sub", ["c", "p"], "s")
    c.node("MaxPool", ["s"], "y", kernel_shape=[5, 6], strides=[5, 6])
    y = conv(c.x, w, [0.0, 0.0], 1, [1, 1], [1, 1], [(1, 1), (1, 1)])
    mean = {k: sum(y.v[k + i] for i in itertools.product(range(50), range(59))) / (50 * 59)
            for k in itertools.product(range(BATCH), range(2))}
    s = Array(y.dims, lambda i: y.v[i] - mean[i[:2]])
    c.write(folder, pool(s, [5, 6], [5, 6], [(0, 0), (0, 0)], lambda v, _: max(v)))


def pools(folder):
    """A last window that hangs over, means with and without the pads, put behind each other."""
    c = Case("pools", [2, 8, 9])
    shape = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    c.node("MaxPool", ["x"], "m", **shape)
    c.node("AveragePool", ["x"], "a", **shape)
    c.node("AveragePool", ["x"], "b", count_include_pad=1, **shape)
    c.node("MaxPool", ["x"], "o", ceil_mode=1, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    c.node("Slice", ["o", "zero", "size", "axes"], "oc")
    c.node("Concat", ["m", "a", "b", "oc"], "y", axis=1)
    c.ints("zero", [0, 0])
    c.ints("size", [4, 5])
    c.ints("axes", [2, 3])
    args = (c.x, [3, 2], [2, 2], [(1, 1), (0, 1)])
    parts = [pool(*args, lambda v, _: max(v)), pool(*args, lambda v, _: sum(v) / len(v)),
             pool(*args, lambda v, n: sum(v) / n), pool(*args, lambda v, _: max(v), ceil=True)]
    c.write(folder, Array([BATCH, 8] + parts[0].dims[2:], lambda i: parts[i[1] // 2].v[(i[0], i[1] % 2) + i[2:]]))


def moves(folder):
    """Pads, another order, every second from behind, and a constant whose shape is changed before use."""
    c = Case("moves", [2, 3, 4])
    c.ints("pads", [0, 1, 0, 2, 0, 0, 1, 0])
    c.tensors.append(tensor("fill", [], [1.5]))
    for name, values in (("starts", [-1, 1]), ("ends", [-100, 3]), ("axes", [1, 2]), ("steps", [-2, 1])):
        c.ints(name, values)
    w = c.weights("w", [2, 3, 3])
    c.ints("matrix", [3, 6])
    c.node("Pad", ["x", "pads", "fill"], "p", mode="constant")          # N 3 4 6
    c.node("Transpose", ["p"], "t", perm=[0, 3, 2, 1])                  # N 6 4 3
    c.node("Slice", ["t", "starts", "ends", "axes", "steps"], "s")      # N 3 2 3
    c.node("Reshape", ["w", "matrix"], "wm")
    c.node("MatMul", ["s", "wm"], "m")                                  # N 3 2 6
    c.node("Concat", ["m", "s"], "y", axis=-1)                          # N 3 2 9
    p = Array([BATCH, 3, 4, 6], lambda i: c.x.v.get((i[0], i[1] - 1, i[2], i[3] - 2), 1.5))
    s = Array([BATCH, 3, 2, 3], lambda i: p.v[(i[0], i[3], i[2] + 1, 5 - 2 * i[1])])
    flat = w.flat()
    m = Array([BATCH, 3, 2, 6], lambda i: sum(s.v[i[:3] + (k,)] * flat[k * 6 + i[3]] for k in range(3)))
    c.write(folder, Array([BATCH, 3, 2, 9], lambda i: m.v[i] if i[3] < 6 else s.v[i[:3] + (i[3] - 6,)]))


def flattened(parts):
    """What Flatten of each and Concat of those give."""
    rows = [[p.v[i] for p in parts for i in sorted(p.v) if i[0] == row] for row in range(BATCH)]
    return Array([BATCH, len(rows[0])], lambda i: rows[i[0]][i[1]])


def windows(folder):
    """Windows at the edges: pads around one tap, dilated taps that begin between two places, an odd pad more in
    front, a mean whose last window hangs over its pads, a last window that would start behind the image."""
    c = Case("windows", [3, 7, 6])
    one, deep, odd = c.weights("one", [2, 3, 1, 1]), c.weights("deep", [3, 1, 3, 2]), c.weights("odd", [2, 3, 4, 2])
    c.node("Conv", ["x", "one"], "a", pads=[1, 0, 0, 1])
    c.node("Conv", ["x", "deep"], "b", group=3, dilations=[2, 3], pads=[3, 2, 1, 1])
    c.node("Conv", ["x", "odd"], "c", auto_pad="SAME_LOWER")
    c.node("AveragePool", ["x"], "d", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1,
           count_include_pad=1)
    c.node("MaxPool", ["x"], "e", kernel_shape=[2, 2], strides=[7, 2], pads=[0, 0, 1, 0], ceil_mode=1)
    for name in "abcde":
        c.node("Flatten", [name], "f" + name)
    c.node("Concat", ["f" + name for name in "abcde"], "y", axis=1)
    x = c.x
    parts = [conv(x, one, [0.0] * 2, 1, [1, 1], [1, 1], [(1, 0), (0, 1)]),
             conv(x, deep, [0.0] * 3, 3, [1, 1], [2, 3], [(3, 1), (2, 1)]),
             conv(x, odd, [0.0] * 2, 1, [1, 1], [1, 1], [same(7, 4, 1, True), same(6, 2, 1, True)]),
             pool(x, [3, 3], [2, 2], [(1, 0), (1, 0)], lambda v, n: sum(v) / n, ceil=True),
             pool(x, [2, 2], [7, 2], [(0, 1), (0, 0)], lambda v, _: max(v), ceil=True)]
    assert parts[4].dims[2] == 1 and 2 * (parts[3].dims[2] - 1) - 1 + 3 > 7
    c.write(folder, flattened(parts))


def apart(folder):
    """What must not become one node: an activation behind another, a value with two readers, one that is an output
    of its own; and slices from and to beyond both ends."""
    c = Case("apart", [2, 3, 4])
    w = c.weights("w", [2, 2, 1, 1], 1.0)
    for name, values in (("low", [-100]), ("high", [100]), ("last", [3]), ("back", [-1])):
        c.ints(name, values)
    c.node("Conv", ["x", "w"], "c")
    c.node("Relu", ["c"], "r")
    c.node("Tanh", ["r"], "t")
    c.node("Sub", ["c", "t"], "d")
    c.node("Neg", ["d"], "y")
    c.node("Slice", ["x", "low", "high", "last"], "s")
    c.node("Slice", ["s", "high", "low", "last", "back"], "z")
    c.node("Add", ["z", "x"], "m")
    c.node("Relu", ["m"], "p")
    c.node("Neg", ["p"], "n")
    k = conv(c.x, w, [0.0] * 2, 1, [1, 1], [1, 1], [(0, 0), (0, 0)])
    d = k.map(lambda v: v - math.tanh(max(0.0, v)))
    z = Array(c.x.dims, lambda i: c.x.v[i[:3] + (3 - i[3],)])
    c.write(folder, d.map(lambda v: -v), d=d, z=z, n=Array(z.dims, lambda i: -max(0.0, z.v[i] + c.x.v[i])))


def refused(folder):
    folder.mkdir(parents=True, exist_ok=True)

    def one(name, op, dims, inputs=(), ints=(), weights=None, outputs=("y",), **attrs):
        c = Case(name, [2, 3, 4])
        c.dims = dims
        if weights:
            c.weights("w", weights)
        for key, values in ints:
            c.ints(key, values)
        c.node(op, ["x", *inputs], *outputs, **attrs)
        (folder / (name + ".onnx")).write_bytes(c.model([("y", dims)]))

    image, conv_w = [2, 3, 4], {"inputs": ["w"], "weights": [4, 2, 1, 1]}
    one("wide_stride", "Conv", image, strides=[1, 65536], **conv_w)
    one("zero_stride", "Conv", image, strides=[0, 1], **conv_w)
    one("short_pads", "Conv", image, pads=[1, 1], **conv_w)
    one("groups", "Conv", image, group=3, **conv_w)
    one("channels", "Conv", image, inputs=["w"], weights=[4, 3, 1, 1])
    one("kernel_shape", "Conv", image, kernel_shape=[1, 2], **conv_w)
    one("large_kernel", "MaxPool", image, kernel_shape=[4, 1])
    one("large_pad", "MaxPool", image, kernel_shape=[2, 2], pads=[0, 0, 0, 2])
    one("indices", "MaxPool", image, kernel_shape=[2, 2], outputs=("y", "where"))
    one("much_memory", "Conv", [16, 3000, 3000], inputs=["w"], weights=[16, 16, 1, 1])
    one("zero_step", "Slice", image, ["a", "b", "c", "d"], [("a", [0]), ("b", [1]), ("c", [1]), ("d", [0])])
    one("axis_twice", "Slice", image, ["a", "b", "c"], [("a", [0, 0]), ("b", [1, 1]), ("c", [1, -3])])
    one("empty_slice", "Slice", image, ["a", "b", "c"], [("a", [9]), ("b", [9]), ("c", [3])])
    one("negative_pad", "Pad", image, ["a"], [("a", [0, 0, 0, 0, 0, 0, 0, -1])])
    one("perm", "Transpose", image, perm=[0, 1, 1, 2])
    one("split_sum", "Split", image, ["a"], [("a", [1, 2])], outputs=("y", "z"), axis=3)
    one("other_shape", "Concat", image, ["w"], weights=[1, 2, 3, 5], axis=1)
    one("constant_index", "Gather", image, ["a"], [("a", [2])], axis=1)
    c = Case("many_steps", [1])
    c.ints("times", [1, 1024])
    for i in range(140):
        c.node("Tile", ["x", "times"], "t%d" % i)
    c.node("Sum", ["t%d" % i for i in range(140)], "y")
    (folder / "many_steps.onnx").write_bytes(c.model([("y", [1024])]))


def maths(folder):
    """Parts of a value, sums over some of its dimensions, functions of one and of several values."""
    c = Case("maths", [4, 3, 5])
    c.ints("sizes", [1, 3])
    c.node("Split", ["x", "sizes"], "p", "q", axis=1)
    c.node("Softplus", ["q"], "u")
    c.node("ReduceMean", ["u"], "m", axes=[1, -1], keepdims=1)
    c.node("ReduceLogSumExp", ["q"], "l", axes=[2], keepdims=0)
    c.node("Unsqueeze", ["l"], "k", axes=[2])
    c.node("ReduceL2", ["p"], "n", axes=[3], keepdims=0)
    c.node("Unsqueeze", ["n"], "o", axes=[1])
    c.node("Max", ["p", "m", "k"], "g")
    c.node("Mean", ["g", "k", "p"], "h")
    c.node("HardSwish", ["h"], "s")
    c.node("Flatten", ["s"], "fs")
    c.node("Flatten", ["o"], "fo")
    c.node("Concat", ["fs", "fo"], "y", axis=1)
    x = c.x
    p = Array([BATCH, 1, 3, 5], lambda i: x.v[i])
    q = Array([BATCH, 3, 3, 5], lambda i: x.v[i[0], i[1] + 1, i[2], i[3]])
    u = q.map(lambda v: math.log1p(math.exp(v)))
    m = Array([BATCH, 1, 3, 1], lambda i: sum(u.v[i[0], a, i[2], b] for a in range(3) for b in range(5)) / 15)
    k = Array([BATCH, 3, 1, 5], lambda i: math.log(sum(math.exp(q.v[i[0], i[1], a, i[3]]) for a in range(3))))
    n = Array([BATCH, 1, 3], lambda i: math.sqrt(sum(p.v[i[0], i[1], i[2], a] ** 2 for a in range(5))))

    def at(i):
        top = max(p.v[i[0], 0, i[2], i[3]], m.v[i[0], 0, i[2], 0], k.v[i[0], i[1], 0, i[3]])
        h = (top + k.v[i[0], i[1], 0, i[3]] + p.v[i[0], 0, i[2], i[3]]) / 3
        return h * max(0.0, min(1.0, h / 6 + 0.5))

    c.write(folder, flattened([Array([BATCH, 3, 3, 5], at), n]))


def shapes(folder):
    """Shapes that depend on the batch, and what is worked out from them; products of two computed matrices,
    normalisation, truth values, numbers of elements, tables."""
    c = Case("shapes", [4, 6])
    c.ints("first", [0])
    c.ints("rest", [-1])
    c.ints("seven", [7])
    c.ints("order", [2, 0, -1])
    scale, shift = c.weights("scale", [6]), c.weights("shift", [6])
    table = c.weights("table", [4, 5])
    c.tensors += [tensor("zero", [], [0.0]), tensor("half", [], [0.5])]
    c.node("Shape", ["x"], "s")
    c.node("Gather", ["s", "first"], "n")
    c.node("Concat", ["n", "rest"], "t", axis=0)
    c.node("Reshape", ["x", "t"], "f")                       # N 24
    c.node("ConstantOfShape", ["n"], "c0")
    c.node("Cos", ["c0"], "c1")
    c.node("Unsqueeze", ["c1"], "c2", axes=[1])              # ones, N 1
    c.node("Add", ["f", "c2"], "y")
    c.node("LayerNormalization", ["x", "scale", "shift"], "a", axis=-1)
    c.node("Transpose", ["x"], "xt", perm=[0, 2, 1])
    c.node("MatMul", ["x", "xt"], "p")                       # N 4 4
    c.node("Greater", ["p", "zero"], "g")
    c.node("Sqrt", ["p"], "r")
    c.node("Where", ["g", "r", "p"], "b")
    c.node("ArgMax", ["x"], "am", axis=1, keepdims=0)        # N 6
    c.node("Gather", ["table", "am"], "d")                   # N 6 5
    c.node("Concat", ["n", "seven", "rest"], "e7", axis=0)
    c.node("Abs", ["e7"], "et")                              # N 7 1
    c.node("Gather", ["x", "order"], "o", axis=2)            # N 4 3
    c.node("ReduceMax", ["o"], "om", axes=[1, 2], keepdims=1)
    c.node("Expand", ["om", "et"], "e")                      # N 7 1
    c.node("Clip", ["o", "", "half"], "k")
    x = c.x
    y = Array([BATCH, 24], lambda i: x.v[i[0], i[1] // 6, i[1] % 6] + 1)

    def norm(i):
        row = [x.v[i[0], i[1], k] for k in range(6)]
        mean = sum(row) / 6
        dev = math.sqrt(sum((v - mean) ** 2 for v in row) / 6 + f32(1e-5))
        return (x.v[i] - mean) / dev * scale.v[(i[2],)] + shift.v[(i[2],)]
    p = Array([BATCH, 4, 4], lambda i: sum(x.v[i[0], i[1], k] * x.v[i[0], i[2], k] for k in range(6)))
    best = {(r, k): max(range(4), key=lambda j: x.v[r, j, k]) for r in range(BATCH) for k in range(6)}
    o = Array([BATCH, 4, 3], lambda i: x.v[i[0], i[1], [2, 0, 5][i[2]]])
    c.write(folder, y, a=Array(x.dims, norm), b=p.map(lambda v: math.sqrt(v) if v > 0 else v),
            d=Array([BATCH, 6, 5], lambda i: table.v[best[i[0], i[1]], i[2]]),
            e=Array([BATCH, 7, 1], lambda i: max(o.v[i[0], j, k] for j in range(4) for k in range(3))),
            k=o.map(lambda v: min(v, 0.5)), opset=17)


def one_at_a_time(folder):
    """Each row is multiplied by the number of rows: a batch would not give what its rows give alone."""
    c = Case("one_at_a_time", [4])
    c.ints("first", [0])
    c.node("Shape", ["x"], "s")
    c.node("Gather", ["s", "first"], "n")
    c.node("Cast", ["n"], "f", to=1)
    c.node("Mul", ["x", "f"], "y")
    (folder / "one_at_a_time.onnx").write_bytes(c.model([("y", [4])]))


def rows(folder):
    """alone: every row of the result looks at other rows; together: none does, though the batch moves about."""
    def write(kind, name, build, dims=(4,)):
        c = Case(name, list(dims))
        c.ints("zero", [0])
        c.ints("one", [1])
        c.ints("end", [-2**40])
        c.ints("back", [-1])
        c.ints("pairs", [-1, 2, 2])
        c.ints("whole", [-1, 4])
        c.tensors.append(tensor("first", [], [0], INT64))
        c.tensors.append(tensor("four", [4], [0.5, 1.0, 2.0, 4.0]))
        build(c)
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / (name + ".onnx")).write_bytes(c.model([("y", list(dims))]))

    def chain(*nodes):
        def build(c):
            for op, inputs, output, attrs in nodes:
                c.node(op, inputs, output, **attrs)
        return build
    turn, back = ("Transpose", ["x"], "t", {"perm": [1, 0]}), ("Transpose", ["u"], "y", {"perm": [1, 0]})
    product = ("MatMul", ["x", "t"], "p", {})
    for name, nodes in {
            "softmax": [("Softmax", ["x"], "y", {"axis": 0})],
            "softmax_turned": [turn, ("Softmax", ["t"], "u", {"axis": 1}), back],
            "product": [turn, product, ("MatMul", ["p", "x"], "y", {})],
            "backwards": [("Slice", ["x", "back", "end", "zero", "back"], "y", {})],
            "row": [("Gather", ["x", "first"], "r", {"axis": 0}), ("Add", ["x", "r"], "y", {})],
            "mean": [("ReduceMean", ["x"], "r", {"axes": [0]}), ("Sub", ["x", "r"], "y", {})],
            "mean_turned": [turn, ("ReduceMean", ["t"], "r", {"axes": [1]}), ("Sub", ["t", "r"], "u", {}), back],
            "channels": [("Unsqueeze", ["x", "zero"], "u", {}), ("LRN", ["u"], "v", {"size": 3}),
                         ("Squeeze", ["v", "zero"], "y", {})]}.items():
        write("alone", name, chain(*nodes))
    for name, nodes in {
            "softmax": [turn, ("Softmax", ["t"], "u", {"axis": 0}), back],
            "pairs": [("Reshape", ["x", "pairs"], "r", {}), ("Transpose", ["r"], "t", {"perm": [0, 2, 1]}),
                      ("MatMul", ["r", "t"], "p", {}), ("Reshape", ["p", "whole"], "y", {})],
            "pairs_turned": [("Reshape", ["x", "pairs"], "r", {}), ("Transpose", ["r"], "t", {"perm": [1, 2, 0]}),
                             ("ReduceMean", ["t"], "m", {"axes": [0]}), ("Sub", ["t", "m"], "s", {}),
                             ("Transpose", ["s"], "b", {"perm": [2, 0, 1]}), ("Reshape", ["b", "whole"], "y", {})],
            # many nodes of one, twice
            "quantised": [("QuantizeLinear", ["x", "four"], "q", {"axis": 1}),
                          ("DequantizeLinear", ["q", "four"], "d", {"axis": 1}),
                          ("QuantizeLinear", ["d", "four"], "r", {"axis": 1}),
                          ("DequantizeLinear", ["r", "four"], "y", {"axis": 1})],
            "normalised": [("Cast", ["x"], "a", {"to": 11}), ("Cast", ["four"], "f", {"to": 11}),
                           ("BatchNormalization", ["a", "f", "f", "f", "f"], "b", {}),
                           ("BatchNormalization", ["b", "f", "f", "f", "f"], "c", {}), ("Cast", ["c"], "y", {"to": 1})],
            "column": [("Gather", ["x", "first"], "r", {"axis": 1}), ("Unsqueeze", ["r", "one"], "c", {}),
                       ("Add", ["x", "c"], "y", {})]}.items():
        write("together", name, chain(*nodes))


def picked(folder):
    """Numbers from 10 to 13 choose from a table: no other input is valid."""
    c = Case("picked", [1])
    c.tensors += [tensor("ten", [], [10.0]), tensor("table", [4], [1.0, 2.0, 4.0, 8.0])]
    c.node("Sub", ["x", "ten"], "d")
    c.node("Cast", ["d"], "i", to=7)
    c.node("Gather", ["table", "i"], "y", axis=0)
    (folder / "picked.onnx").write_bytes(c.model([("y", [1])]))


def chosen(folder):
    """The same four times a row: from the row itself, and from the table with the batch last in between."""
    for name in ("chosen", "turned"):
        c = Case(name, [4])
        c.tensors += [tensor("ten", [], [10.0]), tensor("table", [4], [1.0, 2.0, 4.0, 8.0])]
        c.node("Sub", ["x", "ten"], "d")
        c.node("Cast", ["d"], "i", to=7)
        if name == "chosen":
            c.node("GatherElements", ["x", "i"], "y", axis=1)
        else:
            c.node("Transpose", ["i"], "t", perm=[1, 0])
            c.node("Gather", ["table", "t"], "g", axis=0)
            c.node("Transpose", ["g"], "y", perm=[1, 0])
        (folder / f"{name}.onnx").write_bytes(c.model([("y", [4])]))


def larger(folder):
    """Images made larger: the reverse of a convolution, lines and nearest places between elements, channels that
    become places; and normalisation over channels."""
    c = Case("larger", [4, 3, 5])
    w, bias = c.weights("w", [4, 3, 2, 3]), c.weights("bias", [6])
    c.tensors += [tensor("scales", [4], [1.0, 1.0, 2.0, 1.5]), tensor("none", [0], [])]
    c.node("ConvTranspose", ["x", "w", "bias"], "a", group=2, strides=[2, 1], pads=[0, 1, 1, 0],
           output_padding=[1, 0], dilations=[1, 2])
    c.node("Resize", ["x", "none", "scales"], "b", mode="linear")
    c.node("DepthToSpace", ["x"], "d", blocksize=2, mode="CRD")
    c.node("LRN", ["x"], "l", size=3, alpha=0.5, beta=0.75, bias=2.0)
    x = c.x

    def back(i):
        total = bias.v[(i[1],)]
        for cin in range(i[1] // 3 * 2, i[1] // 3 * 2 + 2):
            for ky in range(2):
                for kx in range(3):
                    py, px = i[2] - ky, i[3] + 1 - 2 * kx
                    if py % 2 == 0:
                        total += x.v.get((i[0], cin, py // 2, px), 0.0) * w.v[cin, i[1] % 3, ky, kx]
        return total
    rows, cols = (3 - 1) * 2 + 2 + 1 - 1, (5 - 1) + 5 - 1

    def between(i):
        total = 0.0
        at = [(i[2] + 0.5) / 2 - 0.5, (i[3] + 0.5) / 1.5 - 0.5]
        for dy in range(2):
            for dx in range(2):
                py, px = math.floor(at[0]) + dy, math.floor(at[1]) + dx
                part = (1 - abs(at[0] - py)) * (1 - abs(at[1] - px))
                total += part * x.v[i[0], i[1], min(max(py, 0), 2), min(max(px, 0), 4)]
        return total

    def lrn(i):
        total = sum(x.v.get((i[0], k, i[2], i[3]), 0.0) ** 2 for k in range(i[1] - 1, i[1] + 2))
        return x.v[i] / (2 + 0.5 / 3 * total) ** 0.75
    c.write(folder, Array([BATCH, 6, rows, cols], back), b=Array([BATCH, 4, 6, 7], between),
            d=Array([BATCH, 1, 6, 10], lambda i: x.v[i[0], i[2] % 2 * 2 + i[3] % 2, i[2] // 2, i[3] // 2]),
            l=Array(x.dims, lrn), y="a")


def tied(folder):
    """Weights, and a constant in two shapes, that two nodes have in common."""
    c = Case("tied", [16, 4, 4])
    w, m, t = c.weights("w", [16, 16, 3, 3], 0.1), c.weights("m", [64, 64], 0.2), c.weights("t", [64])
    c.ints("image", [16, 2, 2])
    c.node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1])
    c.node("Relu", ["a"], "r")
    c.node("Conv", ["r", "w"], "b", pads=[1, 1, 1, 1], strides=[2, 2])
    c.node("Reshape", ["t", "image"], "ti")
    c.node("Mul", ["b", "ti"], "bt")
    c.node("Flatten", ["bt"], "f", axis=1)
    c.node("MatMul", ["f", "m"], "d")
    c.node("Tanh", ["d"], "h")
    c.node("MatMul", ["h", "m"], "e")
    c.node("Mul", ["e", "t"], "y")
    image = conv(c.x, w, [0.0] * 16, 1, [1, 1], [1, 1], [(1, 1), (1, 1)]).map(lambda v: max(v, 0.0))
    image = conv(image, w, [0.0] * 16, 1, [2, 2], [1, 1], [(1, 1), (1, 1)])

    def product(a):
        return Array([BATCH, 64], lambda i: sum(a.v[i[0], k] * m.v[k, i[1]] for k in range(64)))
    flat = Array([BATCH, 64], lambda i: image.v[i[0], i[1] // 4, i[1] // 2 % 2, i[1] % 2] * t.v[i[1:]])
    y = product(product(flat).map(math.tanh))
    c.write(folder, Array(y.dims, lambda i: y.v[i] * t.v[i[1:]]))


def edges(folder):
    """Pads that repeat the edge, turn back at it, or go on at the other end; one of them cuts."""
    c = Case("edges", [2, 4, 5])
    x = c.x
    modes = {"edge": ([0, 0, 2, 1, 0, 0, 0, 7], lambda at, n: min(max(at, 0), n - 1)),
             "reflect": ([0, 0, 3, 4, 0, 1, 2, -1], lambda at, n: n - 1 - abs(n - 1 - abs(at))),
             "wrap": ([0, 1, 0, 6, 0, 0, 9, 0], lambda at, n: at % n)}
    out = {}
    for mode, (pads, source) in modes.items():
        c.ints("p" + mode, pads)
        c.node("Pad", ["x", "p" + mode], "o" + mode, mode=mode)
        dims = [n + a + z for n, a, z in zip(x.dims, pads, pads[4:])]
        out["o" + mode] = Array(dims, lambda i, pads=pads, source=source: x.v[
            tuple(source(at - a, n) for at, a, n in zip(i, pads, x.dims))])
    c.write(folder, out.pop("oedge"), opset=19, y="oedge", **out)


def main():
    folder = pathlib.Path(__file__).resolve().parent / "data/operators"
    for case in (conv_fused, conv_residual, conv_line, conv_tiles, pools, moves, windows, apart, maths,
                 shapes, larger, tied, edges):
        case(folder)
    one_at_a_time(folder.parent)
    rows(folder.parent / "rows")
    picked(folder.parent / "rows")
    chosen(folder.parent / "rows")
    refused(folder.parent / "refused")


if __name__ == "__main__":
    main()

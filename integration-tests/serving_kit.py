"""aceso-controller and aceso-worker as processes, and stored tensors to compare with."""

import contextlib
import json
import pathlib
import signal
import subprocess
import tempfile

import numpy as np
import tritonclient.grpc as triton

from backends import BIN, BUILD, ROOT, free_port, wait

MODELS = ROOT / "services/controller/models"
VECTORS = ROOT / "services/worker/tests/data"
PUBLISHED = ROOT.parent / "shared/data/serving"


class Serving:
    """A controller on a port that stays, and workers by name."""

    def __init__(self, tmp, repository):
        self.tmp, self.repository = pathlib.Path(tmp), repository
        self.address = f"127.0.0.1:{free_port()}"
        self.procs = {}

    def start(self, name, *argv):
        log = open(self.tmp / f"{name}.log", "ab")
        p = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=log, text=True, cwd="/")
        self.procs[name] = p
        line = p.stdout.readline()
        assert line, self.log(name)
        return json.loads(line)

    def controller(self, *options):
        return self.start("controller", BIN / "aceso-controller", f"--listen={self.address}",
                          f"--repository={self.repository}", "--lease=2s", *options)

    def worker(self, name="w1", *options):
        return self.start(name, BIN / "aceso-worker", f"--controller-addr={self.address}", f"--name={name}", *options)

    def log(self, name):
        return (self.tmp / f"{name}.log").read_text()

    def kill(self, name):
        self.procs[name].kill()
        self.procs.pop(name).wait()

    def end(self, name):
        """SIGTERM; its exit code."""
        p = self.procs.pop(name)
        p.send_signal(signal.SIGTERM)
        return p.wait(20)

    def client(self):
        return triton.InferenceServerClient(self.address)

    def wait_ready(self):
        c = self.client()
        wait("the server is ready", lambda: ready(c), 30)
        return c


def ready(client):
    try:
        return client.is_server_ready()
    except triton.InferenceServerException:
        return False


@contextlib.contextmanager
def serving(repository=MODELS, workers=("w1",), worker_options=(), controller_options=()):
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as tmp:
        s = Serving(tmp, repository)
        try:
            s.controller(*controller_options)
            for w in workers:
                s.worker(w, *worker_options)
            yield s
            codes = {name: s.end(name) for name in list(s.procs)}
            assert set(codes.values()) <= {0}, codes
        finally:
            for p in s.procs.values():
                p.kill()
                p.wait()


def tensor(path):
    """A stored ONNX TensorProto of FP32: dims 1, data_type 2, float_data 4, raw_data 9."""
    data, at, dims, values = path.read_bytes(), 0, [], b""

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            v = varint()
            if tag >> 3 == 1:
                dims.append(v)
            continue
        assert tag & 7 == 2, path
        n = varint()
        field, at = data[at:at + n], at + n
        if tag >> 3 == 1:  # packed dims: small ones
            dims += list(field)
        elif tag >> 3 in (4, 9):
            values = field
    return np.frombuffer(values, "<f4").reshape(dims)


def input_of(name, values, datatype="FP32"):
    t = triton.InferInput(name, list(values.shape), datatype)
    t.set_data_from_numpy(values)
    return t


def compare(client, model, folder, tolerance):
    meta = client.get_model_metadata(model)
    inputs = [input_of(t.name, tensor(folder / f"input_{i}.pb")) for i, t in enumerate(meta.inputs)]
    got = client.infer(model, inputs)
    for i, t in enumerate(meta.outputs):
        want = tensor(folder / f"output_{i}.pb")
        out = got.as_numpy(t.name)
        assert out.shape == want.shape
        assert np.abs(out - want).max() <= tolerance, (model, t.name)


__all__ = ["BUILD", "MODELS", "PUBLISHED", "VECTORS", "compare", "input_of", "ready", "serving", "tensor"]

"""aceso serve model: a model without weights, and outputs that are whole numbers."""

import json
import sys

import pytest

from backends import ROOT
from test_bad_input import ACESO, refused, run

sys.path.insert(0, str(ROOT / "services/worker/tests"))
from make_dense_model import FLOAT, INT64, blob, num, tensor  # noqa: E402


def value(name, dtype):
    shape = blob(1, blob(2, "N")) + blob(1, num(1, 4))
    return blob(1, name) + blob(2, blob(1, num(1, dtype) + blob(2, shape)))


@pytest.fixture
def model(tmp_path):
    def make(op, dtype):
        node = blob(1, "x") + blob(2, "y") + blob(4, op)
        graph = blob(1, node) + blob(2, "g") + blob(11, value("x", dtype)) + blob(12, value("y", dtype))
        (tmp_path / "model.onnx").write_bytes(num(1, 7) + blob(7, graph) + blob(8, num(2, 13)))
        return tmp_path / "model.onnx"

    return make


def test_a_model_without_weights(model):
    r = run(ACESO, "serve", "model", model("Relu", FLOAT), "--json")
    got = json.loads(r.stdout)
    assert r.returncode == 0 and got["weights_bytes"] <= 64 and got["load_us"] > 0 and got["executions"] == 200


def test_whole_numbers_are_compared_as_such(model, tmp_path):
    file, big = model("Identity", INT64), 1 << 60
    (tmp_path / "input_0.pb").write_bytes(tensor("x", [1, 4], [-1, -2, big, 0], INT64))
    (tmp_path / "output_0.pb").write_bytes(tensor("y", [1, 4], [-1, -2, big, 0], INT64))
    r = run(ACESO, "serve", "model", file, "--check", tmp_path, "--json")
    assert r.returncode == 0 and json.loads(r.stdout)["max_abs_error"] == 0
    for wrong, by in (([-2, -2, big, 0], 1), ([-1, -2, big + 1, 0], 1), ([-1, -2, big, -7], 7)):
        (tmp_path / "output_0.pb").write_bytes(tensor("y", [1, 4], wrong, INT64))
        refused(run(ACESO, "serve", "model", file, "--check", tmp_path), f"differ from the stored ones by {by}", code=1)

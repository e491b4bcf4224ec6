"""aceso serve compare: all policies on one workload, as table, JSON and picture."""

import json
import xml.etree.ElementTree as ET

import pytest

from test_bad_input import ACESO, refused, run

POLICIES = ["aceso", "clockwork", "clockwork-10ms", "clockwork-fixed", "fifo", "clipper", "triton", "nexus"]
COSTS = """model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms
resnet50_v2,602,4,102.2,8.32,2.73,4.05,5.87,9.93,17.30
"""


@pytest.fixture
def costs(tmp_path):
    (tmp_path / "costs.csv").write_text(COSTS)
    return tmp_path / "costs.csv"


def serve(what, costs, *args):
    return run(ACESO, "serve", what, "--models", costs, "--workload", "fig8", "--slo-ms", "27.3", "--seconds", "6", *args)


def test_every_policy_runs_as_by_itself(costs):
    r = json.loads(serve("compare", costs, "--json").stdout)
    assert (r["workload"], r["gpus"], r["seed"]) == ("fig8", 6, 1)
    assert [p["policy"] for p in r["policies"]] == POLICIES
    for p in r["policies"]:
        alone = json.loads(serve("sim", costs, "--policy", p["policy"], "--json").stdout)
        assert p["digest"] == alone["digest"] and p["classes"] == alone["classes"] and len(p["classes"]) == 2
    ours, clockwork = r["policies"][0]["classes"], r["policies"][1]["classes"]
    assert ours[0]["attainment"] > 0.9995 > clockwork[0]["attainment"]


def test_table_and_picture(costs, tmp_path):
    svg = tmp_path / "compare.svg"
    r = serve("compare", costs, "--plot", svg)
    assert r.returncode == 0
    lines = r.stdout.splitlines()
    assert [x.split()[0] for x in lines if not x.startswith("  class")] == ["policy", *POLICIES]
    assert len(lines) == 1 + 3 * len(POLICIES)
    root = ET.parse(svg).getroot()
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [t for t in texts if t in POLICIES] == POLICIES and "prefers-color-scheme:dark" in svg.read_text()
    width = {c: [float(x.get("width")) for x in root.iter("{http://www.w3.org/2000/svg}rect") if x.get("class") == c + " r"]
             for c in ("own", "e")}
    assert len(width["own"]) == len(POLICIES) and max(width["e"]) == width["own"][0] == 390
    first = svg.read_bytes()
    assert serve("compare", costs, "--plot", svg).returncode == 0 and svg.read_bytes() == first


def test_what_cannot_be_compared(costs, tmp_path):
    refused(serve("compare", costs, "--policy", "fifo"), "--policy")
    refused(serve("compare", costs, "--seed", "1.5"), "--seed")
    refused(run(ACESO, "serve", "compare"), "--models")
    refused(serve("compare", tmp_path / "none.csv"), "none.csv")
    refused(serve("compare", costs, "--plot", tmp_path / "none/x.svg"), "none/x.svg", code=1)

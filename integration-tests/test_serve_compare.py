"""aceso serve sim and compare: all policies on one workload, as table, JSON and picture; recorded traces."""

import gzip
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


def test_baselines_are_tuned_on_another_seed(costs):
    plain, tuned = (json.loads(run(ACESO, "serve", "compare", "--models", costs, "--workload", "poisson", "--slo-ms", "25",
                                   "--rate-scale", "2", "--seconds", "6", "--json", *a).stdout)["policies"] for a in ((), ("--tune",)))
    better = {p["policy"]: p["attainment"] - q["attainment"] for p, q in zip(tuned, plain)}
    assert all(better[p] == 0 for p in ("aceso", "clockwork", "fifo"))
    assert all(better[p] >= -.01 for p in ("clipper", "triton", "nexus")) and better["triton"] > .3
    lines = run(ACESO, "serve", "compare", "--models", costs, "--workload", "fig5", "--seconds", "4", "--tune").stdout.splitlines()
    assert [x.split(",")[0] for x in lines[-3:]] == ["clipper", "triton", "nexus"] and "best of 28" in lines[-2]


COUNTS = "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,3000,600\no,a,g,timer,60,60\n"
TIMES = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(f"2023-11-16 18:15:{i // 100:02}.{i % 100:02}00000,{i},7\n" for i in range(1000))


def replay(costs, trace, *args):
    return run(ACESO, "serve", "sim", "--models", costs, "--workload", trace, "--json", *args)


def test_recorded_traces(costs, tmp_path):
    (tmp_path / "counts.csv").write_text(COUNTS)
    (tmp_path / "counts.csv.gz").write_bytes(gzip.compress(COUNTS.encode()))
    (tmp_path / "llm.csv").write_text(TIMES)
    r = json.loads(replay(costs, tmp_path / "counts.csv").stdout)
    assert 3500 < r["requests"] < 3720 and r["attainment"] == 1  # those of the first two seconds do not count
    assert json.loads(replay(costs, tmp_path / "counts.csv.gz").stdout)["digest"] == r["digest"]
    double = json.loads(replay(costs, tmp_path / "counts.csv", "--rate-scale", "2").stdout)
    assert 1.95 < double["requests"] / r["requests"] < 2.05
    llm = json.loads(replay(costs, tmp_path / "llm.csv", "--instances", "3").stdout)
    assert llm["requests"] == 800 and llm["attainment"] == 1
    assert json.loads(replay(costs, tmp_path / "llm.csv", "--instances", "3", "--seed", "2").stdout)["digest"] != llm["digest"]


def test_a_name_with_quotes(costs, tmp_path):
    odd = tmp_path / 'say "llm".csv'
    odd.write_text(TIMES)
    r = run(ACESO, "serve", "compare", "--models", costs, "--workload", odd, "--instances", "3", "--json")
    assert json.loads(r.stdout)["workload"] == str(odd)


def test_traces_that_are_none(costs, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text(COUNTS + "o,a,h,http,1,x\n")
    refused(replay(costs, bad), "bad.csv:4:6: expected a whole number from 0 to 10000000, not 'x'")
    bad.write_text(TIMES + "2023-11-16 18:15:00.0,1,1\n")
    refused(replay(costs, bad), "bad.csv:1002:1: the times go back")
    refused(replay(costs, costs), "costs.csv:1:1: neither")
    refused(replay(costs, tmp_path / "none.csv"), "none.csv")
    refused(replay(costs, "azur"), 'no workload "azur"')
    refused(replay(costs, "fig5", "--instances", "3"), "--instances: fig5")
    refused(replay(costs, "fig5", "--rate-scale", "0"), "--rate-scale")


def table(path):
    head, *rows = (x.split("\t") for x in path.read_text().splitlines())
    return [dict(zip(head, r, strict=True)) for r in rows]


def test_picture_and_logs_of_one_run(costs, tmp_path):
    svg, asked, done = tmp_path / "run.svg", tmp_path / "requests.tsv", tmp_path / "actions.tsv"
    files = ("--plot", svg, "--request-log", asked, "--action-log", done)
    plain = json.loads(serve("sim", costs, "--json").stdout)
    r = json.loads(serve("sim", costs, "--json", *files).stdout)
    assert r["digest"] == plain["digest"]  # who looks on changes nothing
    root = ET.parse(svg).getroot()
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"requests a second", "latency of class 0's answers", "share answered in time", "class 1", "p99", "6 s"} <= set(texts)
    assert texts[0].startswith("aceso: fig8 on 6") and "prefers-color-scheme:dark" in svg.read_text()
    lines = [x.get("d") for x in root.iter("{http://www.w3.org/2000/svg}path") if "L" in x.get("d")]
    assert len(lines) == 7 and "nan" not in "".join(lines)
    counted = [x for x in table(asked) if int(x["came_ns"]) >= 2e9]
    assert len(counted) == r["requests"]
    assert sum(int(x["deadline_met"]) for x in counted) == sum(x["outcome"] == "on_time" for x in counted) == round(r["goodput_rps"] * 4)
    assert all(int(x["came_ns"]) + int(x["latency_ns"]) <= int(x["deadline_ns"]) for x in counted if x["deadline_met"] == "1")
    actions = table(done)
    assert {x["action"] for x in actions} >= {"load", "infer"} and {x["status"] for x in actions} <= {"done", "too_late", "open"}
    for x in actions:
        if x["action"] == "infer" and x["status"] == "done":
            assert int(x["sent_ns"]) < int(x["begin_ns"]) <= int(x["latest_ns"]) and int(x["begin_ns"]) < int(x["end_ns"]) < int(x["told_ns"])
    rows = sum(int(x["requests"]) for x in actions if x["action"] == "infer" and x["status"] == "done")
    assert rows == sum(x["outcome"] in ("on_time", "late") for x in table(asked))
    first = svg.read_bytes()
    assert serve("sim", costs, "--plot", svg).returncode == 0 and svg.read_bytes() == first


def test_an_objective_out_of_sight_is_not_drawn(costs, tmp_path):
    svg = tmp_path / "run.svg"
    for objective, drawn in (("30", True), ("100000", False)):
        assert serve("sim", costs, "--slo-ms", objective, "--plot", svg).returncode == 0
        assert (">objective<" in svg.read_text()) == drawn


def lines_of(svg):
    """Of a picture of distributions: names, and of each line the greatest share that it reaches (y of its last point)."""
    root = ET.parse(svg).getroot()
    names = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text") if float(t.get("x")) > 600 and not t.text.endswith(" ms")]
    paths = [x.get("d") for x in root.iter("{http://www.w3.org/2000/svg}path") if "L" in x.get("d")]
    assert "prefers-color-scheme:dark" in svg.read_text() and "nan" not in svg.read_text()
    return names, [float(d.rsplit(" ", 1)[1]) for d in paths]


def test_distributions_of_latency_and_of_errors(costs, tmp_path):
    cdf, errors, all_policies = tmp_path / "cdf.svg", tmp_path / "errors.svg", tmp_path / "all.svg"
    assert serve("sim", costs, "--cdf", cdf, "--errors", errors).returncode == 0
    names, tops = lines_of(cdf)
    assert names == ["class 0", "class 1"] and tops == [56, 56]  # all were answered
    names, tops = lines_of(errors)
    assert names == ["infer, longer", "infer, shorter", "load, longer", "load, shorter"] and tops[:2] == [56, 56]
    assert serve("compare", costs, "--cdf", all_policies).returncode == 0
    names, tops = lines_of(all_policies)
    assert names == POLICIES and len(tops) == len(POLICIES)
    assert tops[0] == 56 < tops[1]  # what Clockwork did not answer in time it never answers
    refused(serve("compare", costs, "--errors", errors), "--errors")
    refused(serve("sim", costs, "--cdf", tmp_path / "none/x.svg"), "none/x.svg", code=1)


def test_logs_that_cannot_be_written(costs, tmp_path):
    refused(serve("sim", costs, "--request-log", tmp_path / "none/x.tsv"), "none/x.tsv", code=1)
    refused(serve("sim", costs, "--action-log", "/dev/full"), "/dev/full is not whole", code=1)
    refused(serve("compare", costs, "--action-log", tmp_path / "x.tsv"), "--action-log")


def poisson(costs, *args):
    return run(ACESO, "serve", "sim", "--models", costs, "--workload", "poisson", "--seconds", "6", "--json", *args)


def test_actions_have_a_fate(costs, tmp_path):
    done = tmp_path / "actions.tsv"
    assert poisson(costs, "--crash", "3:1", "--rate-scale", "3", "--action-log", done).returncode == 0
    rows = table(done)
    lost = [x for x in rows if x["status"] == "lost"]
    assert lost and all(x["device"] == "0" and int(x["sent_ns"]) <= 3e9 and x["told_ns"] == "" for x in lost)
    still = [x for x in rows if x["status"] == "open"]
    assert still and all(int(x["sent_ns"]) > 5.9e9 and x["told_ns"] == "" for x in still)
    assert all(x["told_ns"] for x in rows if x["status"] not in ("lost", "open"))


def test_what_differs_among_devices(costs, tmp_path):
    slow = tmp_path / "slow:2.csv"
    slow.write_text(COSTS.replace("2.73,4.05,5.87,9.93,17.30", "27.3,40.5,58.7,99.3,173.0"))
    plain = json.loads(poisson(costs).stdout)
    for args in (("--drift-ppm", "50"), ("--link-gbps", "12"), ("--stragglers", ".2"), ("--crash", "3:1"),
                 ("--kind", f"2:{slow}"), ("--slo-x", "2"), ("--instances", "40")):
        first, again = json.loads(poisson(costs, *args).stdout), json.loads(poisson(costs, *args).stdout)
        assert first["digest"] == again["digest"] != plain["digest"], args
    assert json.loads(poisson(costs, "--slo-x", "1").stdout)["attainment"] == 0
    assert json.loads(poisson(costs, "--link-gbps", ".2", "--slo-ms", "5").stdout)["attainment"] < .5  # 3 ms an input
    tight = poisson(costs, "--slo-ms", "10").stdout  # the first answers are of models that are being loaded
    assert json.loads(tight)["digest"] != json.loads(poisson(costs, "--slo-ms", "10", "--overlap", "off").stdout)["digest"]
    refused(poisson(costs, "--overlap", "maybe"), "--overlap: on or off")
    refused(poisson(costs, "--kind", "2"), "--kind N:FILE")
    refused(poisson(costs, "--kind", f"7:{slow}"), "7 devices of other kinds", code=1)
    refused(poisson(costs, "--kind", "1:none.csv"), "none.csv")
    refused(poisson(costs, "--crash", "3"), "--crash AT:FOR")
    refused(poisson(costs, "--slo-x", "2", "--slo-ms", "3"), "not both")

"""aceso rca: file verbs on made recordings, and wrong usage."""

import json
import os
import pathlib
import random
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = os.environ.get("ACESO_BIN", str(ROOT / "build/bin/aceso"))
SERVICES = ["carts", "catalogue", "front-end", "orders", "user"]


def aceso(*args):
    p = subprocess.run([ACESO, "rca", *map(str, args)], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


def table(path, rows, start, culprit=None, seed=0):
    rng = random.Random(seed)
    columns = ["time"]
    for s in SERVICES:
        columns += [f"{s}_cpu", f"{s}_mem", f"{s}_lat_50", f"{s}_lat_90", f"{s}_lod"]
    columns += ["carts-db_cpu"]
    with open(path, "w") as f:
        f.write(",".join(columns) + "\n")
        for i in range(rows):
            cells = [str(start + i)]
            for s in SERVICES:
                busy = s == culprit
                cells += [f"{(90 if busy else 2) + rng.random():.4f}", f"{5e7 + rng.random() * 1e5:.0f}"]
                cells += [f"{0.01 + rng.random() / 1000:.5f}", "inf" if i == 3 else f"{0.02 + busy * .3:.5f}"]
                cells += [f"{10 + rng.random():.3f}"]
            cells += [f"{1 + rng.random():.4f}"]
            f.write(",".join(cells) + "\n")


@pytest.fixture
def sockshop(tmp_path):
    for i, culprit in enumerate(["carts", "orders", "user"]):
        d = tmp_path / f"{culprit}-cpu" / "1"
        d.mkdir(parents=True)
        table(d / "normal.csv", 290, 1_650_000_000, seed=i)
        table(d / "anomalous.csv", 280, 1_660_000_000, culprit, seed=i + 10)
    return tmp_path


@pytest.mark.parametrize("late", [0, 60, 120])
def test_bench_finds_every_made_fault(sockshop, late):
    rc, out, err = aceso("bench", "--dataset", "sockshop", sockshop, "--late-s", late, "--json")
    assert rc == 0, err
    d = json.loads(out.splitlines()[-1])
    assert (d["cases"], d["ac1"], d["avg5"]) == (3, 1, 1)
    assert d["seconds_per_case"] < 5


def test_localise_a_case_folder(sockshop):
    rc, out, err = aceso("localise", "--metrics", sockshop / "orders-cpu/1", "--json")
    assert rc == 0, err
    d = json.loads(out.splitlines()[-1])
    assert d["root_causes"][0]["component"] == "orders"
    assert d["root_causes"][0]["metric"] == "cpu"
    assert not d["abstained"]
    assert {"first_failure", "impact", "path", "seconds"} <= d.keys()


def test_localise_one_file_without_a_time_and_with_a_graph(tmp_path):
    table(tmp_path / "a.csv", 200, 1_650_000_000, seed=1)
    table(tmp_path / "b.csv", 60, 1_650_000_200, "user", seed=2)
    text = (tmp_path / "a.csv").read_text() + "".join(
        (tmp_path / "b.csv").read_text().splitlines(keepends=True)[1:])
    (tmp_path / "m.csv").write_text(text)
    (tmp_path / "g.csv").write_text("caller,callee\nfront-end,user\nfront-end,carts\n")
    rc, out, err = aceso("localise", "--metrics", tmp_path / "m.csv", "--graph", tmp_path / "g.csv",
                         "--json")
    assert rc == 0, err
    d = json.loads(out.splitlines()[-1])
    assert d["root_causes"][0]["component"] == "user"
    assert abs(d["time"] - 1_650_000_200) <= 5
    rc, out, _ = aceso("localise", "--metrics", tmp_path / "m.csv")
    assert rc == 0 and "Root cause: user" in out


@pytest.mark.parametrize("text,where", [
    ("", ":1:"),
    ("time,a_cpu\n1,x\n", ":2:2:"),
    ("time,a_cpu\n1,2\n1,2,3\n", ":3:3:"),
    ("time,a_cpu\n5,2\n1,2\n", ":3:1:"),
    ("time,acpu\n5,2\n", ":1:"),
    ("a_cpu,b_cpu\n5,2\n", ":1:"),
])
def test_malformed_file_is_one_line_with_the_place(tmp_path, text, where):
    f = tmp_path / "bad.csv"
    f.write_text(text)
    rc, out, err = aceso("localise", "--metrics", f, "--json")
    assert rc == 2 and out == ""
    assert err.count("\n") == 1 and f"bad.csv{where}" in err


@pytest.mark.parametrize("args", [
    [], ["localise"], ["bench"], ["bench", "--dataset", "nosuch", "."], ["frobnicate"],
    ["bench", "--dataset", "sockshop", "/nonexistent"], ["localise", "--metrics", "/nonexistent"],
    ["localise", "--metrics", "x", "--time", "yesterday"], ["bench", "--late-s", "soon"],
    ["bench", "--nosuch"],
])
def test_wrong_usage_is_exit_2_and_one_line(args):
    rc, out, err = aceso(*args)
    assert rc == 2 and out == ""
    assert err.count("\n") == 1


def test_help_is_exit_0():
    rc, out, _ = aceso("--help")
    assert rc == 0 and "localise" in out


@pytest.mark.parametrize("time", ["1600000000", "2027-01-01T00:00:00Z"])
def test_a_time_outside_the_recording_is_no_quiet_incident(tmp_path, time):
    table(tmp_path / "m.csv", 200, 1_700_000_000)
    rc, out, err = aceso("localise", "--metrics", tmp_path / "m.csv", "--time", time)
    assert (rc, out) == (2, "") and err.count("\n") == 1
    assert "the recording is from 2023-11-14T22:13:20" in err and "to 2023-11-14T22:16:39" in err


def test_a_file_of_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbftime,a_cpu\n" + b"".join(b"%d,%d\n" % (1_700_000_000 + i, i % 3) for i in range(50)))
    rc, out, err = aceso("localise", "--metrics", tmp_path / "m.csv")
    assert rc == 0, err
    (tmp_path / "traces.csv").write_bytes(b"\xef\xbb\xbftraceID,spanID,parentID,service,startTime,duration\nt,a,,front,1,2\nt,b,a,cart,1,1\n")
    rc, out, err = aceso("synthesise", "--traces", tmp_path / "traces.csv")
    assert rc == 0 and "front calls cart" in out, err
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfx,y\n" + b"".join(b"%d,%d\n" % (i, i * i % 17) for i in range(50)))
    rc, out, err = aceso("discover", "--method", "pc", "--data", tmp_path / "x.csv")
    assert rc == 0 and "\ufeff" not in out, err


def test_constants_alone_are_no_answer_and_no_complaint(tmp_path):
    rows = [f"{1_700_000_000 + i},5,7" for i in range(200)]
    (tmp_path / "m.csv").write_text("time,a_cpu,b_cpu\n" + "\n".join(rows) + "\n")
    rc, out, err = aceso("localise", "--metrics", tmp_path / "m.csv")
    assert (rc, err) == (0, "") and out.startswith("No component leaves its normal range"), (out, err)

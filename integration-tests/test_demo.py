"""aceso demo and aceso lab: one problem healed from start to end on a system of its own, the lab killed in
the middle of it; and wrong usage."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = str(pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")) / "bin/aceso")


def aceso(*args, timeout=60):
    return subprocess.run([ACESO, *args], capture_output=True, text=True, timeout=timeout)


def last_json(text):
    return json.loads(text.splitlines()[-1])


def marked(word):
    """Pids of the processes whose command line or environment names word."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (p / "cmdline").read_bytes() + (p / "environ").read_bytes():
                found.append(int(p.name))
        except OSError:
            pass
    return [p for p in found if p != os.getpid()]


def test_a_failed_pod_is_healed_although_the_lab_is_killed():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as state:
        p = subprocess.Popen([ACESO, "demo", "--problem", "pod_kill_hotel_res", "--seed", "7", "--state", state,
                              "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(240, p.kill)
        watchdog.start()
        try:
            progress = []
            for line in p.stderr:
                progress.append(line)
                if "learning rules" in line:
                    lab = next(s for s in last_json(aceso("status", "--state", state, "--json").stdout)["services"]
                               if s["name"] == "lab")
                    os.kill(lab["pid"], signal.SIGKILL)
            out = p.stdout.read()
            assert p.wait(timeout=30) == 0, "".join(progress[-60:])
        finally:
            watchdog.cancel()
            p.kill()
            aceso("down", "--state", state)
        score = last_json(out)
        said = (json.dumps(score), "".join(progress[-60:]))
        assert score["problem"] == "pod_kill_hotel_res" and score["seed"] == 7
        assert (score["detected"], score["localised"], score["mitigated"], score["void"]) == (True, True, True, False), said
        assert score["root_cause"] == "user" and score["evidence"] and score["rule"] and score["reason"], said
        assert score["mitigation"].startswith("replace_pod"), said
        assert 0 <= score["ttd_s"] <= score["ttl_s"] <= score["ttm_s"] + 1 and score["ttm_s"] < 90, said
        assert score["setup_s"] <= 15 and score["total_s"] <= 180, said
        assert marked(state) == []


def test_interrupted_demo_leaves_nothing():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as state:
        p = subprocess.Popen([ACESO, "demo", "--problem", "revoke_auth_mongodb", "--state", state],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for line in p.stderr:
                if "gathering healthy telemetry" in line:
                    p.send_signal(signal.SIGINT)
                    break
            rest = p.stderr.read()
            assert p.wait(timeout=60) == 1
            assert "interrupted" in rest
        finally:
            p.kill()
            aceso("down", "--state", state)
        assert marked(state) == []


def test_problems_are_listed_without_a_service():
    r = aceso("lab", "problems", "--json")
    assert r.returncode == 0, r.stderr
    ids = {p["id"] for p in last_json(r.stdout)["problems"]}
    assert {"pod_kill_hotel_res-detection-1", "network_delay_hotel_res-mitigation-1",
            "revoke_auth_mongodb-analysis-2"} <= ids
    only = last_json(aceso("lab", "problems", "--app", "hotel", "--task", "mitigation", "--json").stdout)["problems"]
    assert only and all(p["task"] == "mitigation" and p["application"] == "hotel" for p in only)
    assert last_json(aceso("lab", "problems", "--app", "none", "--json").stdout) == {"problems": []}


@pytest.mark.parametrize("args", [
    ["demo", "--bogus"], ["demo", "--seed", "x"], ["demo", "more"], ["lab"], ["lab", "problems", "--task", "x"],
    ["lab", "run", "pod_kill_hotel_res"], ["lab", "run", "a", "--agent", "b", "--seed", "-1"]])
def test_wrong_usage_is_one_line_and_exit_2(args):
    r = aceso(*args)
    assert r.returncode == 2, args
    assert len(r.stderr.strip().splitlines()) == 1, r.stderr


def test_a_malformed_problem_names_file_line_and_column():
    with tempfile.TemporaryDirectory() as d:
        path = pathlib.Path(d) / "x.yaml"
        path.write_text("stem: x\napplication: hotel\nsummary: s\ntasks: [mend]\n")
        r = aceso("lab", "problems", "--problems", d)
        assert r.returncode == 2
        assert r.stderr.strip() == (f"aceso lab: {path}:4:9: a task is detection, localization, analysis or "
                                    "mitigation")

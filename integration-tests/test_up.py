"""aceso up, status and down on real servers. ACESO_SERVICES chooses the services that run."""
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = str(pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")) / "bin/aceso")


def aceso(*args, services="none", timeout=100):
    env = dict(os.environ, ACESO_SERVICES=services)
    return subprocess.run([ACESO, *args], env=env, capture_output=True, text=True, timeout=timeout)


def status(state):
    r = aceso("status", "--state", state, "--json")
    return {s["name"]: s for s in json.loads(r.stdout.splitlines()[-1])["services"]}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(check, deadline_s=30):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {deadline_s} s")


@pytest.fixture
def state():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as d:
        yield d
        aceso("down", "--state", d)


def test_up_status_down_and_again(state):
    r = aceso("up", "--state", state, "--json")
    assert r.returncode == 0, r.stderr
    up = json.loads(r.stdout.splitlines()[-1])
    assert {s["name"]: s["state"] for s in up["services"]} == {"postgres": "healthy", "nats": "healthy"}
    address = status(state)["nats"]["address"]
    psql = ["psql", "-h", status(state)["postgres"]["address"], "-U", "aceso", "-d", "postgres", "-Atc"]
    subprocess.run([*psql, "create table kept as select 42 as a"], check=True, capture_output=True)
    assert aceso("down", "--state", state).returncode == 0
    assert not any(alive(s["pid"]) for s in up["services"])
    assert aceso("status", "--state", state).returncode == 1
    assert aceso("up", "--state", state).returncode == 0
    assert status(state)["nats"]["address"] == address
    assert subprocess.run([*psql, "select a from kept"], capture_output=True, text=True).stdout.strip() == "42"


def test_what_is_killed_comes_back(state):
    assert aceso("up", "--state", state).returncode == 0
    for name in ("nats", "postgres"):
        old = status(state)[name]["pid"]
        os.kill(old, signal.SIGKILL)
        eventually(lambda: status(state)[name]["state"] == "healthy" and status(state)[name]["pid"] != old)
        assert status(state)[name]["restarts"] == 1


def test_a_killed_supervisor_leaves_nothing_and_is_taken_over(state):
    r = aceso("up", "--state", state, "--json")
    up = json.loads(r.stdout.splitlines()[-1])
    os.kill(up["supervisor"], signal.SIGKILL)
    eventually(lambda: not any(alive(s["pid"]) for s in up["services"]))
    assert aceso("up", "--state", state).returncode == 0
    assert all(s["state"] == "healthy" for s in status(state).values())


def test_two_states_do_not_meet(state):
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as other:
        try:
            assert aceso("up", "--state", state).returncode == 0
            assert aceso("up", "--state", other).returncode == 0
            assert status(state)["nats"]["address"] != status(other)["nats"]["address"]
            assert aceso("down", "--state", state).returncode == 0
            assert all(s["state"] == "healthy" for s in status(other).values())
        finally:
            aceso("down", "--state", other)


def test_interrupted_up_leaves_no_process(state):
    env = dict(os.environ, ACESO_SERVICES="none")
    p = subprocess.Popen([ACESO, "up", "--state", state], env=env, stderr=subprocess.PIPE, text=True)
    assert p.stderr.readline()  # it has begun
    p.send_signal(signal.SIGINT)
    p.wait(timeout=60)
    mine = subprocess.run(["pgrep", "-f", state], capture_output=True, text=True).stdout.split()
    assert mine == []


def traces(state):
    """What speaks of the state directory: processes (command line, environment, working directory) and mounts."""
    found = [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if state in line]
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = b"\0".join([(p / "cmdline").read_bytes(), (p / "environ").read_bytes(),
                               os.fsencode(os.readlink(p / "cwd"))])
        except OSError:  # gone, or not ours
            continue
        if state.encode() in text and int(p.name) != os.getpid():
            found.append(f"{p.name}: {text[:300]!r}")
    return found


@pytest.mark.parametrize("seed", range(8))
def test_ctrl_c_at_any_moment_leaves_nothing(state, seed):
    """As a terminal sends it: to the whole group, sometimes twice. Afterwards the state comes up as ever."""
    chance = random.Random(seed)
    after, twice = chance.uniform(0, 4), chance.random() < 0.3
    if seed == 0:
        after = 0  # before it has done anything
    env = {k: v for k, v in os.environ.items() if k != "ACESO_SERVICES"}
    p = subprocess.Popen([ACESO, "up", "--state", state], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         text=True, start_new_session=True)
    try:
        p.wait(after)
    except subprocess.TimeoutExpired:
        pass
    early = p.poll() is None
    for _ in range(1 + twice):
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGINT)
    err = p.communicate(timeout=60)[1]
    what = f"seed {seed}: Ctrl-C after {after:.3f} s, {'twice' if twice else 'once'}: exit {p.returncode}: {err[-400:]}"
    if not early or p.returncode == 0:  # it was up before the signal came
        assert p.returncode == 0, what
        aceso("down", "--state", state)
    assert traces(state) == [], what
    if seed % 4 == 0:
        r = aceso("up", "--state", state)
        assert r.returncode == 0, what + r.stderr


def test_a_missing_program_is_named(state):
    r = aceso("up", "--state", state, services="no-such,worker,console,lab")
    if r.returncode == 0:
        pytest.skip("all services are built")
    assert r.returncode == 1
    assert "is missing" in r.stderr and "make all" in r.stderr


def test_wrong_usage_is_one_line_and_exit_2():
    for args in (["up", "--bogus"], ["up", "--timeout", "soon"], ["upp"], ["down", "--state"]):
        r = aceso(*args)
        assert r.returncode == 2, args
        assert len(r.stderr.strip().splitlines()) == 1, r.stderr

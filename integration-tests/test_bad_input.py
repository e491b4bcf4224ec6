"""Bad input and a bad world: one line that names the file, line and column, or the thing that is missing and what
to do; exit 2 for input, 1 for the world; and nothing is started or half written."""

import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import tempfile

import pytest

from backends import BIN, NATS, PG, ROOT, free_port, port_open, wait

ACESO = BIN / "aceso"
SERVICES = ("cluster", "collector", "trainer", "detector", "rca", "responder", "controller", "worker", "lab", "console")


def run(*argv, env=None, timeout=100, cwd=None):
    return subprocess.run([str(a) for a in argv], env=dict(os.environ, **(env or {})), cwd=cwd, capture_output=True,
                          text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def refused(r, *words, code=2):
    """The run ended with this code and one line that holds all words, and printed no result."""
    lines = [x for x in r.stderr.strip().splitlines() if not x.startswith("{")]  # the log
    assert r.returncode == code and len(lines) == 1, (r.returncode, r.stdout, r.stderr)
    for w in words:
        assert w in lines[0], (w, lines[0])
    return lines[0]


def left(mark):
    """Processes whose command line or environment speaks of the directory."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = (p / "cmdline").read_bytes() + (p / "environ").read_bytes()
        except OSError:
            continue
        if str(mark).encode() in text and int(p.name) != os.getpid():
            found.append(text[:200])
    return found


@pytest.fixture
def state():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as d:
        os.chmod(d, 0o711)  # PostgreSQL's user must pass
        yield pathlib.Path(d) / "s"
        run(ACESO, "down", "--state", pathlib.Path(d) / "s")


def up(state, services="none", **env):
    return run(ACESO, "up", "--state", state, "--timeout", "60s", env={"ACESO_SERVICES": services, **env})


def last_line(r, code=1):
    assert r.returncode == code, (r.returncode, r.stderr)
    return r.stderr.strip().splitlines()[-1]


# ---- files ----

RULE = 'language 1\nrule "a" {\n    when value >> 3\n}\n'
GOOD_RULE = 'language 1\nrule "a" { when value > 3 }\n'


def test_rules(tmp_path):
    (tmp_path / "bad.rule").write_text(RULE)
    (tmp_path / "good.rule").write_text(GOOD_RULE)
    (tmp_path / "ok.csv").write_text("value,label\n1,0\n5,1\n")
    for verb in (["check"], ["fmt"]):
        refused(run(ACESO, "rule", *verb, "bad.rule", cwd=tmp_path), "bad.rule:3:17: ")
    refused(run(ACESO, "rule", "eval", "bad.rule", "--series", "ok.csv", "--out", "flags", cwd=tmp_path), "bad.rule:3:17: ")
    refused(run(ACESO, "rule", "check", "none.rule", cwd=tmp_path), "none.rule: cannot open: No such file")
    r = run(ACESO, "rule", "check", "bad.rule", "--json", cwd=tmp_path)
    assert r.returncode == 2
    assert (json.loads(r.stdout)["errors"][0]["line"], json.loads(r.stdout)["errors"][0]["column"]) == (3, 17)
    assert not (tmp_path / "flags").exists()


SERIES = {
    "text.csv": (b"value,label\n1,0\nabc,0\n", ":3:1: "),
    "short.csv": (b"timestamp,value,label\n1,2,0\n2,3\n", ":3:3: "),
    "label.csv": (b"timestamp,value,label\n1,2,7\n", ":2:3: "),
    "twice.csv": (b"timestamp,value\n1,2\n1,2\n", ":3:1: "),
    "header.csv": (b"foo,bar\n1,2\n", ":1:1: "),
    "empty.csv": (b"", "no header line"),
    "broken.csv.gz": (b"\x1f\x8b\x08broken", "damaged gzip data"),
    "binary.csv": (bytes(range(256)) * 3, "1:1: a NUL byte"),
}


@pytest.mark.parametrize("name", SERIES)
def test_series(tmp_path, name):
    data, place = SERIES[name]
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.rule").write_text(GOOD_RULE)
    (tmp_path / "good.csv").write_text("timestamp,value,label\n" + "".join(
        f"{60 * i},{i % 7 + 50 * (i in (400, 900))},{int(i in (400, 900))}\n" for i in range(1200)))
    refused(run(ACESO, "rule", "eval", "good.rule", "--series", name, "--out", "flags", cwd=tmp_path), name, place)
    refused(run(ACESO, "train", "--series", "good.csv", "--series", name, "--out", "rules", cwd=tmp_path), name, place)
    assert not (tmp_path / "flags").exists() and not (tmp_path / "rules").exists()


def test_metrics_models_and_workloads(tmp_path):
    (tmp_path / "m.csv").write_text("time,front_cpu\n1,2\n2,x\n")
    (tmp_path / "wide.csv").write_text("time,front_cpu\n1,2,3\n")
    (tmp_path / "junk.onnx").write_bytes(secrets.token_bytes(100).replace(b"\x08", b"\x09"))
    (tmp_path / "models.csv").write_text("foo,bar\n")
    refused(run(ACESO, "rca", "localise", "--metrics", "m.csv", cwd=tmp_path), "m.csv:3:2: not a number")
    refused(run(ACESO, "rca", "localise", "--metrics", "wide.csv", cwd=tmp_path), "wide.csv:2:3: ")
    refused(run(ACESO, "rca", "localise", "--metrics", "none.csv", cwd=tmp_path), "none.csv: cannot open")
    refused(run(ACESO, "serve", "model", "junk.onnx", cwd=tmp_path), "junk.onnx: ")
    refused(run(ACESO, "serve", "model", "none.onnx", cwd=tmp_path), "none.onnx: cannot open")
    refused(run(ACESO, "serve", "sim", "--models", "models.csv", "--slo-ms", "25", cwd=tmp_path), "models.csv: row 1, column 1")


COSTS = "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\nm,1,1,100,8,2,3,4,6,10\n"


def test_serve_says_what_does_not_fit(tmp_path):
    (tmp_path / "c.csv").write_text(COSTS)
    sim = (ACESO, "serve", "sim", "--models", "c.csv")
    refused(run(*sim, cwd=tmp_path), "the cost table has no model resnet50_v2, which this workload uses")
    refused(run(*sim, "--batch", "4", cwd=tmp_path), "--batch is an option of serve model, not of sim")
    refused(run(*sim, "--tune", cwd=tmp_path), "--tune is an option of serve compare, not of sim")
    refused(run(ACESO, "serve", "compare", "--models", "c.csv", "--worker", "sim", cwd=tmp_path),
            "--worker is an option of serve --repository, not of compare")
    refused(run(ACESO, "serve", "model", "m.onnx", "--slo-ms", "5", cwd=tmp_path), "--slo-ms is an option of serve sim and compare, not of model")
    for column, cost, place in ((5, "0", "row 2, column 6 (b1_ms)"), (4, "0", "row 2, column 5 (load_ms)"), (6, "-3", "row 2, column 7 (b2_ms)")):
        header, row = COSTS.split()
        cells = row.split(",")
        cells[column] = cost
        (tmp_path / "c.csv").write_text(f"{header}\n{','.join(cells)}\n")
        refused(run(*sim, cwd=tmp_path), "c.csv: " + place)


def test_serve_model_says_what_does_not_fit(tmp_path):
    models = ROOT / "services/worker/tests/data"
    vectors = tmp_path / "v"
    shutil.copytree(models / "hotel_recommend/test_data_set_b1", vectors)
    hotel = (ACESO, "serve", "model", ROOT / "services/controller/models/hotel_recommend/1/model.onnx", "--check", "v")
    good = (vectors / "input_0.pb").read_bytes()
    for bad, what in ((good[:-3], "malformed tensor"), (b"", "element type 0"), (secrets.token_bytes(9).replace(b"\x08", b"\x09"), "ONNX: ")):
        (vectors / "input_0.pb").write_bytes(bad)
        refused(run(*hotel, cwd=tmp_path), "v/input_0.pb: ", what)
    (vectors / "input_0.pb").unlink()
    refused(run(*hotel, cwd=tmp_path), "v/input_0.pb: cannot open")
    alone = models / "one_at_a_time.onnx"
    refused(run(ACESO, "serve", "model", alone, "--batch", "4"), f"{alone}: batch 4 is not compiled")
    refused(run(ACESO, "serve", "model", models / "rows/chosen.onnx"), "chosen.onnx: node y (operator GatherElements): an index is out of range")
    refused(run(ACESO, "serve", "model", models / "refused/much_memory.onnx"), "much_memory.onnx: the model needs a workspace of ")


def test_an_address_that_is_none_is_said(tmp_path):
    for listen, what in (("127.0.0.1:99999", "they end at 65535"), ("nonsense", "give HOST:PORT")):
        r = run(ACESO, "serve", "--repository", tmp_path, "--listen", listen)
        assert r.returncode == 2 and what in r.stderr and "the controller ended at once (exit code 2)" in r.stderr, r.stderr


def test_configuration_of_every_service(tmp_path):
    files = {
        "syntax.yaml": ("log: info\n  bad: [\n", r"syntax\.yaml:2:\d+: "),
        "key.yaml": ("log: info\nlistne: x\n", r"key\.yaml:2:\d+: unknown option 'listne'; did you mean 'listen'\?"),
        "value.yaml": ("log: info\n\ndrain: soon\n", r"value\.yaml:3:8: drain: expected a duration"),
    }
    for name, (text, expected) in files.items():
        (tmp_path / name).write_text(text)
        for s in SERVICES:
            line = refused(run(BIN / f"aceso-{s}", "--config", name, "--state-dir", "st", cwd=tmp_path))
            assert re.search(expected, line), line
    assert not (tmp_path / "st").exists()


def test_yaml_of_applications_problems_and_images(tmp_path):
    (tmp_path / "app.yaml").write_text("services:\n  a:\n    prot: 3\n")
    refused(run(BIN / "aceso-app", "serve", "--spec", "app.yaml", "--service", "a", cwd=tmp_path), "app.yaml:3:", "did you mean 'port'?")
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems/p.yaml").write_text("id: p-1\nfaults: [\n")
    refused(run(ACESO, "lab", "problems", "--problems", "problems", cwd=tmp_path), "problems/p.yaml:3:1: ")
    refused(run(ACESO, "lab", "problems", "--problems", "nowhere", cwd=tmp_path), "nowhere")
    (tmp_path / "images.yaml").write_text("- match: x\n  entrypoint: [\n")
    refused(run(BIN / "aceso-cluster", "--images", "images.yaml", "--state-dir", "st", cwd=tmp_path), "images.yaml:3:1: ")


def test_unknown_problems_and_agents_start_nothing():
    refused(run(ACESO, "demo", "--problem", "make_it_rain"), "there is no problem 'make_it_rain'")
    refused(run(ACESO, "lab", "run", "make_it_rain", "--agent", "none"), "there is no problem 'make_it_rain'")
    refused(run(ACESO, "lab", "run", "pod_kill_hotel_res", "--agent", "bond"), "agent 'bond' is not known: responder, none or remote")


# ---- the world ----

@pytest.fixture
def taken():
    """A port of somebody else."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


def test_a_taken_port_is_named(taken, tmp_path):
    for option in ("--listen", "--http-listen"):
        refused(run(BIN / "aceso-controller", option, f"127.0.0.1:{taken}"), option, str(taken), "taken", code=1)
    refused(run(BIN / "aceso-cluster", "--state-dir", tmp_path / "c", "--api-listen", f"127.0.0.1:{taken}"),
            "--api-listen", str(taken), "taken", code=1)


def test_up_takes_another_port_when_its_own_is_taken(state):
    assert up(state).returncode == 0
    assert run(ACESO, "down", "--state", state).returncode == 0
    port = json.loads((state / "ports.json").read_text())["nats"]
    with socket.socket() as s:
        s.bind(("127.0.0.1", port))
        s.listen()
        assert up(state).returncode == 0
    assert json.loads((state / "ports.json").read_text())["nats"] != port


def test_a_missing_service_is_named(state, tmp_path):
    shutil.copy(ACESO, tmp_path / "aceso")
    r = run(tmp_path / "aceso", "up", "--state", state, env={"ACESO_SERVICES": "rca"})
    line = last_line(r)
    assert f"program {tmp_path}/aceso-rca is missing" in line and "make all" in line
    assert left(state) == []


def test_a_state_directory_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    refused(up(tmp_path / "file"), f"{tmp_path}/file: exists and is not a directory", code=1)
    refused(up("/proc/nothing"), "/proc/nothing: cannot create directory", code=1)


def mounts_allowed():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
                                                capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not mounts_allowed(), reason="needs the right to mount")


def in_own_mounts(script, *argv, **env):
    return run("unshare", "-m", "sh", "-ec", script + '\nexec "$@"', "sh", *argv, env={"ACESO_SERVICES": "none", **env})


@needs_mounts
def test_missing_servers_are_named(state):
    # Whatever the servers' directories are, they are empty for this one run.
    hide = "mount -t tmpfs none /usr/lib/postgresql"
    r = in_own_mounts(hide, ACESO, "up", "--state", state, PATH="/nowhere:/usr/sbin:/bin")
    if "postgres" not in last_line(r):
        pytest.skip("PostgreSQL lies elsewhere here")
    assert "program postgres is missing: install the package postgresql" in last_line(r)
    r = in_own_mounts(f"mount --bind /dev/null {NATS}", ACESO, "up", "--state", state, PATH=f"{PG}:/bin")
    assert "program nats-server is missing: install the package nats-server" in last_line(r)
    assert left(state) == []


@needs_mounts
def test_a_full_disk_is_named(tmp_path):
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents[:-2]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    script = f"mount -t tmpfs -o size=16m,mode=755 none {tmp_path}"
    line = last_line(in_own_mounts(script, ACESO, "up", "--state", tmp_path / "s"))
    assert f"the disk of {tmp_path}/s is full" in line and "make room or choose another --state" in line
    assert left(tmp_path) == []


@needs_mounts
def test_a_disk_that_fills_up_later_is_named(state):
    """Not even the status can be written then: it must not go on saying that all is well."""
    script = (f"mkdir -p {state}; mount -t tmpfs -o size=160m,mode=755 none {state}\n"
              f'"$@"\n'
              f"head -c 1G /dev/zero >{state}/filler || true\n"
              f"kill -9 $(head -1 {state}/pg/postmaster.pid)\n"
              f"{ACESO} status --state {state}; rm {state}/filler; {ACESO} down --state {state}; exit 0")
    r = run("unshare", "-m", "sh", "-c", script, "sh", ACESO, "up", "--state", state, env={"ACESO_SERVICES": "none"}, timeout=90)
    assert re.search(r"postgres +failed", r.stdout) and f"the disk of {state} is full: make room" in r.stdout, r.stdout
    assert left(state) == []


@pytest.fixture(scope="module")
def guarded():
    """PostgreSQL and nats-server that ask for a password: their ports."""
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as tmp:
        tmp = pathlib.Path(tmp)
        os.chmod(tmp, 0o711)
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        (tmp / "pw").write_text("right\n")
        os.chmod(tmp / "pw", 0o644)
        (tmp / "pg").mkdir(mode=0o700)
        if user:
            shutil.chown(tmp / "pg", "nobody", "nogroup")
        subprocess.run([*user, PG / "initdb", "-D", tmp / "pg", "-U", "aceso", "-A", "scram-sha-256", f"--pwfile={tmp}/pw",
                        "--no-sync"], check=True, capture_output=True, cwd="/")
        pg, nats = free_port(), free_port()
        procs = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") for argv in (
            [*user, PG / "postgres", "-D", tmp / "pg", "-k", "", "-h", "127.0.0.1", "-p", str(pg), "-c", "fsync=off"],
            [NATS, "-a", "127.0.0.1", "-p", str(nats), "--user", "u", "--pass", "right"])]
        wait("servers", lambda: port_open(pg) and port_open(nats))
        url = "postgresql://aceso:right@127.0.0.1:%d/postgres" % pg
        wait("postgres", lambda: run(PG / "psql", url, "-c", "select 1").returncode == 0)
        yield pg, nats
        for p in procs:
            p.send_signal(2)
            p.wait()


def test_a_wrong_password_is_named(guarded, state):
    pg, nats = guarded
    wrong, right = (f"postgresql://aceso:{w}@127.0.0.1:{pg}/postgres" for w in ("hidden-word", "right"))
    bus = f"nats://u:right@127.0.0.1:{nats}"
    lines = [refused(run(BIN / "aceso-rca", "--pg-url", wrong, "--nats-url", bus), "password authentication failed", "port %d" % pg,
                     "check the user and the password of --pg-url", code=1),
             refused(run(BIN / "aceso-rca", "--pg-url", right, "--nats-url", f"nats://u:hidden-word@127.0.0.1:{nats}"),
                     "NATS", f"127.0.0.1:{nats}", "refuses the user or password", code=1)]
    for name, url, words in (("ACESO_PG_URL", wrong, "password authentication failed"),
                             ("ACESO_NATS_URL", f"nats://u:hidden-word@127.0.0.1:{nats}", "refuses the user or password")):
        lines.append(last_line(up(state, "rca", **{name: url})))
        assert name in lines[-1] and words in lines[-1]
    assert not any("hidden-word" in line for line in lines)
    assert left(state) == []


def test_servers_that_are_not_there_are_named(guarded, state):
    pg, nats = guarded
    nowhere = free_port()
    bus = f"nats://u:right@127.0.0.1:{nats}"
    refused(run(BIN / "aceso-rca", "--nats-url", bus, "--pg-url", f"postgresql://aceso:right@127.0.0.1:{pg}/nodb"),
            'database "nodb" does not exist', "create it", code=1)
    refused(run(BIN / "aceso-console", "--nats-url", f"nats://127.0.0.1:{nowhere}"), f"127.0.0.1:{nowhere}",
            "is nats-server running?", code=1)
    for name, url in (("ACESO_PG_URL", f"postgresql://aceso@127.0.0.1:{nowhere}/x"), ("ACESO_NATS_URL", f"nats://127.0.0.1:{nowhere}")):
        line = last_line(up(state, "rca", **{name: url}))
        assert name in line and str(nowhere) in line
    assert left(state) == []


def test_what_a_service_needs_is_named(tmp_path):
    env = {k: "" for k in ("ACESO_PG_URL", "ACESO_NATS_URL", "ACESO_STATE_DIR", "ACESO_CONTROLLER_ADDR")}
    refused(run(BIN / "aceso-rca", env=env), "the address of PostgreSQL is missing", "ACESO_PG_URL")
    refused(run(BIN / "aceso-console", env=env), "the address of NATS is missing", "ACESO_NATS_URL")
    refused(run(BIN / "aceso-cluster", env=env), "give --state-dir")
    refused(run(BIN / "aceso-worker", env=env), "controller-addr is not set")
    refused(run(BIN / "aceso-controller", "--repository", tmp_path / "none"), f"{tmp_path}/none", "No such file")

"""aceso-rca and aceso-responder as processes on a real PostgreSQL and NATS: an alert opens an incident,
which is stored and survives kill -9; malformed alerts do no harm."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("ACESO_BIN_DIR", ROOT / "build/bin"))
NATS = shutil.which("nats-server") or "/usr/sbin/nats-server"
PG = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, fn, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = fn()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


class Backends:
    def __init__(self, tmp):
        self.tmp, self.procs = tmp, []
        os.chmod(tmp, 0o711)
        data, self.sock = tmp / "pg", tmp / "s"
        self.sock.mkdir(mode=0o777)
        os.chmod(self.sock, 0o777)
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        data.mkdir()
        if user:
            shutil.chown(data, "nobody", "nogroup")
        os.chmod(data, 0o700)
        subprocess.run([*user, str(PG / "initdb"), "-D", str(data), "-U", "aceso", "-A", "trust", "--no-sync"],
                       check=True, capture_output=True, cwd="/")
        self.start([*user, str(PG / "postgres"), "-D", str(data), "-k", str(self.sock), "-c",
                    "listen_addresses=", "-c", "fsync=off"])
        self.url = f"host={self.sock} user=aceso dbname=postgres"
        wait("postgres", lambda: self.sql("select 1") is not None)
        port = free_port()
        self.nats = f"nats://127.0.0.1:{port}"
        self.nats_port = port
        self.start([NATS, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp / "js")])
        wait("nats", lambda: port_open(port))

    def start(self, argv, **kw):
        p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **kw)
        self.procs.append(p)

    def sql(self, text):
        p = subprocess.run([str(PG / "psql"), self.url, "-Atc", text], capture_output=True, text=True)
        return p.stdout.strip() if p.returncode == 0 else None

    def publish(self, subject, data):
        with socket.create_connection(("127.0.0.1", self.nats_port), 5) as s:
            s.sendall(b'CONNECT {"verbose":false}\r\n' +
                      b"PUB %s %d\r\n%s\r\nPING\r\n" % (subject.encode(), len(data), data))
            s.settimeout(5)
            got = b""
            while b"PONG" not in got:
                got += s.recv(4096)

    def stop(self):
        for p in reversed(self.procs):
            p.send_signal(signal.SIGINT)
        for p in self.procs:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()


@pytest.fixture
def backends():
    # not pytest's own: that is closed to the user that PostgreSQL runs as
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as tmp:
        b = Backends(pathlib.Path(tmp))
        yield b
        b.stop()


def service(b, name, *args):
    p = subprocess.Popen([str(BIN / f"aceso-{name}"), f"--pg-url={b.url}", f"--nats-url={b.nats}", *args],
                         stdout=subprocess.PIPE, stderr=open(b.tmp / f"{name}.log", "ab"), text=True)
    line = p.stdout.readline()
    assert line, (b.tmp / f"{name}.log").read_text()
    return p, json.loads(line)


def field(n, data):
    return bytes([n << 3 | 2, len(data)]) + data


def alert(id, sequence, state, t_ns):
    varint = b""
    while t_ns > 127:
        varint += bytes([t_ns & 127 | 128])
        t_ns >>= 7
    varint += bytes([t_ns])
    return (field(1, field(1, id.encode())) + bytes([2 << 3, sequence]) + field(3, b"hotel-1") +
            field(4, state.encode()) + field(5, field(2, b"frontend")) + bytes([12 << 3]) + varint)


def state(b):
    return b.sql("select state from incidents.incidents")


def test_incident_lives_through_kill_9(backends):
    b = backends
    rca, at = service(b, "rca", "--collector-addr=127.0.0.1:1")
    args = (f"--rca-addr={at['grpc']}", "--kubeconfig=/nonexistent", "--settle=300ms", "--retry=200ms")
    resp, _ = service(b, "responder", *args)
    b.publish("aceso.alerts.hotel-1", b"\xff\xff not an alert")
    now = time.time_ns()
    b.publish("aceso.alerts.hotel-1", alert("a1", 1, "open", now))
    wait("an incident", lambda: state(b))
    resp.kill()
    resp.wait()
    resp, _ = service(b, "responder", *args)
    # Neither collector nor cluster answers: after its attempts it is left to people, nothing is touched.
    wait("needs_human", lambda: state(b) == "needs_human", 40)
    b.publish("aceso.alerts.hotel-1", alert("a1", 2, "closed", now))
    wait("resolved", lambda: state(b) == "resolved")
    assert b.sql("select count(*) from incidents.incidents") == "1"
    for p in (resp, rca):
        p.send_signal(signal.SIGTERM)
    assert (resp.wait(15), rca.wait(15)) == (0, 0)


def test_missing_option_is_one_line(backends):
    p = subprocess.run([str(BIN / "aceso-rca"), f"--pg-url={backends.url}", f"--nats-url={backends.nats}"],
                       capture_output=True, text=True, timeout=30)
    assert p.returncode != 0 and "collector-addr" in p.stderr

"""A private PostgreSQL and nats-server for a test, services on them, and small clients: NATS by its text
protocol, gRPC with the project's own descriptors."""

import atexit
import base64
import functools
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
BUILD = pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build"))
BIN = pathlib.Path(os.environ.get("ACESO_BIN_DIR", BUILD / "bin"))
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
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


class Nats:
    """One connection: publish, request, and the messages of what was subscribed to."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.sids, self.inbox = 0, f"_INBOX.it{os.getpid()}.{id(self)}"
        self.file.readline()  # INFO
        self.send(b'CONNECT {"verbose":false,"headers":true}\r\n')
        self.subscribe(self.inbox + ".*")
        self.asked = 0

    def send(self, data):
        self.sock.sendall(data)

    def subscribe(self, subject):
        self.sids += 1
        self.send(b"SUB %s %d\r\n" % (subject.encode(), self.sids))
        self.flush()

    def publish(self, subject, data, reply=""):
        self.send(b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(data), data))

    def line(self):
        line = self.file.readline()
        assert line, "nats-server closed the connection"
        return line

    def flush(self):
        self.send(b"PING\r\n")
        while not self.line().startswith(b"PONG"):
            pass

    def next(self, seconds=10):
        """(subject, data) of the next message."""
        self.sock.settimeout(seconds)
        while True:
            line = self.line()
            if line.startswith(b"PING"):
                self.send(b"PONG\r\n")
            elif line.startswith((b"MSG", b"HMSG")):
                words = line.split()
                data = self.file.read(int(words[-1]) + 2)[:-2]
                head = int(words[-2]) if line.startswith(b"HMSG") else 0
                return words[1].decode(), data[head:]

    def request(self, subject, data=b""):
        self.asked += 1
        inbox = f"{self.inbox}.{self.asked}"
        self.publish(subject, data, inbox)
        while True:
            subject, data = self.next()
            if subject == inbox:
                return data

    def stream_last(self, stream):
        info = json.loads(self.request(f"$JS.API.STREAM.INFO.{stream}"))
        return info["state"]["last_seq"] if "state" in info else None

    def stream(self, stream, first=1):
        """[(subject, data)] of a whole stream."""
        out = []
        for seq in range(first, self.stream_last(stream) + 1):
            got = json.loads(self.request(f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps({"seq": seq}).encode()))
            if "message" in got:
                out.append((got["message"]["subject"], base64.b64decode(got["message"].get("data", ""))))
        return out


# PostgreSQL does not run as root.
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


@functools.cache
def fresh_database():
    """An empty database, made once a session and copied for each test."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aceso-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o711)
    data = folder / "data"
    data.mkdir()
    if AS_NOBODY:
        shutil.chown(data, "nobody", "nogroup")
    os.chmod(data, 0o700)
    subprocess.run([*AS_NOBODY, str(PG / "initdb"), "-D", str(data), "-U", "aceso", "-A", "trust", "--no-sync"],
                   check=True, capture_output=True, cwd="/")
    return data


class Backends:
    def __init__(self, tmp):
        self.tmp, self.procs = tmp, []
        os.chmod(tmp, 0o711)
        data, self.sock = tmp / "pg", tmp / "s"
        self.sock.mkdir(mode=0o777)
        os.chmod(self.sock, 0o777)
        subprocess.run(["cp", "-a", str(fresh_database()), str(data)], check=True)
        self.url = f"host={self.sock} user=aceso dbname=postgres"
        self.pg_argv = [*AS_NOBODY, str(PG / "postgres"), "-D", str(data), "-k", str(self.sock), "-c",
                        "listen_addresses=", "-c", "fsync=off"]
        self.nats_port = free_port()
        self.nats = f"nats://127.0.0.1:{self.nats_port}"
        self.start_postgres()
        self.start_nats()

    def start(self, argv, **kw):
        p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **kw)
        self.procs.append(p)
        return p

    def start_postgres(self):
        """Again and again: after kill -9 its children may hold the memory for a moment."""
        def up():
            if self.pg_process is None or self.pg_process.poll() is not None:
                self.pg_process = self.start(self.pg_argv)
            return self.sql("select 1") is not None
        self.pg_process = None
        wait("postgres", up)

    def start_nats(self):
        self.nats_process = self.start([NATS, "-a", "127.0.0.1", "-p", str(self.nats_port), "-js", "-sd",
                                        str(self.tmp / "js")])
        wait("nats", lambda: port_open(self.nats_port))

    @staticmethod
    def kill(process):
        process.kill()
        process.wait()

    def sql(self, text):
        p = subprocess.run([str(PG / "psql"), self.url, "-Atc", text], capture_output=True, text=True)
        return p.stdout.strip() if p.returncode == 0 else None

    def publish(self, subject, data):
        n = Nats(self.nats_port)
        n.publish(subject, data)
        n.flush()
        n.sock.close()

    def service(self, name, *args):
        """Starts aceso-NAME; the process and its ready line."""
        p = subprocess.Popen([str(BIN / f"aceso-{name}"), f"--pg-url={self.url}", f"--nats-url={self.nats}", *args],
                             stdout=subprocess.PIPE, stderr=open(self.tmp / f"{name}.log", "ab"), text=True)
        self.procs.append(p)
        line = p.stdout.readline()
        assert line, self.log(name)
        return p, json.loads(line)

    def log(self, name):
        return (self.tmp / f"{name}.log").read_text()

    def stop(self):
        servers = [self.nats_process, self.pg_process]  # last: services want them to the end
        for p in [x for x in reversed(self.procs) if x not in servers] + servers:
            if p.poll() is None:
                p.send_signal(signal.SIGINT)
                try:
                    p.wait(10)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()


@pytest.fixture
def backends():
    # not pytest's own: that is closed to the user that PostgreSQL runs as
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as tmp:
        b = Backends(pathlib.Path(tmp))
        try:
            yield b
        finally:
            b.stop()

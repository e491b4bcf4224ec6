"""The application engine: the hotel reservation application as plain processes on loopback, with a
real PostgreSQL and a real Redis."""

import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
APP = pathlib.Path(os.environ.get("ACESO_BIN", ROOT / "build" / "bin")) / "aceso-app"
SPEC = ROOT / "services/app/specs/hotel.yaml"
GENERATE = ROOT / "services/app/manifests/generate.py"
STORES = ("geo", "rate", "profile", "recommendation", "user", "reservation")
SERVICES = ("search", "geo", "rate", "profile", "recommendation", "user", "reservation", "frontend")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pg_program(name):
    for d in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (d / name).exists():
            return str(d / name)
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def wait_for(check, what, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if check():
            return
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {seconds} s")


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Postgres:
    """One server with the six databases; its own user when we are root."""

    def __init__(self, folder):
        self.port = free_port()
        self.dir = folder / "pg"
        self.dir.mkdir()
        self.env = {**os.environ, "PGPASSWORD": "admin", "DB_PASSWORD": "hotel", "PGUSER": "admin",
                    "PGHOST": "127.0.0.1", "PGPORT": str(self.port)}
        self.user = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for p in (*folder.parents, folder):
                if str(p).startswith("/tmp/"):
                    os.chmod(p, 0o755)
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        pw = self.dir / "pw"
        pw.write_text("admin\n")
        os.chmod(pw, 0o644)
        data = self.dir / "data"
        subprocess.run([pg_program("initdb"), "-D", data, "-U", "admin", "--no-sync", "-A",
                        "scram-sha-256", "--pwfile", pw], check=True, capture_output=True,
                       cwd=self.dir, **self.user)
        self.p = subprocess.Popen([pg_program("postgres"), "-D", data, "-p", str(self.port), "-k",
                                   self.dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                                   "-c", "shared_buffers=16MB"], cwd=self.dir,
                                  stderr=subprocess.DEVNULL, **self.user)
        wait_for(lambda: self.psql("postgres", "SELECT 1", check=False).returncode == 0, "postgres")
        for store in STORES:
            self.psql("postgres", f'CREATE DATABASE "{store}"')
            sql = subprocess.run([GENERATE, "--sql", store], check=True, capture_output=True, text=True)
            self.psql(store, sql.stdout)

    def psql(self, db, sql, check=True):
        return subprocess.run([pg_program("psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", db],
                              input=sql, env=self.env, check=check, capture_output=True, text=True)

    def stop(self):
        self.p.send_signal(signal.SIGQUIT)
        self.p.wait(10)


class Hotel:
    def __init__(self, folder):
        self.procs = {}
        self.pg = Postgres(folder)
        self.redis_port = free_port()
        self.redis = subprocess.Popen([shutil.which("redis-server") or shutil.which("valkey-server"),
                                       "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save",
                                       "", "--dir", folder], stdout=subprocess.DEVNULL)
        wait_for(lambda: reachable(self.redis_port), "redis")
        self.env = {**os.environ, "ACESO_APP_SPEC": str(SPEC), "DB_PASSWORD": "hotel"}
        self.ports = {s: free_port() for s in SERVICES}

        def where(name, port):
            key = name.upper().replace("-", "_")
            self.env[f"{key}_SERVICE_HOST"] = "127.0.0.1"
            self.env[f"{key}_SERVICE_PORT"] = str(port)

        for s in STORES:
            where(f"mongodb-{s}", self.pg.port)
        for c in ("rate", "profile", "reserve"):
            where(f"memcached-{c}", self.redis_port)
        for s in SERVICES:
            where(s, self.ports[s])
        self.logs = {}
        for s in SERVICES:
            self.start(s, folder)

    def start(self, name, folder):
        listen = "--http-listen" if name == "frontend" else "--listen"
        self.logs[name] = folder / f"{name}.log"
        with open(self.logs[name], "w", encoding="utf-8") as log:
            self.procs[name] = subprocess.Popen(
                [APP, "--service", name, listen, f"127.0.0.1:{self.ports[name]}"], env=self.env,
                stdout=subprocess.PIPE, stderr=log, text=True)
        ready = json.loads(self.procs[name].stdout.readline() or "{}")
        assert ready.get("service") == "app", self.logs[name].read_text()

    def get(self, path, headers=None):
        req = urllib.request.Request(f"http://127.0.0.1:{self.ports['frontend']}{path}",
                                     headers=headers or {})
        try:
            with urllib.request.urlopen(req, timeout=10) as r:
                return r.status, json.load(r)
        except urllib.error.HTTPError as e:
            return e.code, json.load(e)

    def stop(self):
        for p in self.procs.values():
            p.terminate()
        codes = {n: p.wait(15) for n, p in self.procs.items()}
        self.redis.terminate()
        self.redis.wait(10)
        self.pg.stop()
        return codes


@pytest.fixture(scope="module")
def hotel(tmp_path_factory):
    h = Hotel(tmp_path_factory.mktemp("hotel"))
    yield h
    codes = h.stop()
    assert set(codes.values()) == {0}, codes


STAY = "inDate=2015-04-10&outDate=2015-04-12&lat=37.7867&lon=-122.4112"


def test_search_answers_hotels_near_by(hotel):
    status, body = hotel.get(f"/hotels?{STAY}")
    assert status == 200
    assert body["type"] == "FeatureCollection"
    ids = [f["id"] for f in body["features"]]
    assert len(ids) == 5 and {"1", "2", "3"} <= set(ids)
    first = body["features"][ids.index("1")]
    assert first["properties"]["name"] == "Clift Hotel"
    assert first["geometry"]["coordinates"] == [-122.4112, 37.7867]
    assert hotel.get(f"/hotels?{STAY}") == (status, body)  # from the caches this time


def test_recommendations_by_distance_rate_and_price(hotel):
    where = "lat=37.7867&lon=-122.4112"
    assert [f["id"] for f in hotel.get(f"/recommendations?require=dis&{where}")[1]["features"]] == ["1"]
    for kind in ("rate", "price"):
        status, body = hotel.get(f"/recommendations?require={kind}&{where}")
        assert status == 200 and body["features"]
    status, body = hotel.get(f"/recommendations?require=stars&{where}")
    assert (status, body["error"]) == (400, "require must be dis, rate or price")


def test_login(hotel):
    assert hotel.get("/user?username=Cornell_7&password=7777777777") == (
        200, {"message": "Login successfully!"})
    for wrong in ("username=Cornell_7&password=1", "username=nobody&password=7777777777"):
        assert hotel.get(f"/user?{wrong}") == (
            200, {"message": "Failed. Please check your username and password. "})


def test_reservation_is_stored(hotel):
    count = "SELECT count(*) FROM reservation WHERE customer_name = 'Ann ''O'"
    status, body = hotel.get(f"/reservation?{STAY}&hotelId=9&customerName=Ann%20%27O&username=Cornell_1"
                             "&password=1111111111&number=2")
    assert (status, body) == (200, {"message": "Reserve successfully!"})
    assert hotel.pg.psql("reservation", count).stdout.strip() == "1"
    status, body = hotel.get(f"/reservation?{STAY}&hotelId=nine&customerName=Ann&username=Cornell_1"
                             "&password=1111111111")
    assert body == {"message": "Failed. Already reserved. "}


def test_bad_input_is_the_callers_fault(hotel):
    status, body = hotel.get("/hotels?inDate=2015-04-31&outDate=2015-05-01&lat=1&lon=1")
    assert status == 400 and "inDate" in body["error"]
    assert hotel.get("/hotels?lat=1")[0] == 400
    assert hotel.get("/nothing")[0] == 404
    assert hotel.get("/hotels?inDate=2015-04-10&outDate=2015-04-12&lat=0&lon=0")[1]["features"] == []


def run_load(hotel, *options):
    p = subprocess.run([APP, "load", "--rate", "60", "--duration", "2s", "--seed", "7", *options],
                       env=hotel.env, capture_output=True, text=True, timeout=30, check=False)
    assert p.returncode == 0, p.stderr
    lines = [json.loads(line) for line in p.stdout.splitlines()]
    return [x for x in lines if "final" in x]


def test_load_reports_each_second_and_in_the_end(hotel):
    reports = run_load(hotel, "--mix", "login=20,reserve=20")
    total = reports[-1]
    assert total["final"] and not any(r["final"] for r in reports[:-1]) and len(reports) >= 2
    assert total["sent"] == total["ok"] > 60 and total["error"] == 0
    assert all(c["ok"] > 0 for c in total["classes"].values())
    again = run_load(hotel, "--mix", "login=20,reserve=20", "--quiet")[-1]
    assert {k: c["sent"] for k, c in again["classes"].items()} == {
        k: c["sent"] for k, c in total["classes"].items()}


def test_a_revoked_grant_fails_with_its_cause_and_heals_by_the_declared_grants(hotel):
    hotel.pg.psql("geo", "REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA public FROM hotel")
    assert hotel.get(f"/hotels?{STAY}")[0] == 500
    assert "permission denied for table geo" in hotel.logs["geo"].read_text()
    report = run_load(hotel)[-1]
    assert report["classes"]["search"]["error"] > 0 and report["classes"]["recommend"]["error"] == 0
    sql = subprocess.run([GENERATE, "--sql", "geo"], check=True, capture_output=True, text=True).stdout
    hotel.pg.psql("geo", sql[sql.index("-- The declared roles"):])
    assert hotel.get(f"/hotels?{STAY}")[0] == 200


def test_a_dead_service_shows_at_its_callers_and_comes_back(hotel, tmp_path):
    hotel.procs["user"].kill()
    hotel.procs["user"].wait()
    assert hotel.get("/user?username=Cornell_7&password=7777777777")[0] == 503
    assert hotel.get(f"/hotels?{STAY}")[0] == 200
    hotel.start("user", tmp_path)
    wait_for(lambda: hotel.get("/user?username=Cornell_7&password=7777777777")[0] == 200, "user")


@pytest.mark.parametrize("text, where, what", [
    ("services:\n  a: {routes: [{grpc: p.S/M, steps: [{cal: b}]}]}\n", "2:38", "a step needs one of"),
    ("services:\n  a:\n    routes:\n      - grpc: p.S/M\n        reply: ${1 + }\n", "5:22", "expected a value"),
    ("services:\n  a: {routs: []}\n", "2:14", "did you mean 'routes'"),
    ("services: [", "", ""),
])
def test_a_bad_spec_names_its_place_and_starts_nothing(tmp_path, text, where, what):
    spec = tmp_path / "bad.yaml"
    spec.write_text(text)
    p = subprocess.run([APP, "--spec", spec, "--service", "a"], capture_output=True, text=True,
                       timeout=10, check=False)
    assert p.returncode == 2 and p.stdout == ""
    assert len(p.stderr.splitlines()) == 1
    assert f"{spec}:{where}" in p.stderr and what in p.stderr

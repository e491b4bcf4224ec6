"""The console as a process on real servers, seen by HTTP, by its events, and by a real browser."""

import contextlib
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

import chromium
from backends import ROOT, Backends, free_port, wait

NS = "hotel-1"


def encode(message, text, file="incidents"):
    """A protobuf message from its text form, by protoc."""
    return subprocess.run(["protoc", "-Iproto", f"--encode=aceso.v1.{message}", f"aceso/v1/{file}.proto"], cwd=ROOT,
                          input=text.encode(), capture_output=True, check=True).stdout


def alert(id, component, state="open", sequence=1, reason="errors rose", t_ns=None):
    t = t_ns or time.time_ns()
    return f'''meta {{ id: "{id}" tenant: "default" }} sequence: {sequence} namespace: "{NS}" state: "{state}"
        series {{ namespace: "{NS}" component: "{component}" metric: "rpc.server.errors.ratio"
                  labels {{ key: "route" value: "/search" }} }}
        rule: "errors" rule_version: 3 rule_text: "rule errors {{ ... }}" severity: "critical" reason: "{reason}"
        values {{ name: "value" value: 0.98 }} started_ns: {t} updated_ns: {t} value: 0.98'''


def incident(id, reason, revision=7):
    t = time.time_ns() - 30 * 10**9
    return f'''meta {{ id: "{id}" tenant: "default" }} namespace: "{NS}" revision: {revision} state: "verifying"
        started_ns: {t} detected_ns: {t + 2 * 10**9} diagnosed_ns: {t + 6 * 10**9}
        alerts {{ {alert("x1", "frontend", reason=reason, t_ns=t)} }}
        diagnosis {{ namespace: "{NS}" first_failure: "mongodb-geo" impact: "geo" impact: "search" impact: "frontend"
            root_causes {{ component: "mongodb-geo" metric: "errors" score: 9.5 confidence: 0.93 kind: "store_auth"
                text: "the store refuses its clients" share: 0.75 share_of: "errors"
                evidence {{ component: "geo" metric: "rpc.client.errors.ratio" before: 0 after: 1 score: 9.5 }} }}
            root_causes {{ component: "profile" score: 6 confidence: 0.06 kind: "errors" share: 0.25 share_of: "errors" }}
            root_causes {{ component: "rate" score: 1 confidence: 0.01 kind: "latency" }}
            path {{ from: "mongodb-geo" to: "geo" topology: "geo calls mongodb-geo: 1,204 spans"
                deviation: "error ratio 0 -> 1" order: "mongodb-geo 12:00:03, geo 12:00:03" }} }}
        actions {{ id: "a1" time_ns: {t + 7 * 10**9} kind: "restore" target: "configmap/restore-geo"
            component: "mongodb-geo" state: "done" reason: "the store refuses its clients, and a restore is declared" }}
        summary: "mongodb-geo refuses geo"'''


class Console:
    def __init__(self, b, *args, **addr):
        flags = [f"--{k.replace('_', '-')}={v}" for k, v in addr.items()]
        self.process, self.at = b.service("console", "--probe=200ms", *flags, *args)
        self.url = f"http://{self.at['http']}"

    def get(self, path, **headers):
        q = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(q, timeout=10) as r:
                return r.status, dict(r.headers), r.read()
        except urllib.error.HTTPError as e:
            return e.code, dict(e.headers), e.read()

    def json(self, path):
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def state(self, name):
        return {s["name"]: s["state"] for s in self.json("/api/services")["services"]}.get(name)

    @contextlib.contextmanager
    def events(self):
        """Yields a function that waits for the next event of a name."""
        host, port = self.at["http"].split(":")
        c = http.client.HTTPConnection(host, int(port), timeout=20)
        c.request("GET", "/api/events")
        r = c.getresponse()
        assert r.status == 200 and r.headers["Content-Type"] == "text/event-stream"

        def following(name, accept=lambda data: True):
            event = None
            for line in iter(r.readline, b""):
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "event":
                    event = value
                elif key == "data" and event == name and accept(json.loads(value)):
                    return json.loads(value)
            raise AssertionError("the stream has ended")

        try:
            yield following
        finally:
            c.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@pytest.fixture(scope="module")
def servers():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as tmp:
        b = Backends(pathlib.Path(tmp))
        try:
            yield b
        finally:
            b.stop()


@pytest.fixture
def console(servers):
    c = Console(servers, responder_addr=f"127.0.0.1:{free_port()}", lab_addr=f"127.0.0.1:{free_port()}")
    yield c
    assert c.stop() == 0


@pytest.fixture(scope="module")
def browser():
    if not chromium.program():
        pytest.skip("no Chromium on this machine")
    b = chromium.Chromium()
    yield b
    b.stop()


def test_alert_becomes_an_incident_on_the_page(servers, browser):
    b = servers
    rca, rca_at = b.service("rca", "--collector-addr=127.0.0.1:1")
    args = (f"--rca-addr={rca_at['grpc']}", "--kubeconfig=/nonexistent", "--settle=300ms", "--retry=200ms")
    responder, at = b.service("responder", *args)
    c = Console(b, responder_addr=at["grpc"], responder_http_addr=at["http"], rca_addr=rca_at["grpc"],
                worker_http_addr=f"127.0.0.1:{free_port()}")
    try:
        for name in ("responder", "rca", "nats", "postgres"):
            wait(f"healthy {name}", lambda: c.state(name) == "healthy")
        wait("worker that is down", lambda: c.state("worker") == "down")
        assert c.state("detector") is None
        browser.complaints.clear()
        browser.open(c.url)
        browser.wait("live", "document.querySelector('#live').dataset.state === 'on'")
        browser.wait("its services", "document.querySelectorAll('.service.healthy').length >= 4")
        with c.events() as following:
            b.publish(f"aceso.alerts.{NS}", encode("Alert", alert("it-1", "frontend", reason="errors 0.98 > 0.05")))
            live = following("incident")
        listed = wait("an incident", lambda: c.json("/api/incidents")["incidents"])
        assert listed[0]["meta"]["id"] == live["meta"]["id"]
        assert listed[0]["alerts"][0]["reason"] == "errors 0.98 > 0.05"
        assert c.json(f"/api/incidents/{live['meta']['id']}")["namespace"] == NS
        assert c.json("/api/incidents?namespace=other")["incidents"] == []
        # Nobody reloaded it: the page has heard of it.
        browser.wait("the reason", "document.querySelector('#detail').innerText.includes('errors 0.98 > 0.05')")
        assert "frontend" in browser.text("#verdict")
        # It is killed: that is shown, and what was known stays.
        responder.kill()
        responder.wait()
        browser.wait("responder down", "document.querySelector('[data-service=responder]').innerText.includes('down')")
        assert c.json("/api/incidents")["unavailable"]["service"] == "responder"
        assert "errors 0.98 > 0.05" in browser.text("#detail")
        responder, at = b.service("responder", f"--listen={at['grpc']}", f"--http-listen={at['http']}", *args)
        browser.wait("responder back", "document.querySelector('[data-service=responder]').innerText.includes('healthy')")
        b.publish(f"aceso.alerts.{NS}", encode("Alert", alert("it-1", "frontend", "closed", 2, "errors 0")))
        browser.wait("resolved", "document.querySelector('#verdict').innerText.includes('No incident is open')", 40)
        # Over, and why it was is still told.
        over = c.json("/api/incidents")["incidents"][0]["alerts"][0]
        assert (over["state"], over["reason"]) == ("closed", "errors 0.98 > 0.05")
        assert browser.complaints == []
    finally:
        browser.open("about:blank")  # else it goes on looking for this console
        for p in (responder, rca):
            p.send_signal(signal.SIGTERM)
        assert c.stop() == 0
        assert (responder.wait(15), rca.wait(15)) == (0, 0)


def test_cause_and_proof_are_shown_and_text_stays_text(servers, console, browser):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    browser.complaints.clear()
    browser.open(console.url)
    browser.wait("live", "document.querySelector('#live').dataset.state === 'on'")
    servers.publish(f"aceso.incidents.{NS}", encode("Incident", incident("inc-9", evil)))
    browser.wait("the incident", "document.querySelector('#detail h2').innerText === 'mongodb-geo refuses geo'")
    shown = browser.text("#detail")
    for text in (evil, "confidence 93 %", "store refuses access", "geo calls mongodb-geo: 1,204 spans", "error ratio 0 -> 1",
                 "restore configmap/restore-geo: done", "mongodb-geo: 75 % of the added errors", "profile: 25 % of the added errors",
                 "rate (1 %)"):
        assert text in shown, text
    assert browser.js("document.querySelectorAll('#detail img, #detail script').length") == 0
    # By the keyboard alone: the skip link comes first, and leads past the rest to the incidents.
    focus = "document.activeElement.innerText"
    browser.key("Tab")
    assert browser.js(focus) == "Skip to the incidents"
    browser.key("Enter")
    browser.key("Tab")
    assert "mongodb-geo" in browser.js(focus)
    browser.key("Enter")
    browser.wait("the link", "location.hash === '#incident/inc-9'")
    assert browser.js("document.querySelector('#incident-list a').getAttribute('aria-current')") == "true"
    for dark in (False, True):
        browser.dark(dark)
        browser.picture(ROOT / f"build/pictures/console-{'dark' if dark else 'light'}.png")
    browser.dark(False)
    assert browser.complaints == []
    browser.open("about:blank")


def test_answers_are_guarded(console):
    status, headers, body = console.get("/")
    assert status == 200 and b"/app.js" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in headers["Content-Security-Policy"]
    assert console.get("/", **{"If-None-Match": headers["ETag"]})[0] == 304
    assert console.get("/", Host="evil.example")[0] == 403
    assert console.get("/", Host=f"localhost:{console.at['http'].split(':')[1]}")[0] == 200
    assert console.get("/../main.c")[0] == 404
    assert console.get("/api/nothing")[0] == 404
    status, _, body = console.get("/api/incidents?limit=0")
    assert status == 400 and "limit" in json.loads(body)["error"]
    assert console.get("/api/series?namespace=a&component=b&metric=c&from=1&to=999999999999999")[0] == 400
    assert console.get("/api/incidents/a%20b")[0] == 400
    q = urllib.request.Request(console.url + "/api/incidents", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(q, timeout=10)
    assert e.value.code == 405
    for path in ("incidents", "alerts", "sessions", "series?namespace=a&component=b&metric=c&from=1&to=2"):
        answer = console.json(f"/api/{path}")
        assert answer["unavailable"]["reason"] and answer[path.split("?")[0]] == []


def test_followers_are_limited(servers):
    c = Console(servers, "--max-watchers=2")
    try:
        with c.events() as one, c.events() as two:
            assert one("services")["total"] == two("services")["total"]
            status, headers, _ = c.get("/api/events")
            assert status == 503 and headers["Retry-After"]
        wait("a free place", lambda: "aceso_console_watchers 0" in c.get("/metrics")[2].decode())
        with c.events() as again:
            again("services")
            servers.publish(f"aceso.incidents.{NS}", b"\xff\xff no incident")
            servers.publish(f"aceso.incidents.{NS}", encode("Incident", incident("inc-10", "after a malformed one")))
            assert again("incident")["meta"]["id"] == "inc-10"
    finally:
        assert c.stop() == 0


def test_a_session_is_followed(servers, console):
    with console.events() as following:
        following("services")
        step = 'sequence: 4 time_ns: 5 phase: "gate" kind: "fault" text: "the fault is in"'
        servers.publish("aceso.lab.sessions.s-1", encode("SessionEvent", step, "lab"))
        got = following("session")
    assert got["id"] == "s-1" and got["event"]["text"] == "the fault is in"


def test_a_page_that_does_not_read_is_hung_up_on(servers, console):
    def metric(name):
        text = console.get("/metrics")[2].decode()
        return next((float(l.split()[1]) for l in text.splitlines() if l.startswith(f"aceso_console_{name} ")), 0.0)

    host, port = console.at["http"].split(":")
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((host, int(port)))
        s.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait("a follower", lambda: metric("watchers") == 1)
        with console.events() as following:  # one that reads is not harmed
            following("services")
            for n in range(200):
                big = encode("Incident", incident(f"big-{n}", "x" * 200_000))
                servers.publish(f"aceso.incidents.{NS}", big)
                assert following("incident")["meta"]["id"] == f"big-{n}"
                if metric("slow_total") == 1:
                    break
            else:
                raise AssertionError("it was never hung up on")
            wait("its place is free", lambda: metric("watchers") == 1)


def test_a_storm_is_cut_and_made_up_for(servers, console):
    with console.events() as following:
        following("services")
        one = encode("Alert", alert("storm", "frontend"))
        for _ in range(300):
            servers.publish(f"aceso.alerts.{NS}", one)
        following("reload")
    counts = dict(l.split() for l in console.get("/metrics")[2].decode().splitlines() if l.startswith("aceso_console_"))
    assert float(counts["aceso_console_events_total"]) + float(counts["aceso_console_dropped_total"]) >= 300
    assert float(counts["aceso_console_dropped_total"]) > 0

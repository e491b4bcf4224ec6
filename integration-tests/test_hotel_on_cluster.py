"""The hotel reservation application in the embedded cluster, under load: healthy, broken in the ways
of the lab's problems, repaired by kubectl, and through the death of the cluster's process."""

import json
import pathlib
import re
import subprocess
import threading
import time

import pytest

from cluster_kit import Cluster, eventually, marked
from otlp_sink import Sink

ROOT = pathlib.Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "services/app/manifests/hotel.yaml"
PROBLEMS = ROOT / "services/lab/problems"
SERVICES = ("frontend", "search", "geo", "rate", "profile", "recommendation", "user", "reservation")
PODS = 17

LOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: load, namespace: hotel-load}}
spec:
  selector: {{matchLabels: {{app: load}}}}
  template:
    metadata: {{labels: {{app: load}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: load
        image: aceso/app:latest
        args: [load, --target, "http://{target}", --seed, "7", --mix, "login=6,reserve=4"]
        env:
        - {{name: ACESO_APP_SPEC_NAME, value: hotel}}
        - {{name: ACESO_APP_NAMESPACE, value: hotel-load}}
        - {{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "{otlp}"}}
"""


class Load:
    """The load's reports, one a second, as `kubectl logs -f` brings them."""

    def __init__(self, cluster, target, otlp):
        self.cluster = cluster
        self.reports, self.news = [], threading.Condition()
        cluster.kubectl("create", "namespace", "hotel-load")
        cluster.kubectl("apply", "-f", "-", text=LOAD.format(target=target, otlp=otlp))
        cluster.kubectl("rollout", "status", "deploy/load", "-n", "hotel-load", "--timeout=20s")
        self.follow()

    def follow(self):
        self.logs = self.cluster.popen("logs", "-f", "deploy/load", "-n", "hotel-load", "--tail=1")
        threading.Thread(target=self._read, args=(self.logs,), daemon=True).start()

    def _read(self, logs):
        for line in logs.stdout:
            if not line.startswith('{"t":'):
                continue
            with self.news:
                self.reports.append(json.loads(line))
                self.news.notify_all()

    def stream(self, deadline_s):
        """Reports of whole seconds from now on: {class or 'all': {sent, ok, error, late, p90_ms}}."""
        end = time.monotonic() + deadline_s
        with self.news:
            i = len(self.reports) + 1  # the one under way began before the question
        seen = None
        while True:
            with self.news:
                if not self.news.wait_for(lambda: len(self.reports) > i, end - time.monotonic()):
                    raise AssertionError(f"not within {deadline_s} s; last seen: {seen}")
                seen = {"all": self.reports[i], **self.reports[i]["classes"]}
            yield seen
            i += 1

    def sum(self, seconds):
        total = {}
        for _, seen in zip(range(seconds), self.stream(seconds + 10)):
            for name, c in seen.items():
                t = total.setdefault(name, {"sent": 0, "ok": 0, "error": 0, "late": 0, "p90_ms": 0})
                for key in ("sent", "ok", "error", "late"):
                    t[key] += c[key]
                t["p90_ms"] = max(t["p90_ms"], c.get("p90_ms", 0))
        return total

    def until(self, true_of):
        """The first second of which it is true."""
        return next(seen for seen in self.stream(20) if true_of(seen))

    def healthy(self):
        """Two seconds in a row without an error, and with hardly a late answer (the machine may have
        others to serve)."""
        good = 0
        for seen in self.stream(25):
            good = good + 1 if seen["all"]["error"] == 0 and seen["all"]["late"] <= 2 else 0
            if good == 2:
                return


class Hotel:
    def __init__(self, state):
        self.sink = Sink()
        self.cluster = Cluster(state, "--collector-addr", self.sink.address)
        k = self.cluster.kubectl
        k("create", "namespace", "hotel")
        text = MANIFEST.read_text().replace("${OTLP_ENDPOINT}", self.sink.address)
        began = time.monotonic()
        k("apply", "-n", "hotel", "-f", "-", text=text.replace("${CONTROLLER_ADDR}", ""))
        k("wait", "-n", "hotel", "--for=condition=Available", "deploy", "--all", "--timeout=60s")
        self.setup_s = time.monotonic() - began
        ip, port = self.cluster.address("frontend", "hotel")
        self.load = Load(self.cluster, f"{ip}:{port}", self.sink.address)

    def k(self, *args, **more):
        return self.cluster.kubectl("-n", "hotel", *args, **more)

    def rolled_out(self, *names):
        for name in names:
            self.k("rollout", "status", f"deploy/{name}", "--timeout=30s")

    def chaos(self, kind, component, spec):
        self.cluster.chaos(kind, {**spec, "selector": {"namespaces": ["hotel"],
                                                       "labelSelectors": {"app": component}}})

    def sql(self, store, statement):
        """As the store's administrator, on the pod's own address."""
        ip = self.cluster.pod(store, "hotel")["status"]["podIP"]
        password = self.cluster.secret("hotel-db", "admin-password", "hotel")
        subprocess.run(["psql", "-qX", "-h", ip, "-U", "admin", "-d", store.removeprefix("mongodb-"),
                        "-v", "ON_ERROR_STOP=1", "-c", statement], check=True, capture_output=True,
                       env={"PATH": "/usr/bin:/bin", "PGPASSWORD": password})

    def stop(self):
        if self.cluster.process.poll() is None:
            self.cluster.stop()
        self.load.logs.wait(10)
        self.sink.stop()


@pytest.fixture(scope="module")
def hotel(tmp_path_factory):
    state = tmp_path_factory.mktemp("hotel")
    state.chmod(0o755)
    h = Hotel(state / "state")
    yield h
    h.stop()
    eventually(lambda: not marked(h.cluster.state), 5)


def failing(name, share=1.0):
    """At least so much of the class's answers in a second are errors."""
    return lambda seen: seen[name]["sent"] > 0 and seen[name]["error"] >= share * seen[name]["sent"]


def test_it_is_ready_soon_and_serves_its_users(hotel):
    print(f"set up in {hotel.setup_s:.1f} s")  # 4 to 5 s on two idle cores
    seen = hotel.load.sum(3)
    assert seen["all"]["error"] == 0 and seen["all"]["late"] <= 2, seen
    assert 150 < seen["all"]["sent"] < 340  # 80 a second, Poisson
    for name in ("search", "recommend", "login", "reserve"):
        assert seen[name]["ok"] > 0, seen
    assert seen["search"]["p90_ms"] < 250


def test_telemetry_of_application_and_cluster_arrives(hotel):
    sink = hotel.sink
    for s in SERVICES:
        eventually(lambda s=s: sink.last("process.uptime", s))
        eventually(lambda s=s: sink.last("k8s.pod.ready", s) == 1)
    eventually(lambda: sink.last("rpc.server.duration.p90", "search", route="search.Search/Nearby"))
    eventually(lambda: (sink.last("rpc.client.requests", "geo", peer="mongodb-geo") or 0) > 0)
    eventually(lambda: (sink.last("load.requests", "load", **{"class": "search"}) or 0) > 0)
    eventually(lambda: sink.last("k8s.container.restarts", "mongodb-geo") == 0)
    eventually(lambda: (sink.last("container.memory.working_set", "mongodb-geo") or 0) > 1e6)
    pod = hotel.cluster.pod("geo", "hotel")["metadata"]["name"]
    with sink.lock:
        newest = [p for p in sink.points if p["resource"]["service.name"] == "geo"][-50:]
    assert {p["resource"]["k8s.namespace.name"] for p in newest} == {"hotel"}
    assert {p["resource"]["k8s.pod.name"] for p in newest} == {pod}

    def whole_trace():
        """A search through frontend, search and geo, each span a child of its caller's."""
        with sink.lock:
            spans = {s["id"]: s for s in sink.spans}
        for s in spans.values():
            path = []
            while s is not None:
                path.append(s["resource"]["service.name"])
                s = spans.get(s["parent"])
            if list(dict.fromkeys(path)) == ["geo", "search", "frontend"]:
                return True
        return False

    eventually(whole_trace)


def test_pod_failure_stops_logins_until_it_is_reverted_or_the_pod_replaced(hotel):
    """The lab's pod_kill_hotel_res."""
    uid = hotel.cluster.pod("user", "hotel")["metadata"]["uid"]
    hotel.chaos("PodChaos", "user", {"action": "pod-failure"})
    seen = hotel.load.until(failing("login"))
    assert seen["search"]["error"] == 0
    eventually(lambda: hotel.sink.last("k8s.pod.ready", "user") == 0)
    hotel.cluster.heal("podchaos")
    hotel.load.healthy()
    assert hotel.cluster.pod("user", "hotel")["metadata"]["uid"] == uid

    hotel.chaos("PodChaos", "user", {"action": "pod-failure"})
    hotel.load.until(failing("login"))
    hotel.k("delete", "pod", "-l", "app=user")
    hotel.rolled_out("user")
    hotel.load.healthy()  # though the chaos object is there still
    hotel.cluster.heal("podchaos")


def test_pod_kill_heals_by_itself(hotel):
    """What Chaos Mesh's pod-kill does to a deployment: too short to be a problem for the lab."""
    uid = hotel.cluster.pod("user", "hotel")["metadata"]["uid"]
    hotel.chaos("PodChaos", "user", {"action": "pod-kill"})
    hotel.cluster.ready_pod("user", "hotel", other_than=uid)
    hotel.load.healthy()
    hotel.cluster.heal("podchaos")


def test_network_delay_times_logins_out_until_reverted_or_the_pod_replaced(hotel):
    """The lab's network_delay_hotel_res."""
    spec = {"action": "delay", "direction": "to",
            "delay": {"latency": "10s", "jitter": "0ms", "correlation": "0"}}
    hotel.chaos("NetworkChaos", "user", spec)
    seen = hotel.load.until(failing("login"))
    assert seen["login"]["p90_ms"] > 1000 and seen["search"]["error"] == 0
    assert hotel.sink.last("k8s.pod.ready", "user") == 1  # probes do not meet the fault
    hotel.cluster.heal("networkchaos")
    hotel.load.healthy()

    hotel.chaos("NetworkChaos", "user", spec)
    hotel.load.until(failing("login"))
    hotel.k("rollout", "restart", "deploy/user")
    hotel.load.healthy()
    hotel.cluster.heal("networkchaos")


def test_revoked_grants_stop_searches_until_they_are_restored(hotel):
    """The lab's revoke_auth_mongodb-*, with its statements."""
    problem = (PROBLEMS / "revoke_auth_mongodb.yaml").read_text()
    inject, revert = (re.search(rf"{w}: (.*;)", problem).group(1) for w in ("inject", "revert"))
    hotel.sql("mongodb-geo", inject)
    hotel.k("delete", "pod", "-l", "app=geo")
    seen = hotel.load.until(failing("search"))
    assert seen["recommend"]["error"] == 0
    eventually(lambda: any("permission denied for table geo" in x["body"] for x in hotel.sink.logs))
    assert "permission denied for table geo" in hotel.k("logs", "deploy/geo", "--tail=5")
    hotel.sql("mongodb-geo", revert)
    hotel.load.healthy()

    hotel.sql("mongodb-geo", inject)
    hotel.load.until(failing("search"))
    hotel.k("delete", "pod", "-l", "app=geo")  # a restart does not help
    hotel.rolled_out("geo")
    hotel.load.until(failing("search"))
    found = hotel.cluster.get("configmap", "-n", "hotel", "-l", "aceso.dev/restores=mongodb-geo")
    hotel.k("apply", "-f", "-", text=found["items"][0]["data"]["restore.yaml"])
    hotel.k("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/mongodb-geo-restore",
            "--timeout=20s")
    hotel.load.healthy()
    hotel.k("delete", "pod", "mongodb-geo-restore")


def test_scale_and_undo_repair(hotel):
    hotel.k("scale", "deploy/recommendation", "--replicas=0")
    hotel.k("set", "image", "deploy/rate", "rate=registry.invalid/none:1")
    hotel.load.until(failing("recommend"))
    hotel.load.until(failing("search", 0.25))  # a search far from all hotels asks for no rates
    hotel.k("scale", "deploy/recommendation", "--replicas=1")
    hotel.k("rollout", "undo", "deploy/rate")
    hotel.rolled_out("recommendation", "rate")
    hotel.load.healthy()


def test_the_application_recovers_from_kill_9_of_the_cluster(hotel):
    def seen():
        pods = hotel.cluster.get("pods", "-n", "hotel")["items"]
        services = hotel.cluster.get("services", "-n", "hotel")["items"]
        return ({(p["metadata"]["uid"], p["status"]["podIP"]) for p in pods},
                {(s["metadata"]["name"], s["spec"]["clusterIP"]) for s in services})

    before = seen()
    hotel.chaos("PodChaos", "user", {"action": "pod-failure"})
    hotel.load.until(failing("login"))
    hotel.cluster.process.kill()
    hotel.cluster.process.wait()
    eventually(lambda: not marked(hotel.cluster.state), 5)
    hotel.cluster.process.stdout.close()
    hotel.load.logs.wait(10)
    hotel.cluster.start()
    hotel.rolled_out(*(s for s in SERVICES if s != "user"))
    hotel.cluster.kubectl("rollout", "status", "deploy/load", "-n", "hotel-load", "--timeout=20s")
    assert seen() == before and len(before[0]) == PODS
    hotel.load.follow()
    hotel.load.until(failing("login"))  # the fault is there again, too
    hotel.cluster.heal("podchaos")
    hotel.load.healthy()


def test_sigterm_leaves_no_process(hotel):
    assert marked(hotel.cluster.state)
    assert hotel.cluster.stop() == 0
    assert not marked(hotel.cluster.state)

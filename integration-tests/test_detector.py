"""aceso-detector on a real PostgreSQL and NATS, with rules from a real trainer: alerts come at once, rules
are exchanged hot, and after kill -9 no window is lost and no alert is raised twice."""

import random
import signal
import time

import pytest

from backends import Nats, backends, wait  # noqa: F401 (a fixture)
from pb import Client, message, unpack

SEED = random.randrange(1 << 30)
S = 1_000_000_000
RULE = """language 1
rule "slow" {
    on "lat*" {component = "svc-*"}
    let m = mean(value, 4)
    when m > 5
    reason "mean {m}"
}
"""


class World:
    def __init__(self, b):
        self.b = b
        self.trainer_process, at = b.service("trainer", "--collector-addr=127.0.0.1:1")
        self.trainer = at["grpc"]
        self.rules = Client(self.trainer)
        self.start()
        self.nats = Nats(b.nats_port)

    def start(self, *args):
        self.process, at = self.b.service("detector", f"--trainer-addr={self.trainer}", "--snapshot=100ms",
                                          "--poll=500ms", *args)
        self.detector = Client(at["grpc"])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def put(self, ns, text=RULE):
        self.rules("Rules/Put", namespace=ns, text=text)
        revision = self.rules("Rules/List").revision
        wait("the rules", lambda: self.status().rules_revision == revision)

    def status(self):
        return self.detector("Detector/Status")

    def send(self, ns, t, values):
        """One batch: a point of each component."""
        batch = message("MetricBatch", namespace=ns)
        for name, v in values.items():
            p = batch.series.add(kind="gauge", unit="s", time_ns=[t * S], value=[v])
            p.key.namespace, p.key.component, p.key.metric = ns, name, "latency"
            p.key.labels.add(key="pod", value=name + "-1")
        self.nats.publish(f"aceso.telemetry.metrics.{ns}", batch.SerializeToString())

    def told(self):
        """Every alert message in the stream, in its order."""
        return [unpack("Alert", data) for subject, data in self.nats.stream("ALERTS")
                if subject.startswith("aceso.alerts.")]

    def caught_up(self, points):
        wait("all points", lambda: self.status().points >= points)


@pytest.fixture
def world(backends):  # noqa: F811
    return World(backends)


def incident(rng, n):
    """Values of three components over n steps: two have incidents, one of them twice, one has none."""
    out = []
    for t in range(n):
        bad_a = 20 <= t < 110 or 150 <= t < 170
        bad_b = 60 <= t < 140
        out.append({"svc-a": 30 if bad_a else rng.random(), "svc-b": 9 + rng.random() if bad_b else 1.0,
                    "svc-c": rng.random(), "other": 99.0})
    return out


def story(alerts, ns):
    """What was said of a namespace, without what names it."""
    return sorted((a.series.component, a.started_ns, a.sequence, a.state, a.updated_ns, a.ended_ns, a.reason,
                   a.value) for a in alerts if a.namespace == ns)


def test_kill_9_loses_no_window_and_raises_no_alert_twice(world):
    print("seed", SEED)
    rng = random.Random(SEED)
    steps = incident(rng, 200)
    world.put("calm")
    world.put("storm")
    for t, values in enumerate(steps):
        world.send("calm", t, values)
    world.caught_up(800)
    kills = sorted(rng.sample(range(1, 199), 12))
    for t, values in enumerate(steps):
        world.send("storm", t, values)
        if t in kills:
            if rng.random() < 0.5:  # with or without the points that lie between snapshot and death
                time.sleep(rng.random() * 0.15)
            world.kill()
            if rng.random() < 0.5:
                world.start()
        elif world.process.poll() is not None and rng.random() < 0.2:
            world.start()
    if world.process.poll() is not None:
        world.start()
    last = world.nats.stream_last("TELEMETRY")
    wait("the end of the stream", lambda: int(world.b.sql("select stream_seq from detector.position")) == last)
    told = world.told()
    calm, storm = story(told, "calm"), story(told, "storm")
    assert len(calm) == 3 * 2 + 3 + 2, calm  # three incidents open and close; two are long: updates
    assert storm == calm
    keys = [(a.meta.id, a.sequence) for a in told]
    assert len(keys) == len(set(keys)), "an alert was told twice"
    for n, ids in (("calm", 3), ("storm", 3)):
        assert len({a.meta.id for a in told if a.namespace == n}) == ids
    listed = world.detector("Detector/ListAlerts", namespace="storm").alerts
    assert len(listed) == 3 and all(a.state == "closed" for a in listed)
    assert [a.started_ns for a in listed] == sorted((a.started_ns for a in listed), reverse=True)
    assert not world.detector("Detector/ListAlerts", open_only=True).alerts


def test_alerts_are_quick_and_rules_change_hot(world):
    world.put("shop")
    follower = Nats(world.b.nats_port)
    follower.subscribe("aceso.alerts.>")
    took = []
    for t in range(40):
        world.send("shop", t, {"svc-a": 1.0 if t < 20 else 50.0})
        if t == 20:
            began = time.monotonic()
            subject, data = follower.next()
            took.append(time.monotonic() - began)
            assert subject == "aceso.alerts.shop"
            opened = unpack("Alert", data)
    print(f"from point to alert: {took[0] * 1000:.1f} ms")
    assert (opened.state, opened.sequence, opened.rule, opened.started_ns) == ("open", 1, "slow", 20 * S)
    assert opened.reason.startswith("mean ") and opened.values[0].name == "m"
    assert [(x.key, x.value) for x in opened.series.labels] == [("pod", "svc-a-1")]
    world.caught_up(40)
    # The same rule with another reason: the alert goes on. Another name: the old alert ends, a new one opens.
    world.put("shop", RULE.replace("mean {m}", "now {m}"))
    assert world.status().alerts_open == 1
    world.put("shop", RULE.replace('"slow"', '"slower"'))
    world.rules("Rules/Delete", namespace="shop", name="slow")
    _, data = follower.next()
    closed = unpack("Alert", data)
    assert (closed.meta.id, closed.state, closed.sequence) == (opened.meta.id, "closed", 2)
    assert closed.reason.startswith("now ")
    world.send("shop", 40, {"svc-a": 50.0})
    _, data = follower.next()
    fresh = unpack("Alert", data)
    # Its mean is not cold: the operator is one that the old rule had too.
    assert (fresh.state, fresh.rule, fresh.started_ns) == ("open", "slower", 40 * S)


def test_bus_and_database_die_and_come_back(world):
    """Alerts are neither lost nor doubled; without PostgreSQL they go out still, and are listed afterwards."""
    b = world.b
    world.put("shop")
    world.kill()
    world.start("--silence=6s")
    bad = {"svc-a": 50.0, "svc-b": 1.0}
    for t in range(10):
        world.send("shop", t, {"svc-a": 1.0, "svc-b": 1.0})
    for t in range(10, 20):
        world.send("shop", t, bad)
    world.caught_up(40)
    assert world.status().alerts_open == 1
    b.kill(b.nats_process)
    time.sleep(7)  # longer than a silence: nobody could speak
    b.start_nats()
    world.nats = Nats(b.nats_port)
    for t in range(20, 60):
        world.send("shop", t, bad)
    world.caught_up(120)
    b.kill(b.pg_process)
    for t in range(60, 75):
        world.send("shop", t, {"svc-a": 1.0, "svc-b": 50.0})
    told = wait("alerts without PostgreSQL", lambda: len(x := world.told()) >= 4 and x)
    assert [(a.series.component, a.state, a.sequence) for a in told if a.series.component == "svc-a"] == [
        ("svc-a", "open", 1), ("svc-a", "update", 2), ("svc-a", "closed", 3)]
    b.start_postgres()
    last = world.nats.stream_last("TELEMETRY")
    wait("the end of the stream", lambda: b.sql("select stream_seq from detector.position") == str(last))
    listed = world.detector("Detector/ListAlerts").alerts
    assert [(a.series.component, a.state) for a in listed] == [("svc-b", "open"), ("svc-a", "closed")]
    assert len(world.told()) == len(told) == 4
    assert "another detector" not in b.log("detector")


def test_points_wait_for_the_first_rules(world):
    """A detector that knows no rules yet takes no point before the trainer has answered."""
    world.put("shop")
    world.kill()
    world.b.sql("update detector.position set rules = '', revision = 0")  # as if it had died before it stored them
    world.trainer_process.send_signal(signal.SIGSTOP)
    try:
        world.start()
        for t in range(20):
            world.send("shop", t, {"svc-a": 1.0 if t < 10 else 50.0})
        last = world.nats.stream_last("TELEMETRY")
        assert last >= 20 and world.status().points == 0
    finally:
        world.trainer_process.send_signal(signal.SIGCONT)
    world.caught_up(20)
    assert world.status().alerts_open == 1
    assert [(a.state, a.started_ns) for a in world.told()] == [("open", 10 * S)]


def test_bad_input_and_lost_peers(world):
    b = world.b
    world.put("shop")
    for subject, data in (("shop", b"\xff\xff no batch"), ("shop", b""), ("bad", message(
            "MetricBatch", namespace="no good").SerializeToString())):
        world.nats.publish(f"aceso.telemetry.metrics.{subject}", data)
    # Late, repeated and mixed-up points; a missing value; a series without a key.
    batch = message("MetricBatch", namespace="shop")
    p = batch.series.add(time_ns=[3 * S, S, 2 * S, 2 * S], value=[1, 1, float("nan"), 7])
    p.key.component, p.key.metric = "svc-a", "latency"
    batch.series.add(time_ns=[S], value=[1])
    batch.series.add(time_ns=[S, 2 * S], value=[1]).key.metric = "latency"
    world.nats.publish("aceso.telemetry.metrics.shop", batch.SerializeToString())
    wait("points", lambda: world.status().points == 3)
    # A second detector on the same database takes over; the first one ends and says why.
    first = world.process
    world.start()
    world.nats.publish("aceso.telemetry.metrics.shop", batch.SerializeToString())
    assert first.wait(20) == 1
    assert "another detector has taken over" in b.log("detector")
    assert world.process.poll() is None
    world.process.send_signal(signal.SIGTERM)
    assert world.process.wait(20) == 0

"""aceso-trainer on a real PostgreSQL and NATS: jobs survive kill -9 and SIGTERM, a request is done once, rules
come with the end of their job. The collector is a stand-in here."""

import signal
import threading
import time

import grpc
import pytest

from backends import Nats, backends, wait  # noqa: F401 (a fixture)
from pb import Client, Server, message, unpack

S = 1_000_000_000


def healthy(ns):
    """Sixty seconds of two services' latency and errors."""
    r = message("QueryMetricsResponse")
    for c in ("front", "back"):
        for metric, unit, value in (("rpc.server.duration.p90", "s", 0.02), ("rpc.server.errors.ratio", "1", 0)):
            p = r.series.add(kind="gauge", unit=unit, time_ns=[t * S for t in range(60)],
                             value=[value * (1 + t % 3 / 10) for t in range(60)])
            p.key.namespace, p.key.component, p.key.metric = ns, c, metric
    return r


class World:
    def __init__(self, b):
        self.b, self.asked, self.gate = b, [], threading.Event()
        self.gate.set()
        self.collector = Server({"Telemetry/QueryMetrics": self.answer})
        self.start()

    def answer(self, request):
        self.asked.append(request)
        self.gate.wait(30)
        ns = request.selector.namespace
        return message("QueryMetricsResponse") if ns == "empty" else healthy(ns)

    def start(self):
        self.process, at = self.b.service("trainer", f"--collector-addr={self.collector.address}")
        self.trainer = Client(at["grpc"])

    def end(self, sig):
        self.process.send_signal(sig)
        return self.process.wait(20)

    def job(self, id):
        return self.trainer("Trainer/GetJob", id=id)

    def over(self, id):
        wait("the end of the job", lambda: self.job(id).state in ("done", "failed"))
        return self.job(id)


@pytest.fixture
def world(backends):  # noqa: F811
    w = World(backends)
    yield w
    w.gate.set()
    w.collector.stop()


def test_a_job_trains_stores_and_tells(world):
    told = Nats(world.b.nats_port)
    told.subscribe("aceso.rules.changed")
    world.trainer("Rules/Put", namespace="shop", text='language 1 rule "mine" { on "x" when value > 1 }')
    told.next()
    before = world.trainer("Rules/List").revision
    job = world.trainer("Trainer/StartJob", namespace="shop", healthy={"from_ns": 0, "to_ns": 60 * S}, replace=True)
    states = [j.state for j in world.trainer("Trainer/WatchJob", id=job.meta.id)]
    assert states[-1] == "done" and set(states) <= {"queued", "running", "done"}
    job = world.job(job.meta.id)
    assert (job.series_total, job.series_done, len(job.rules)) == (4, 4, 4)
    stored = world.trainer("Rules/List", namespace="shop")
    assert {r.name for r in stored.rules} == {*job.rules, "mine"} and stored.revision == before + 1
    assert all(r.job_id == job.meta.id and r.origin == "synth" for r in stored.rules if r.name != "mine")
    change = unpack("RulesChanged", told.next()[1])
    assert (change.namespace, change.revision) == ("shop", stored.revision)
    # The same healthy time again makes the same rules, in place of the old ones.
    again = world.over(world.trainer("Trainer/StartJob", namespace="shop", replace=True).meta.id)
    assert sorted(again.rules) == sorted(job.rules)
    assert {r.text for r in world.trainer("Rules/List", namespace="shop").rules} == {r.text for r in stored.rules}
    assert world.asked[-1].range.to_ns > 1e18  # "now" was written down when the job came


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_survives_its_process(world, sig):
    world.gate.clear()
    job = world.trainer("Trainer/StartJob", namespace="shop", request_id="r-1")
    wait("the question", lambda: world.asked)
    assert world.job(job.meta.id).state == "queued"
    assert world.trainer("Trainer/StartJob", namespace="shop", request_id="r-1").meta.id == job.meta.id
    assert world.end(sig) == (-signal.SIGKILL if sig == signal.SIGKILL else 0)
    assert world.b.sql("select over from trainer.jobs") == "f"
    world.start()
    world.gate.set()
    done = world.over(job.meta.id)
    assert done.state == "done" and len(done.rules) == 4, done
    assert len(world.asked) == 2 and world.asked[0].range == world.asked[1].range
    assert world.trainer("Trainer/StartJob", namespace="shop", request_id="r-1").meta.id == job.meta.id
    assert all(r.version == 1 for r in world.trainer("Rules/List", namespace="shop").rules)
    # What is over stays over, with all it had.
    world.end(sig)
    world.start()
    assert world.job(job.meta.id) == done
    assert [j.meta.id for j in world.trainer("Trainer/ListJobs", namespace="shop").jobs] == [job.meta.id]
    assert len(world.asked) == 2


def test_failures_are_told_and_change_no_rules(world):
    world.trainer("Rules/Put", namespace="empty", text='language 1 rule "old" { on "x" when value > 1 }', origin="synth")
    job = world.over(world.trainer("Trainer/StartJob", namespace="empty", replace=True).meta.id)
    assert job.state == "failed" and "no metrics" in job.error
    assert [r.name for r in world.trainer("Rules/List", namespace="empty").rules] == ["old"]
    for wrong, text in (({"namespace": ""}, "namespace"), ({"namespace": "a", "proposer": "llm"}, "synth"),
                        ({"namespace": "a", "healthy": {"from_ns": 5, "to_ns": 4}}, "before it begins")):
        with pytest.raises(grpc.RpcError) as e:
            world.trainer("Trainer/StartJob", **wrong)
        assert text in e.value.details()
    with pytest.raises(grpc.RpcError) as e:
        world.job("nothing")
    assert e.value.code() == grpc.StatusCode.NOT_FOUND
    world.end(signal.SIGTERM)
    world.start()
    assert world.job(job.meta.id).error == job.error


def test_many_requests_of_one_id_make_one_job(world):
    ids, threads = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: ids.append(
            world.trainer("Trainer/StartJob", namespace="shop", request_id="same").meta.id)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(ids) == 8 and len(set(ids)) == 1
    assert world.over(ids[0]).state == "done"
    assert world.b.sql("select count(*) from trainer.jobs") == "1"


def test_put_refuses_what_is_wrong_or_costs_too_much(world):
    def refused(text, part, **more):
        with pytest.raises(grpc.RpcError) as e:
            world.trainer("Rules/Put", **{"namespace": "shop", "text": text, **more})
        assert part in e.value.details(), e.value.details()

    refused('language 1\nrule "a" { when valu > 1 }', "2:17: the name valu is not known; did you mean value?")
    refused('language 1 rule "a" { when value > 1 } rule "b" { when value > 1 }', "one rule")
    refused('language 1 rule "a" { when value > 1 }', "namespace", namespace="")
    numbers = ", ".join(["1"] * 500)
    refused('language 1 rule "a" {' + "".join(f" let x{i} = ar(value + {i}, [{numbers}])" for i in range(200)) +
            " when " + " + ".join(f"x{i}" for i in range(90)) + " + " +
            " + ".join(f"x{i}" for i in range(90, 180)) + " > 1 }", "steps a point, the limit is 50000")
    refused('language 1 rule "a" { when median(value, 1000000) > 1 }', "bytes of state a series, the limit is")
    refused('language 1 rule "a" { input s = model("resnet") when s > 1 }', 'the rule reads s = model("resnet")')
    refused('language 1 rule "a" { when time_of_day("Mars/Olympus") > 1 }', "there is no time zone Mars/Olympus")
    assert not world.trainer("Rules/List").rules
    # The canonical form is kept, and a new text is a new version.
    one = world.trainer("Rules/Put", namespace="shop", text='language 1 rule "a"{when value>1}')
    assert one.text == 'language 1\n\nrule "a" {\n    on "*"\n    when value > 1\n    severity warning\n}\n'
    assert (one.version, one.origin) == (1, "user")
    two = world.trainer("Rules/Put", namespace="shop", text='language 1 rule "a"{when value>2}')
    assert two.version == 2 and two.state_bytes > 0
    assert world.trainer("Rules/Get", namespace="shop", name="a") == two
    assert world.trainer("Rules/Delete", namespace="shop", name="a").deleted == 1
    with pytest.raises(grpc.RpcError) as e:
        world.trainer("Rules/Get", namespace="shop", name="a")
    assert e.value.code() == grpc.StatusCode.NOT_FOUND

"""aceso demo and aceso lab: one problem healed from start to end on a system of its own, the lab killed in
the middle of it; and wrong usage."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import sys
import threading
import time

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = str(pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")) / "bin/aceso")


# Shorter than people see it: less to learn from, and a shorter proof.
QUICK = dict(os.environ, ACESO_LAB_BASELINE="12s", ACESO_LAB_HOLD="6s")


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


def kill(state, services):
    pids = {s["name"]: s["pid"] for s in last_json(aceso("status", "--state", state, "--json").stdout)["services"]}
    for name in services:
        os.kill(pids[name], signal.SIGKILL)


# Each service is killed once, at a time when it is needed.
@pytest.mark.parametrize("problem,cause,kills", [
    ("pod_kill_hotel_res", "user", {"gathering": ["collector", "lab"], "learning": ["trainer"],
                                    "  alert": ["rca", "responder"]}),
    ("network_delay_hotel_res", "user", {"gathering": ["controller", "worker", "console"], "breaking": ["detector"],
                                         "  alert": ["postgres"]}),
    ("revoke_auth_mongodb", "mongodb-geo", {"gathering": ["cluster"], "breaking": ["nats"]}),
])
def test_a_problem_is_healed_although_services_are_killed(problem, cause, kills):
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as state:
        p = subprocess.Popen([ACESO, "demo", "--problem", problem, "--seed", "7", "--state", state, "--json"],
                             env=QUICK, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(240, p.kill)
        watchdog.start()
        try:
            progress, left = [], dict(kills)
            for line in p.stderr:
                progress.append(line)
                for word in [w for w in left if w in line]:
                    kill(state, left.pop(word))
            out = p.stdout.read()
            assert p.wait(timeout=30) == 0, "".join(progress)
        finally:
            watchdog.cancel()
            p.kill()
            aceso("down", "--state", state)
        score = last_json(out)
        said = (json.dumps(score), "".join(progress))
        assert not left and score["problem"] == problem and score["seed"] == 7
        assert (score["detected"], score["localised"], score["mitigated"], score["void"]) == (True, True, True, False), said
        assert score["root_cause"] == cause and score["evidence"] and score["rule"] and score["reason"], said
        assert score["mitigation"], said
        assert 0 <= score["ttd_s"] <= score["ttl_s"] and score["ttm_s"] < 100, said
        assert 0 < score["setup_s"] < score["total_s"], said
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


@pytest.fixture(scope="session")
def pb(tmp_path_factory):
    """The lab's messages in Python."""
    out = tmp_path_factory.mktemp("pb")
    subprocess.run(["protoc", f"-I{ROOT}/proto", f"--python_out={out}", *map(str, (ROOT / "proto/aceso/v1").glob("*.proto"))],
                   check=True)
    sys.path.insert(0, str(out))
    from aceso.v1 import lab_pb2
    return lab_pb2


class Lab:
    def __init__(self, address, pb):
        self.channel, self.pb = grpc.insecure_channel(address), pb

    def call(self, method, request, reply, stream=False):
        kind = self.channel.unary_stream if stream else self.channel.unary_unary
        return kind(f"/aceso.v1.{method}", request_serializer=type(request).SerializeToString,
                    response_deserializer=reply.FromString)(request, timeout=120)

    def ask(self, session, action, **arguments):
        labels = [{"key": k, "value": v} for k, v in arguments.items()]
        return self.call("AgentCloud/Call", self.pb.AgentCallRequest(session=session, action=action, arguments=labels),
                         self.pb.AgentCallResponse).text

    def submit(self, session, task, answer):
        request = self.pb.SubmitRequest(session=session, task=task, answer_json=answer)
        return self.call("AgentCloud/Submit", request, self.pb.SubmitResponse).status


def test_an_agent_by_grpc_sees_repairs_and_is_scored(pb):
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as state:
        try:
            up = subprocess.run([ACESO, "up", "--state", state, "--json"], env=QUICK, capture_output=True, text=True)
            assert up.returncode == 0, up.stderr
            address = next(s for s in last_json(up.stdout)["services"] if s["name"] == "lab")["address"]
            lab = Lab(address, pb)
            with pytest.raises(grpc.RpcError, match="no problem 'nothing'"):
                lab.call("Lab/StartSession", pb.StartSessionRequest(problem="nothing", agent="none"), pb.Session)
            start = pb.StartSessionRequest(problem="pod_kill_hotel_res-mitigation-1", agent="remote", seed=5,
                                           request_id="it-1")
            session = lab.call("Lab/StartSession", start, pb.Session)
            assert lab.call("Lab/StartSession", start, pb.Session).meta.id == session.meta.id
            agent(lab, pb, session)
            events = list(lab.call("Lab/WatchSession", pb.GetSessionRequest(id=session.meta.id), pb.SessionEvent, True))
            assert [e.sequence for e in events] == list(range(1, len(events) + 1))
            end = lab.call("Lab/GetSession", pb.GetSessionRequest(id=session.meta.id), pb.Session)
            assert (end.phase, end.error, end.void_run) == ("done", "", False), events
            assert (end.scores.detected, end.scores.localised, end.scores.mitigated) == (True, True, True), events
            assert list(end.truth.components) == ["user"] and end.truth.fault == "pod_failure"
        finally:
            aceso("down", "--state", state)
        assert marked(state) == []


def agent(lab, pb, session):
    sid = session.meta.id
    problem = lab.call("AgentCloud/GetProblem", pb.GetProblemRequest(session=sid), pb.AgentProblem)
    assert problem.namespace == session.namespace
    assert "pod_kill" not in problem.description and "user" not in problem.description
    for e in lab.call("Lab/WatchSession", pb.GetSessionRequest(id=sid), pb.SessionEvent, True):
        if e.kind == "phase" and e.text == "baseline":
            with pytest.raises(grpc.RpcError, match="has not begun"):
                lab.submit(sid, "detection", '"yes"')
        if e.kind == "gate" or (e.kind == "phase" and e.phase in ("done", "failed")):
            break
    assert e.kind == "gate", e
    before = lab.call("Lab/GetSession", pb.GetSessionRequest(id=sid), pb.Session)
    assert not before.truth.components and not before.scores.detected
    for command in ("kubectl get podchaos -n aceso-chaos", "kubectl get pods -A", "cat /etc/passwd"):
        with pytest.raises(grpc.RpcError) as e:
            lab.ask(sid, "exec_shell", command=command)
        assert e.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "No resources found" in lab.ask(sid, "exec_shell", command="kubectl get podchaos")
    pods = lab.ask(sid, "exec_shell", command="kubectl get pods -l app=user -o name").split()
    assert len(pods) == 1 and pods[0].startswith("pod/user-"), pods
    assert "rpc.client.errors.ratio" in lab.ask(sid, "get_metrics", service="frontend", minutes="1")
    assert "user" in lab.ask(sid, "get_logs", service="frontend")
    assert "frontend" in lab.ask(sid, "get_traces", service="frontend")
    assert lab.submit(sid, "detection", '"yes"') == "taken"
    assert lab.submit(sid, "localization", '["user"]') == "taken"
    assert "deleted" in lab.ask(sid, "exec_shell", command=f"kubectl delete {pods[0]} --wait=false")
    deadline = time.monotonic() + 30
    while "1/1" not in lab.ask(sid, "exec_shell", command="kubectl get pods -l app=user"):
        assert time.monotonic() < deadline
    assert lab.submit(sid, "mitigation", "") == "taken"


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

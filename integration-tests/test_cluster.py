"""The embedded cluster: an unmodified kubectl against real pods."""

import hashlib
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import termios
import time

import pytest

from cluster_kit import BINARY, BUILD, Cluster, eventually, marked


@pytest.fixture
def make_cluster(tmp_path):
    made = []

    def make(name="state"):
        c = Cluster(tmp_path / name)
        made.append(c)
        return c

    tmp_path.chmod(0o755)
    yield make
    for c in made:
        if c.process.poll() is None:
            c.stop()
        eventually(lambda c=c: not marked(c.state), 5)


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


def test_kubectl_does_what_people_do(cluster):
    k = cluster.kubectl
    cluster.web()
    assert cluster.fetch()[0] == "hello\n"
    assert "web" in k("get", "all", "-n", "shop", "-o", "wide")
    assert "NewReplicaSetAvailable" in k("describe", "deploy/web", "-n", "shop")
    assert "Started container web" in k("describe", "pods", "-n", "shop")
    assert "GET /" in k("logs", "deploy/web", "-n", "shop", "--tail=5")
    k("scale", "deploy/web", "-n", "shop", "--replicas=3")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")
    assert len(cluster.get("endpoints", "web", "-n", "shop")["subsets"][0]["addresses"]) == 3
    k("scale", "deploy/web", "-n", "shop", "--replicas=1")
    k("set", "env", "deploy/web", "-n", "shop", "COLOUR=blue")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")
    k("rollout", "restart", "deploy/web", "-n", "shop")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")
    k("label", "deploy/web", "-n", "shop", "tier=front")
    k("wait", "--for=condition=Available", "deploy/web", "-n", "shop", "--timeout=20s")
    k("delete", "namespace", "shop", "--timeout=30s")
    assert cluster.get("pods", "-A")["items"] == []


def test_logs_and_watches_follow(cluster):
    cluster.web()
    logs = cluster.popen("logs", "-f", "deploy/web", "-n", "shop")
    assert "Serving HTTP" in logs.stdout.readline()
    cluster.fetch()
    assert any("GET /" in line for line in iter(logs.stdout.readline, ""))
    pods = cluster.popen("get", "pods", "-n", "shop", "-w", "--no-headers", "-o", "name")
    first = pods.stdout.readline().strip()
    assert first.startswith("pod/web-")
    cluster.kubectl("delete", "-n", "shop", first)
    replaced = eventually(lambda: next((x for x in iter(pods.stdout.readline, "")
                                        if x.strip() != first), None))
    assert replaced.startswith("pod/web-")
    assert logs.wait(10) == 0  # the pod is gone
    pods.kill()
    pods.wait()
    for p in (logs, pods):
        p.stdout.close()


def test_rollouts_are_told_restarted_and_undone(cluster):
    k = cluster.kubectl
    cluster.web()
    k("set", "image", "deploy/web", "-n", "shop", "web=python:3.11")
    assert "successfully rolled out" in k("rollout", "status", "deploy/web", "-n", "shop",
                                          "--timeout=30s")
    assert cluster.pod()["spec"]["containers"][0]["image"] == "python:3.11"
    history = k("rollout", "history", "deploy/web", "-n", "shop").splitlines()
    assert [line.split()[0] for line in history[2:4]] == ["1", "2"]
    old = cluster.pod()["metadata"]["uid"]
    k("rollout", "restart", "deploy/web", "-n", "shop")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")
    assert cluster.pod()["metadata"]["uid"] != old
    k("rollout", "undo", "deploy/web", "-n", "shop", "--to-revision=1")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")
    assert cluster.pod()["spec"]["containers"][0]["image"] == "python:3"
    r = k("wait", "--for=delete", f"pod/{cluster.pod()['metadata']['name']}", "-n", "shop",
          "--timeout=300ms", check=False)
    assert r.returncode != 0 and "timed out" in r.stderr
    for what in ("nodes", "svc/web -n shop", "ns/shop", "configmap/cfg -n shop", "rs -n shop",
                 "endpoints/web -n shop"):
        assert "Name:" in k("describe", *what.split())


def test_top_shows_what_pods_use(cluster):
    cluster.kubectl("apply", "-f", "-", text="""
apiVersion: v1
kind: Pod
metadata: {name: busy, namespace: default, labels: {app: busy}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sh, -c, "while :; do :; done"]}]
""")

    def millicores():
        r = cluster.kubectl("top", "pods", "-l", "app=busy", "--no-headers", check=False)
        return int(r.stdout.split()[1].removesuffix("m")) if r.returncode == 0 else 0

    eventually(lambda: millicores() > 20)  # of 1,000, on a machine that has others to serve
    assert "busy   c " in cluster.kubectl("top", "pods", "--containers", "--no-headers")
    node = cluster.kubectl("top", "nodes", "--no-headers").split()
    assert node[0] == "aceso-node" and node[4].endswith("%")
    r = cluster.kubectl("top", "pod", "none", check=False)
    assert r.returncode != 0 and "not found" in r.stderr


BOX = """
apiVersion: v1
kind: Pod
metadata: {name: box, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"], env: [{name: HUE, value: blue}]}]
"""


@pytest.fixture
def box(cluster):
    """A pod to execute in, for a kubectl that speaks WebSocket."""
    version = json.loads(cluster.kubectl("version", "--client", "-o", "json"))["clientVersion"]
    if int(re.match(r"\d+", version["minor"])[0]) < 31:
        pytest.skip(f"kubectl {version['gitVersion']} speaks SPDY alone")
    cluster.kubectl("apply", "-f", "-", text=BOX)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=20s")
    return lambda *a, **more: cluster.kubectl("exec", *a, check=False, **more)


def test_exec_brings_both_outputs_and_the_exit_code(box):
    r = box("box", "--", "sh", "-c", "echo $HUE; echo bad >&2; exit 3")
    assert (r.returncode, r.stdout) == (3, "blue\n")
    assert r.stderr.splitlines() == ["bad", "command terminated with exit code 3"]
    r = box("box", "-c", "c", "--", "true")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    r = box("box", "--", "sh", "-c", "kill -9 $$")
    assert r.returncode == 137
    r = box("box", "--", "no-such-program")
    assert r.returncode != 0 and "executable file not found" in r.stderr
    r = box("none", "--", "true")
    assert r.returncode != 0 and 'pods "none" not found' in r.stderr


def test_exec_takes_stdin_and_waits_for_slow_sides(box):
    r = box("-i", "box", "--", "cat", text="to and fro\n")
    assert (r.returncode, r.stdout) == (0, "to and fro\n")
    big = "0123456789abcdef" * (1 << 20)  # more than all queues on the way
    r = box("-i", "box", "--", "sh", "-c", "sleep 0.5; sha256sum", text=big)
    assert r.stdout.split()[0] == hashlib.sha256(big.encode()).hexdigest()
    r = box("box", "--", "head", "-c", "16000000", "/dev/zero")
    assert len(r.stdout) == 16000000


def test_execs_at_once_lose_no_output(box, cluster):
    """An answer that came before kubectl had set up its streams was discarded by it."""
    runs = [cluster.popen("exec", "box", "--", "echo", str(i)) for i in range(16)]
    assert [r.stdout.read() for r in runs] == [f"{i}\n" for i in range(16)]
    assert [r.wait(10) for r in runs] == [0] * 16
    for r in runs:
        r.stdout.close()


def test_exec_with_a_terminal(box, cluster):
    own, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 99))
    p = subprocess.Popen(["kubectl", "exec", "-it", "box", "--", "sh"], stdin=theirs, stdout=theirs,
                         stderr=theirs, env=cluster.env(), start_new_session=True)
    os.close(theirs)
    os.write(own, b"stty size; exit 4\n")
    shown = b""
    while p.poll() is None or select.select([own], [], [], 0)[0]:
        try:
            shown += os.read(own, 4096)
        except OSError:
            break
    os.close(own)
    assert p.wait(10) == 4 and b"33 99" in shown, shown


def test_exec_ends_with_its_client_and_with_the_cluster(box, cluster):
    def sleepers():
        return [p for p in marked(cluster.state)
                if pathlib.Path(f"/proc/{p}/cmdline").read_bytes() == b"sleep\x00777\x00"]

    p = cluster.popen("exec", "box", "--", "sleep", "777")
    eventually(sleepers)
    p.kill()
    p.wait()
    p.stdout.close()
    eventually(lambda: not sleepers())
    p = cluster.popen("exec", "box", "--", "sleep", "777")
    eventually(sleepers)
    assert cluster.stop() == 0
    assert p.wait(10) != 0 and not sleepers()
    p.stdout.close()


def test_three_kinds_of_patch(cluster):
    k = cluster.kubectl
    cluster.web()
    k("patch", "deploy/web", "-n", "shop", "--type=json", "-p",
      '[{"op":"replace","path":"/spec/replicas","value":2}]')
    k("patch", "deploy/web", "-n", "shop", "--type=merge", "-p",
      '{"metadata":{"annotations":{"a":"b"}}}')
    k("patch", "deploy/web", "-n", "shop", "-p",
      '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"X","value":"1"}]}]}}}}')
    d = cluster.get("deploy/web", "-n", "shop")
    assert d["spec"]["replicas"] == 2 and d["metadata"]["annotations"]["a"] == "b"
    env = d["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [e["name"] for e in env] == ["POD_IP", "X"]


def test_a_bad_image_waits_and_undo_brings_the_old_one_back(cluster):
    k = cluster.kubectl
    cluster.web()
    k("set", "image", "deploy/web", "-n", "shop", "web=registry.invalid/none:1")
    eventually(lambda: "ImagePullBackOff" in k("get", "pods", "-n", "shop"))
    assert cluster.fetch()[0] == "hello\n"  # the old pod serves on
    assert "Failed to pull image" in k("get", "events", "-n", "shop")
    k("rollout", "undo", "deploy/web", "-n", "shop")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")
    assert cluster.pod()["spec"]["containers"][0]["image"] == "python:3"


def test_a_missing_secret_is_said_and_healed(cluster):
    k = cluster.kubectl
    cluster.web()
    k("set", "env", "deploy/web", "-n", "shop", "--from=secret/absent", check=False)
    k("patch", "deploy/web", "-n", "shop", "-p", json.dumps({"spec": {"template": {"spec": {
        "containers": [{"name": "web", "env": [{"name": "P", "valueFrom": {
            "secretKeyRef": {"name": "absent", "key": "p"}}}]}]}}}}))
    eventually(lambda: "CreateContainerConfigError" in k("get", "pods", "-n", "shop"))
    assert 'secret "absent" not found' in k("get", "events", "-n", "shop")
    k("apply", "-f", "-", text="""
apiVersion: v1
kind: Secret
metadata: {name: absent, namespace: shop}
stringData: {p: x}
""")
    k("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")


def test_crashing_pods_back_off_and_their_last_words_are_kept(cluster):
    cluster.kubectl("apply", "-f", "-", text="""
apiVersion: v1
kind: Pod
metadata: {name: crash, namespace: default}
spec:
  containers:
  - {name: c, image: busybox, command: [sh, -c, "echo last words; exit 3"]}
""")
    eventually(lambda: "CrashLoopBackOff" in cluster.kubectl("get", "pods"))
    status = cluster.get("pod", "crash")["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert "last words" in cluster.kubectl("logs", "crash", "--previous")


def test_jobs_and_bare_pods_end(cluster):
    cluster.kubectl("apply", "-f", "-", text="""
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: default}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: [sh, -c, "exit 0"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  restartPolicy: Never
  containers: [{name: c, image: busybox, command: [sh, -c, "exit 1"]}]
""")
    cluster.kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=20s")
    eventually(lambda: cluster.get("pod", "bad")["status"]["phase"] == "Failed")


def test_delay_is_felt_and_goes(cluster):
    cluster.web()
    assert cluster.fetch()[1] < 0.2
    cluster.chaos("NetworkChaos", {"action": "delay", "delay": {"latency": "200ms", "jitter": "0ms"}})
    eventually(lambda: cluster.fetch()[1] >= 0.4)  # handshake and answer
    assert cluster.fetch()[1] < 1
    cluster.heal("networkchaos")
    eventually(lambda: cluster.fetch()[1] < 0.2)
    assert cluster.kubectl("get", "networkchaos", "-A", check=False).returncode == 0


def test_a_partition_cuts_a_connection_that_is_open(cluster):
    cluster.web()
    s = socket.create_connection(cluster.address())
    s.settimeout(10)
    ask = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
    cluster.chaos("NetworkChaos", {"action": "partition", "direction": "both"})
    s.sendall(ask)
    s.settimeout(0.7)
    with pytest.raises(TimeoutError):
        s.recv(100)
    cluster.heal("networkchaos")
    s.settimeout(10)
    assert s.recv(100).startswith(b"HTTP/1.0 200")
    s.close()


def test_a_fault_knows_the_client_pod(cluster):
    """A delay from one client pod to web does not touch other clients."""
    cluster.web()
    ip, port = cluster.address()
    ask = (f"import time,urllib.request as u\nwhile 1:\n b=time.time()\n"
           f" u.urlopen('http://{ip}:{port}/').read()\n"
           " print('took %.3f' % (time.time()-b), flush=True)\n time.sleep(.05)\n")
    for name in ("slow", "quick"):
        cluster.kubectl("apply", "-f", "-", text=json.dumps({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                {"name": "c", "image": "python:3", "command": ["python3", "-c", ask]}]}}))
    cluster.chaos("NetworkChaos", {
        "action": "delay", "delay": {"latency": "200ms"},
        "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "slow"}},
        "target": {"mode": "all", "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "web"}}}})

    def last(name):
        lines = cluster.kubectl("logs", name, "-n", "shop", "--tail=1").split()
        return float(lines[1]) if len(lines) == 2 else -1

    eventually(lambda: last("slow") >= 0.2)
    assert 0 <= last("quick") < 0.15
    cluster.heal("networkchaos")
    eventually(lambda: 0 <= last("slow") < 0.15)


def test_pod_kill_replaces_the_pod(cluster):
    cluster.web()
    old = cluster.pod()["metadata"]["uid"]
    cluster.chaos("PodChaos", {"action": "pod-kill", "mode": "one"})
    cluster.ready_pod(other_than=old)
    chaos = cluster.get("podchaos", "fault", "-n", "aceso-chaos")
    assert chaos["status"]["experiment"]["containerRecords"][0]["phase"] == "Injected"
    cluster.heal("podchaos")


def test_pod_failure_lasts_through_restarts_but_not_replacement(cluster):
    cluster.web()
    old = cluster.pod()["metadata"]["uid"]
    cluster.chaos("PodChaos", {"action": "pod-failure"})
    failed = lambda: not cluster.pod()["status"]["containerStatuses"][0]["ready"]
    eventually(failed)
    assert cluster.get("endpoints", "web", "-n", "shop")["subsets"][0].get("addresses") is None
    with pytest.raises(OSError):
        cluster.fetch(timeout=2)  # no endpoint: refused
    pid = int(cluster.pod()["status"]["containerStatuses"][0]["containerID"].split("//")[1])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: cluster.pod()["status"]["containerStatuses"][0]["containerID"] != f"process://{pid}")
    assert failed()
    cluster.kubectl("delete", "pod", "-n", "shop", cluster.pod()["metadata"]["name"])
    cluster.ready_pod(other_than=old)
    assert cluster.fetch()[0] == "hello\n"
    cluster.heal("podchaos")


def test_recovering_a_pod_failure_brings_the_same_pod_back(cluster):
    cluster.web()
    uid = cluster.pod()["metadata"]["uid"]
    cluster.chaos("PodChaos", {"action": "pod-failure"})
    eventually(lambda: not cluster.pod()["status"]["containerStatuses"][0]["ready"])
    cluster.heal("podchaos")
    assert cluster.ready_pod()["metadata"]["uid"] == uid


def test_kill_9_of_the_cluster_leaves_nothing_and_the_next_takes_over(cluster):
    cluster.web()
    uid, server = cluster.pod()["metadata"]["uid"], cluster.ready["server"]
    cluster.process.kill()
    cluster.process.wait()
    eventually(lambda: not marked(cluster.state), 5)
    cluster.process.stdout.close()
    cluster.start()
    assert cluster.ready["server"] == server
    pod = cluster.ready_pod()
    assert pod["metadata"]["uid"] == uid
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    eventually(lambda: cluster.fetch()[0] == "hello\n")


def test_two_states_do_not_meet(make_cluster):
    a, b = make_cluster("a"), make_cluster("b")
    a.web()
    b.web()
    assert a.address()[0].split(".")[1] != b.address()[0].split(".")[1]
    assert a.stop() == 0
    assert b.fetch()[0] == "hello\n"


def test_ctrl_c_leaves_no_process(make_cluster):
    c = make_cluster()
    c.web()
    pids = marked(c.state)
    assert pids
    assert c.stop(signal.SIGINT) == 0
    eventually(lambda: not marked(c.state), 5)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_while_pods_start_leaves_no_process(make_cluster, sig):
    """At a random moment of PostgreSQL's setup, which is a tree of short processes."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    c = make_cluster()
    c.kubectl("apply", "-f", "-", text=POSTGRES)
    time.sleep(random.Random(seed).uniform(0, 1.5))  # the moment is what is tested
    assert c.stop(sig) == (0 if sig != signal.SIGKILL else -signal.SIGKILL)

    def left():
        """By the mark, or by the directory: PostgreSQL writes over its environment."""
        return marked(c.state) + [p for p in pathlib.Path("/proc").glob("[0-9]*")
                                  if p.name != str(os.getpid()) and works_in(p, c.state)]

    eventually(lambda: not left(), 5)


def works_in(process, state):
    try:
        return os.readlink(process / "cwd").startswith(str(state)) or \
            str(state).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_the_same_state_twice_is_refused(cluster):
    r = subprocess.run([BINARY, "--state-dir", cluster.state], capture_output=True, text=True, timeout=20)
    assert r.returncode == 1 and "in use" in r.stderr


def test_an_account_sees_its_namespace_only(cluster):
    cluster.web()
    body = json.dumps({"spec": {"expirationSeconds": 600}})
    raw = cluster.kubectl("create", "--raw", "/api/v1/namespaces/shop/serviceaccounts/default/token",
                          "-f", "-", text=body)
    token = json.loads(raw)["status"]["token"]
    kubeconfig = pathlib.Path(cluster.ready["kubeconfig"]).read_text()
    own = cluster.state / "agent.kubeconfig"
    own.write_text("\n".join(f"    token: {token}" if l.strip().startswith("token:") else l
                             for l in kubeconfig.splitlines()))
    see = lambda *a: cluster.kubectl("--kubeconfig", str(own), *a, check=False)
    assert see("get", "pods", "-n", "shop").returncode == 0
    for other in (["get", "pods", "-A"], ["get", "secrets", "-n", "kube-system"],
                  ["get", "podchaos", "-n", "shop"]):
        r = see(*other)
        assert r.returncode != 0 and "Forbidden" in r.stderr


POSTGRES = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: default}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 3
      containers:
      - name: pg
        image: postgres:15
        env: [{name: POSTGRES_PASSWORD, value: pw}, {name: POSTGRES_DB, value: geo}]
        readinessProbe: {tcpSocket: {port: 5432}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {selector: {app: db}, ports: [{port: 5432}]}
"""


def test_postgres_is_ready_soon_and_keeps_its_volume_over_a_restart(cluster):
    began = time.monotonic()
    cluster.kubectl("apply", "-f", "-", text=POSTGRES)
    cluster.kubectl("rollout", "status", "deploy/db", "--timeout=30s")
    print(f"ready after {time.monotonic() - began:.1f} s")
    ip, port = cluster.address("db", "default")

    def sql(q):
        r = subprocess.run(["psql", "-h", ip, "-p", str(port), "-U", "postgres", "-d", "geo", "-Atc", q],
                           env=dict(os.environ, PGPASSWORD="pw"), capture_output=True, text=True)
        return r.stdout.strip() if r.returncode == 0 else None

    assert sql("create table t as select 7 as a") is not None
    pod = cluster.pod("db", "default")
    pid = int(pod["status"]["containerStatuses"][0]["containerID"].split("//")[1])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: sql("select a from t") == "7")


@pytest.mark.skipif(os.geteuid() != 0, reason="others' processes are root's alone")
def test_nothing_stays_outside_of_the_state_directory(make_cluster, tmp_path):
    """Where other users cannot pass, pods' files live in /var/tmp, but only while they run."""
    tmp_path.chmod(0o700)
    c = make_cluster("a")

    def elsewhere():
        return [d for d in pathlib.Path("/var/tmp").glob("aceso-cluster-*")
                if os.path.realpath(d / "state").startswith(str(tmp_path))]

    c.kubectl("apply", "-f", "-", text=POSTGRES)
    c.kubectl("rollout", "status", "deploy/db", "--timeout=30s")
    assert len(elsewhere()) == 1
    ip, _ = c.address("db", "default")

    def sql(q):
        return subprocess.run(["psql", "-h", ip, "-U", "postgres", "-d", "geo", "-Atc", q],
                              env=dict(os.environ, PGPASSWORD="pw"), capture_output=True, text=True)

    assert sql("create table t as select 7 as a").returncode == 0
    assert c.stop() == 0
    assert elsewhere() == [] and list((c.state / "pods").iterdir())
    c.start()
    eventually(lambda: sql("select a from t").stdout == "7\n")
    c.process.kill()
    c.process.wait()
    c.process.stdout.close()
    eventually(lambda: not marked(c.state), 5)
    assert len(elsewhere()) == 1  # for the next start
    shutil.rmtree(c.state)
    make_cluster("b")
    assert [d.joinpath("state").readlink().name for d in elsewhere()] == ["b"]


def test_the_command_line_starts_and_stops_a_cluster(tmp_path):
    def aceso(*args):
        return subprocess.run([BUILD / "bin" / "aceso", "cluster", *args, "--state", tmp_path / "s",
                               "--json"], capture_output=True, text=True, timeout=60)

    assert aceso("status").returncode == 1
    up = aceso("up")
    assert up.returncode == 0, up.stderr
    ready = json.loads(up.stdout)
    try:
        again = json.loads(aceso("up").stdout)
        assert again == ready == json.loads(aceso("status").stdout)
        env = dict(os.environ, KUBECONFIG=ready["kubeconfig"], HOME=str(tmp_path))
        r = subprocess.run(["kubectl", "create", "namespace", "kept"], env=env, capture_output=True)
        assert r.returncode == 0, r.stderr
        os.kill(ready["pid"], signal.SIGKILL)
        eventually(lambda: aceso("status").returncode == 1)
        after = json.loads(aceso("up").stdout)
        assert after["server"] == ready["server"] and after["pid"] != ready["pid"]
        r = subprocess.run(["kubectl", "get", "namespace", "kept"], env=env, capture_output=True)
        assert r.returncode == 0, r.stderr
    finally:
        assert aceso("down").returncode == 0
    assert aceso("status").returncode == 1 and aceso("down").returncode == 0
    assert not marked(tmp_path / "s/data/cluster")
    (tmp_path / "s/data/cluster/objects.jsonl").write_text("not JSON\n")
    r = aceso("up")
    assert r.returncode == 1 and "objects.jsonl" in r.stderr and len(r.stderr.splitlines()) == 1
    assert aceso("sideways").returncode == 2

"""A cluster of its own for a test, and what tests ask of it by an unmodified kubectl."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

BUILD = pathlib.Path(os.environ.get("ACESO_BUILD", "build"))
BINARY = BUILD / "bin" / "aceso-cluster"

WEB = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cfg, namespace: shop}
data: {index.html: "hello\\n"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: python:3
        command: [python3, -u, -m, http.server, --bind, $(POD_IP), --directory, /srv, "8080"]
        env:
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        volumeMounts: [{name: cfg, mountPath: /srv}]
      volumes: [{name: cfg, configMap: {name: cfg}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"""


def eventually(what, deadline_s=20):
    """Asks until the answer is true; the last answer."""
    end = time.monotonic() + deadline_s
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s")
        time.sleep(0.05)


def marked(state):
    """Processes that carry the mark of the instance."""
    mark = f"ACESO_CLUSTER={state.resolve()}".encode()
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in p.read_bytes().split(b"\0"):
                found.append(int(p.parent.name))
        except OSError:
            pass
    return found


class Cluster:
    def __init__(self, state, *options):
        self.state, self.options = state, options
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "--state-dir", self.state, "--restart-backoff", "100ms", *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, "no ready line"
        self.ready = json.loads(line)

    def env(self):
        return dict(os.environ, KUBECONFIG=self.ready["kubeconfig"], HOME=str(self.state))

    def kubectl(self, *args, check=True, text=None, binary="kubectl"):
        r = subprocess.run(
            [binary, *args], input=text, capture_output=True, text=True, env=self.env(), timeout=90
        )
        if check:
            assert r.returncode == 0, f"kubectl {' '.join(args)}: {r.stdout}{r.stderr}"
        return r.stdout if check else r

    def popen(self, *args):
        """A kubectl that runs on; its stdout is a text pipe."""
        return subprocess.Popen(["kubectl", *args], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, env=self.env())

    def secret(self, name, key, ns):
        return base64.b64decode(self.get("secret", name, "-n", ns)["data"][key]).decode()

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def pod(self, app="web", ns="shop"):
        items = self.get("pods", "-n", ns, "-l", f"app={app}")["items"]
        items = [p for p in items if "deletionTimestamp" not in p["metadata"]]
        return items[0] if items else None

    def ready_pod(self, app="web", ns="shop", other_than=None):
        def look():
            p = self.pod(app, ns)
            if not p or p["metadata"]["uid"] == other_than:
                return None
            cs = p["status"].get("containerStatuses", [])
            return p if cs and all(c["ready"] for c in cs) else None

        return eventually(look)

    def address(self, service="web", ns="shop"):
        spec = self.get("service", service, "-n", ns)["spec"]
        return spec["clusterIP"], spec["ports"][0]["port"]

    def fetch(self, timeout=10):
        ip, port = self.address()
        began = time.monotonic()
        with urllib.request.urlopen(f"http://{ip}:{port}/", timeout=timeout) as r:
            return r.read().decode(), time.monotonic() - began

    def web(self):
        self.kubectl("apply", "-f", "-", text=WEB)
        self.kubectl("rollout", "status", "deploy/web", "-n", "shop", "--timeout=30s")

    def chaos(self, kind, spec, name="fault"):
        self.kubectl("create", "namespace", "aceso-chaos", check=False)
        spec.setdefault("mode", "all")
        spec.setdefault("selector", {"namespaces": ["shop"], "labelSelectors": {"app": "web"}})
        body = {
            "apiVersion": "chaos-mesh.org/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "aceso-chaos"},
            "spec": spec,
        }
        self.kubectl("apply", "-f", "-", text=json.dumps(body))

    def heal(self, kind, name="fault"):
        self.kubectl("delete", kind, name, "-n", "aceso-chaos", "--timeout=20s")

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code

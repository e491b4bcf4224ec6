"""The services as the chart starts them: each Deployment's command, configuration file and variables, with addresses of
this machine put in, on real PostgreSQL and NATS; then the chart's own test, then the end."""

import os
import shutil
import signal
import subprocess

import pytest

from backends import BIN, BUILD, backends, free_port, wait  # noqa: F401
from test_deploy import hook_script
from test_tls import Authority


def objects(rendered):
    yaml = pytest.importorskip("yaml")
    return [d for d in yaml.safe_load_all(rendered.read_text()) if d]


def find(docs, kind, name):
    return next(d for d in docs if d["kind"] == kind and d["metadata"]["name"] == name)


class Pod:
    """A process in place of a Deployment's pod."""

    def __init__(self, docs, deployment, tmp, backends, hosts, secrets):
        spec = deployment["spec"]["template"]["spec"]
        container = spec["containers"][0]
        self.name = container["name"]
        mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
        text = next(iter(find(docs, "ConfigMap", f"aceso-{self.name}")["data"].values()))
        home = tmp / self.name
        home.mkdir()
        # Only what the pod mounts is there.
        (home / "secrets").mkdir()
        for volume in spec["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                for item in source["secret"]["items"]:
                    shutil.copy(secrets / item["path"], home / "secrets" / item["path"])
        replace = {mounts.get("secrets", "/none"): str(home / "secrets"), mounts["state"]: str(home / "state"),
                   "0.0.0.0:9000": hosts[f"aceso-{self.name}:9000"], "0.0.0.0:8080": hosts[f"aceso-{self.name}:8080"],
                   "nats://aceso-nats:4222": backends.nats, "linger: 3s": "linger: 200ms"}
        for old, new in replace.items():
            text = text.replace(old, new)
        config = home / container["args"][1].rsplit("/", 1)[1]
        config.write_text(text)
        self.env = {k: hosts[v] for k, v in find(docs, "ConfigMap", container["envFrom"][0]["configMapRef"]["name"])["data"].items()}
        self.log = home / "log"
        self.process = subprocess.Popen(
            [str(BIN / container["command"][0]), container["args"][0], str(config)], stderr=open(self.log, "wb"),
            stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], **self.env}, cwd=home)


@pytest.mark.parametrize("values", ["default", "tls"])
def test_every_service_serves_as_the_chart_starts_it(values, backends, tmp_path):  # noqa: F811
    rendered = BUILD / f"helm/{values}.yaml"
    if not rendered.exists():
        pytest.skip("make helm-check has not rendered the chart")
    docs = objects(rendered)
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue("aceso")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, text in {"pg-url": backends.url + "\n", "nats-creds": "aceso:not-asked-here", "tokens": "# ours\nopen-sesame\n",
                       "tls.crt": cert.read_text(), "tls.key": key.read_text(), "ca.crt": authority.ca.read_text()}.items():
        (secrets / name).write_text(text)
    deployments = [d for d in docs if d["kind"] == "Deployment"]
    hosts = {f"{d['metadata']['name']}:{port}": f"127.0.0.1:{free_port()}" for d in deployments for port in (9000, 8080)}
    pods = []
    try:
        pods += [Pod(docs, d, tmp_path, backends, hosts, secrets) for d in deployments]
        assert len(pods) == 9

        def healthy():
            for p in pods:
                assert p.process.poll() is None, (p.name, p.log.read_text()[-1000:])
            return subprocess.run(["bash", "-c", hook_script()], env={"PATH": os.environ["PATH"], **pods[0].env},
                                  capture_output=True, text=True).returncode == 0

        wait("services of the chart", healthy, 60)
        for p in pods:
            p.process.send_signal(signal.SIGTERM)
        for p in pods:
            assert p.process.wait(deployments[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]) == 0, (
                p.name, p.log.read_text()[-1000:])
    finally:
        for p in pods:
            p.process.kill()
            p.process.wait()

"""Checks rendered objects: validate.py [--bin DIR] FILE.yaml...

Each object must pass the JSON schemas of Kubernetes (unknown fields are errors), by the oldest release that
the chart supports and the newest that is known; what one object names in another must be there; pods must be
confined; and the configuration of each service is given to its program (--check-config) where DIR has it.
The last line says what was checked. Exit code 1 and a line for each fault otherwise.
"""
import argparse
import importlib.resources
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import jsonschema
import yaml
from referencing import Registry, Resource

RELEASES = ("1.27", "newest")
# Objects that a values file says are there already.
GIVEN = {("Secret", n) for n in ("shop-postgresql", "shop-nats", "aceso-mesh", "aceso-tokens", "registry")} | {
    ("PersistentVolumeClaim", "models")}


class Schemas:
    """The strict schemas of one release."""

    def __init__(self, release):
        root = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
        known = {}
        for d in root.iterdir():
            m = re.fullmatch(r"v((\d+)\.(\d+)\.\d+)-local-strict", d.name)
            if m:
                known[(int(m[2]), int(m[3]))] = d
        key = max(known) if release == "newest" else tuple(int(x) for x in release.split("."))
        self.dir, self.release = known[key], "%d.%d" % key
        definitions = json.loads((self.dir / "_definitions.json").read_text())
        self.registry = Resource.from_contents(definitions) @ Registry()
        self.validators = {}

    def errors(self, obj):
        api = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", obj["apiVersion"])
        name = "%s-%s.json" % (obj["kind"].lower(), api)
        if name not in self.validators:
            path = self.dir / name
            if not path.is_file():
                return ["%s %s is not known to Kubernetes %s" % (obj["apiVersion"], obj["kind"], self.release)]
            schema = json.loads(path.read_text())
            self.validators[name] = jsonschema.Draft202012Validator(
                schema, registry=Resource.from_contents(schema) @ self.registry)
        return ["%s: %s" % (".".join(str(p) for p in e.absolute_path) or "object", e.message[:200])
                for e in self.validators[name].iter_errors(obj)]


def pod_of(obj):
    if obj["kind"] == "Pod":
        return obj["metadata"], obj["spec"]
    template = obj.get("spec", {}).get("template") if obj["kind"] in ("Deployment", "StatefulSet", "Job") else None
    return (template["metadata"], template["spec"]) if template else (None, None)


def references(spec):
    """(kind, name, keys or None) of all that a pod needs."""
    for s in spec.get("imagePullSecrets", []):
        yield "Secret", s["name"], None
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"], None
    for c in spec["containers"]:
        for e in c.get("envFrom", []):
            yield "ConfigMap", e["configMapRef"]["name"], None
    for v in spec.get("volumes", []):
        if "persistentVolumeClaim" in v:
            yield "PersistentVolumeClaim", v["persistentVolumeClaim"]["claimName"], None
        for source in v.get("projected", {}).get("sources", [v]):
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"], source["configMap"].get("items")
            if "secret" in source:
                secret = source["secret"]
                yield "Secret", secret.get("name") or secret.get("secretName"), secret.get("items")


def keys(obj):
    return set(obj.get("data", {})) | set(obj.get("stringData", {}))


def check_references(spec, objects):
    for kind, name, items in references(spec):
        if (kind, name) in GIVEN:
            continue
        if (kind, name) not in objects:
            yield "%s %s is not there" % (kind, name)
            continue
        for item in items or []:
            if item["key"] not in keys(objects[kind, name]):
                yield "%s %s has no key %s" % (kind, name, item["key"])
    volumes = {v["name"] for v in spec.get("volumes", [])}
    for c in spec["containers"]:
        for m in c.get("volumeMounts", []):
            # A claim template of a StatefulSet becomes the volume of its name.
            if m["name"] not in volumes and m["name"] != "data":
                yield "volume %s of container %s is not there" % (m["name"], c["name"])
        ports = {p["name"] for p in c.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = c.get(probe, {}).get("httpGet", {}).get("port")
            if isinstance(port, str) and port not in ports:
                yield "%s asks port %s, which container %s does not have" % (probe, port, c["name"])


def check_confined(obj, spec):
    pod = spec.get("securityContext", {})
    if not pod.get("runAsNonRoot") or not pod.get("runAsUser"):
        yield "the pod may run as root"
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod has no seccomp profile"
    if spec.get("hostNetwork") or spec.get("hostPID") or any("hostPath" in v for v in spec.get("volumes", [])):
        yield "the pod uses the host"
    if "automountServiceAccountToken" not in spec:
        yield "the pod does not say whether it gets an account's token"
    for c in spec["containers"]:
        s = c.get("securityContext", {})
        if s.get("allowPrivilegeEscalation") is not False or s.get("readOnlyRootFilesystem") is not True:
            yield "container %s: privileges or root file system are open" % c["name"]
        if s.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "container %s keeps capabilities" % c["name"]
        if not c.get("resources", {}).get("requests") or "memory" not in c["resources"].get("limits", {}):
            yield "container %s states no requests or no memory limit" % c["name"]
        if obj["kind"] != "Pod" and not all(p in c for p in ("startupProbe", "readinessProbe", "livenessProbe")):
            yield "container %s lacks a probe" % c["name"]


def matches(selector, labels):
    return all(labels.get(k) == v for k, v in selector.items())


def check_links(obj, pods):
    """What selects pods must select some, and name ports that they have."""
    kind, spec = obj["kind"], obj.get("spec", {})
    labels = obj["metadata"].get("labels", {})
    if kind == "Service":
        chosen = [p for m, p in pods if matches(spec["selector"], m["labels"])]
        names = {port["name"] for p in chosen for c in p["containers"] for port in c.get("ports", [])}
        if len(chosen) != 1:
            yield "selects %d workloads" % len(chosen)
        for port in spec["ports"]:
            if chosen and port["targetPort"] not in names:
                yield "port %s leads to %s, which no container has" % (port["name"], port["targetPort"])
    if kind in ("Deployment", "StatefulSet"):
        if not matches(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
            yield "does not select its own pods"
    if kind in ("PodDisruptionBudget", "NetworkPolicy"):
        selector = spec["selector" if kind == "PodDisruptionBudget" else "podSelector"]["matchLabels"]
        if not any(matches(selector, m["labels"]) for m, _ in pods):
            yield "selects no pod"
    for need in ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"):
        if need not in labels:
            yield "has no label %s" % need


def check_roles(obj, objects):
    if obj["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
        if obj["kind"] in ("Role", "ClusterRole"):
            for rule in obj["rules"]:
                if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]:
                    yield "grants everything of a kind"
        return
    if (obj["roleRef"]["kind"], obj["roleRef"]["name"]) not in objects:
        yield "role %s is not there" % obj["roleRef"]["name"]
    for s in obj["subjects"]:
        if ("ServiceAccount", s["name"]) not in objects:
            yield "account %s is not there" % s["name"]


def check_nats(obj, objects, tmp):
    """Gives the bundled server's file to nats-server."""
    secret = objects["Secret", obj["metadata"]["name"]]
    for o in (obj, secret):
        for name, text in {**o.get("data", {}), **o.get("stringData", {})}.items():
            (tmp / name).write_text(text)
    run = subprocess.run(["nats-server", "-t", "-c", tmp / "nats.conf"], capture_output=True, text=True, timeout=20)
    return 1, [run.stderr.strip()] if run.returncode != 0 else []


def check_config(obj, objects, bin_dir, tmp):
    """Gives a service's file to its program. Returns (checked, faults)."""
    checked, faults = 0, []
    component = obj["metadata"]["labels"]["app.kubernetes.io/component"]
    if component == "nats" and shutil.which("nats-server"):
        return check_nats(obj, objects, tmp)
    program = bin_dir / ("aceso-" + component)
    for name, text in obj.get("data", {}).items():
        if name != component + ".yaml" or not program.exists():
            continue
        (tmp / "pg-url").write_text("postgresql://aceso@localhost/aceso")
        path = tmp / name
        path.write_text(text.replace("/etc/aceso/secrets", str(tmp)))
        run = subprocess.run([program, "--config", path, "--check-config"], capture_output=True, text=True, timeout=20)
        checked += 1
        if run.returncode != 0:
            faults.append(run.stderr.strip() or "exit code %d" % run.returncode)
    return checked, faults


def check_file(path, schemas, bin_dir, tmp):
    docs = [d for d in yaml.safe_load_all(path.read_text()) if d]
    objects, faults, configs = {}, [], 0
    for d in docs:
        key = (d["kind"], d["metadata"]["name"])
        twin = key + (d["metadata"].get("namespace"),)
        if twin in objects:
            faults.append((d, "is there twice"))
        objects[twin] = objects[key] = d
    pods = [(m, s) for m, s in map(pod_of, docs) if s]
    for d in docs:
        for s in schemas:
            faults += [(d, "Kubernetes %s: %s" % (s.release, e)) for e in s.errors(d)]
    if not faults:  # the rest takes the shape for granted
        for d in docs:
            _, spec = pod_of(d)
            found = list(check_links(d, pods)) + list(check_roles(d, objects))
            if spec:
                found += list(check_references(spec, objects)) + list(check_confined(d, spec))
            if d["kind"] == "ConfigMap" and bin_dir:
                n, wrong = check_config(d, objects, bin_dir, tmp)
                configs += n
                found += wrong
            faults += [(d, f) for f in found]
    for d, text in faults:
        print("%s: %s %s: %s" % (path.name, d["kind"], d["metadata"]["name"], text))
    return len(docs), configs, len(faults)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--bin", type=pathlib.Path, help="directory with the services' programs")
    args.add_argument("files", nargs="+", type=pathlib.Path)
    args = args.parse_args()
    schemas = [Schemas(r) for r in RELEASES]
    with tempfile.TemporaryDirectory() as tmp:
        results = [check_file(f, schemas, args.bin, pathlib.Path(tmp)) for f in args.files]
    objects, configs, faults = (sum(r[i] for r in results) for i in range(3))
    print("%d objects of %d value sets %s (Kubernetes %s; %d configurations checked by their programs)" % (
        objects, len(args.files), "valid" if not faults else "checked, %d faults" % faults,
        " and ".join(s.release for s in schemas), configs))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

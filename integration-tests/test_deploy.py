"""Deployment files: the Dockerfile, the packages of its image, the chart's test hook, the systemd unit."""
import http.server
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading

import dockerfile
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")) / "bin"
DEBIAN_12 = "VERSION_ID=\"12\"" in pathlib.Path("/etc/os-release").read_text()


def stages():
    """[(name, base, [command])] of deploy/Dockerfile, read by Docker's own parser."""
    found = []
    for c in dockerfile.parse_file(str(ROOT / "deploy/Dockerfile")):
        if c.cmd.lower() == "from":
            base, _, name = c.value
            found.append((name, base, []))
        else:
            found[-1][2].append(c)
    return found


def test_stages_of_the_image_hang_together():
    names, user = {}, None
    for name, base, commands in stages():
        assert base in names or re.fullmatch(r"debian:12(-slim)?", base), base
        user = names.get(base)
        for c in commands:
            assert c.cmd.lower() in {"workdir", "copy", "run", "user", "entrypoint", "cmd"}, c.original
            if c.cmd.lower() == "user":
                user = c.value[0]
            if c.cmd.lower() == "copy" and c.flags:
                assert c.flags[0].removeprefix("--from=") in names
        names[name] = user
    assert names["services"] == names["app"] == "10001:10001"


def test_what_the_image_copies_is_there_and_not_ignored():
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert ignore[0] == "*"
    copied = {s for _, _, cs in stages() for c in cs if c.cmd.lower() == "copy" and not c.flags for s in c.value[:-1]}
    assert copied == {line[1:] for line in ignore[1:]}
    assert all((ROOT / s).exists() for s in copied)


def needed(program):
    out = subprocess.run(["objdump", "-p", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"NEEDED\s+(\S+)", out)


@pytest.mark.skipif(not DEBIAN_12, reason="the packages of the image are those of Debian 12")
def test_packages_of_the_image_hold_every_library():
    listed = set((ROOT / "deploy/runtime-packages").read_text().split())
    paths = dict(re.findall(r"^\s*(\S+) .*x86-64.* => (\S+)$", subprocess.run(
        ["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout, re.M))
    libraries = {lib: p.name for p in sorted(BIN.glob("aceso*")) for lib in needed(p)}
    assert libraries
    for lib, program in libraries.items():
        package = owner(paths[lib])
        # libopenblas0 is a choice among its variants; libc is part of the base.
        package = {"libopenblas0-pthread": "libopenblas0"}.get(package, package)
        assert package in listed | {"libc6"}, f"{program} needs {lib} of {package}: add it to deploy/runtime-packages"


def owner(path):
    for p in {os.path.realpath(path), path, "/usr" + path}:
        r = subprocess.run(["dpkg", "-S", p], capture_output=True, text=True)
        if r.returncode == 0:
            return r.stdout.split(":")[0]
    raise AssertionError(f"no package owns {path}")


def hook_script():
    text = (ROOT / "helm/aceso/templates/tests/health.yaml").read_text()
    block = text.split("        - |\n", 1)[1]
    lines = []
    for line in block.splitlines():
        if not line.startswith(" " * 10):
            break
        lines.append(line[10:])
    return "\n".join(lines)


class Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        assert self.path == "/healthz"
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_hook_of_the_chart_tells_who_serves():
    class Sick(Health):
        status = 503

    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), h) for h in (Health, Sick)]
    for s in servers:
        threading.Thread(target=s.serve_forever, daemon=True).start()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        free = s.getsockname()[1]
    well, sick = ("127.0.0.1:%d" % s.server_address[1] for s in servers)

    def hook(**addresses):
        env = {"PATH": os.environ["PATH"]} | {"ACESO_%s_HTTP_ADDR" % k: v for k, v in addresses.items()}
        return subprocess.run(["bash", "-c", hook_script()], env=env, capture_output=True, text=True, timeout=30)

    r = hook(RCA=well, LAB=well)
    assert r.returncode == 0 and r.stdout == f"{well} serves\n" * 2
    r = hook(RCA=well, LAB=sick, TRAINER=f"127.0.0.1:{free}")
    assert r.returncode == 1
    assert f"{well} serves" in r.stdout and f"{sick}: HTTP/1.0 503" in r.stdout
    assert f"127.0.0.1:{free}: no connection" in r.stdout
    for s in servers:
        s.shutdown()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_reads_the_unit(tmp_path):
    text = (ROOT / "deploy/systemd/aceso.service").read_text()
    unit = tmp_path / "aceso.service"
    unit.write_text(text.replace("/usr/local/bin/aceso", str(BIN / "aceso")))
    r = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and str(unit) not in r.stderr and "aceso.service:" not in r.stderr, r.stderr
    # The verb is not in the help: it must be there all the same, with the option that the unit gives.
    r = subprocess.run([BIN / "aceso", "supervise", "--help"], capture_output=True, text=True, timeout=10)
    assert r.returncode == 0 and "--state" in r.stdout

"""aceso-rca and aceso-responder as processes on a real PostgreSQL and NATS: an alert opens an incident,
which is stored and survives kill -9; malformed alerts do no harm."""

import os
import pathlib
import signal
import subprocess
import time

from backends import BIN, backends, wait  # noqa: F401 (a fixture)


def field(n, data):
    return bytes([n << 3 | 2, len(data)]) + data


def alert(id, sequence, state, t_ns):
    varint = b""
    while t_ns > 127:
        varint += bytes([t_ns & 127 | 128])
        t_ns >>= 7
    varint += bytes([t_ns])
    return (field(1, field(1, id.encode())) + bytes([2 << 3, sequence]) + field(3, b"hotel-1") +
            field(4, state.encode()) + field(5, field(2, b"frontend")) + bytes([12 << 3]) + varint)


def state(b):
    return b.sql("select state from incidents.incidents")


def team(process):
    """The threads that share the work of a diagnosis, by number."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task")
    return sorted(t.name for t in tasks.iterdir() if (t / "comm").read_text().strip() == "team")


def test_incident_lives_through_kill_9(backends):  # noqa: F811
    b = backends
    rca, at = b.service("rca", "--collector-addr=127.0.0.1:1")
    threads = team(rca)  # made once, and kept
    assert len(threads) == len(os.sched_getaffinity(0)) - 1
    args = (f"--rca-addr={at['grpc']}", "--kubeconfig=/nonexistent", "--settle=300ms", "--retry=200ms")
    resp, _ = b.service("responder", *args)
    b.publish("aceso.alerts.hotel-1", b"\xff\xff not an alert")
    now = time.time_ns()
    b.publish("aceso.alerts.hotel-1", alert("a1", 1, "open", now))
    wait("an incident", lambda: state(b))
    resp.kill()
    resp.wait()
    resp, _ = b.service("responder", *args)
    # Neither collector nor cluster answers: after its attempts it is left to people, nothing is touched.
    wait("needs_human", lambda: state(b) == "needs_human", 40)
    b.publish("aceso.alerts.hotel-1", alert("a1", 2, "closed", now))
    wait("resolved", lambda: state(b) == "resolved")
    assert b.sql("select count(*) from incidents.incidents") == "1"
    assert team(rca) == threads
    for p in (resp, rca):
        p.send_signal(signal.SIGTERM)
    assert (resp.wait(15), rca.wait(15)) == (0, 0)


def test_missing_option_is_one_line(backends):  # noqa: F811
    p = subprocess.run([str(BIN / "aceso-rca"), f"--pg-url={backends.url}", f"--nats-url={backends.nats}"],
                       capture_output=True, text=True, timeout=30)
    assert p.returncode != 0 and "collector-addr" in p.stderr

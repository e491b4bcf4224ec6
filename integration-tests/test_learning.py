"""The loop from telemetry to alert on the real application: it runs under load, the collector keeps what it says,
the trainer learns what is healthy, the detector is silent then and speaks when grants are revoked."""

import signal
import subprocess
import time

from backends import BIN, backends, wait  # noqa: F401 (a fixture)
from pb import Client
from test_app import Hotel

S = 1_000_000_000
LEARN_S, QUIET_S = 20, 12


def test_healthy_is_learnt_and_a_fault_is_an_alert(backends, monkeypatch):  # noqa: F811
    b = backends
    _, collector = b.service("collector")
    _, trainer = b.service("trainer", f"--collector-addr={collector['grpc']}")
    _, detector = b.service("detector", f"--trainer-addr={trainer['grpc']}")
    telemetry, train, detect = (Client(x["grpc"]) for x in (collector, trainer, detector))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector['grpc']}")
    monkeypatch.setenv("ACESO_APP_NAMESPACE", "hotel")
    (b.tmp / "hotel").mkdir()
    hotel = Hotel(b.tmp / "hotel")
    load = subprocess.Popen([str(BIN / "aceso-app"), "load", "--target", f"http://127.0.0.1:{hotel.ports['frontend']}",
                             "--seed", "1", "--rate", "50", "--mix", "login=5,reserve=5"], env=hotel.env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def open_alerts():
        return detect("Detector/ListAlerts", namespace="hotel", open_only=True).alerts

    def seconds_seen(since):
        r = telemetry("Telemetry/QueryMetrics", selector={"namespace": "hotel", "component": "load",
                                                          "metric": "load.requests"}, range={"from_ns": since})
        return max((len(s.value) for s in r.series), default=0)

    try:
        wait("load", lambda: seconds_seen(0) > 2)
        began = time.time_ns()
        wait("healthy telemetry", lambda: seconds_seen(began) >= LEARN_S, LEARN_S + 20)
        job = train("Trainer/StartJob", namespace="hotel", healthy={"from_ns": began})
        *_, job = train("Trainer/WatchJob", id=job.meta.id)
        assert job.state == "done", job.error
        print(f"{job.series_total} series, {len(job.rules)} rules in {job.seconds:.2f} s")
        assert job.series_total > 100 and len(job.rules) > 80
        wait("the rules", lambda: detect("Detector/Status").rules == len(job.rules))
        healthy = time.time_ns()
        wait("a healthy time", lambda: seconds_seen(healthy) >= QUIET_S, QUIET_S + 20)
        # Slowness may be real on a busy machine; errors are not.
        alerts = detect("Detector/ListAlerts", namespace="hotel").alerts
        assert not [a for a in alerts if a.severity == "critical" and "duration" not in a.series.metric], alerts
        fault = time.time()
        hotel.pg.psql("geo", "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM hotel")
        found = wait("an alert", lambda: [a for a in open_alerts() if a.series.component == "geo" and
                                          "errors" in a.series.metric], 30)
        print(f"found after {time.time() - fault:.1f} s: {found[0].reason}")
        assert found[0].severity == "critical" and found[0].reason.startswith("errors: 1")
        assert found[0].started_ns > fault * S
        wait("what users see", lambda: [a for a in open_alerts() if a.series.component == "load"], 30)
        hotel.pg.psql("geo", "GRANT ALL ON ALL TABLES IN SCHEMA public TO hotel")
        wait("recovery", lambda: not [a for a in open_alerts() if "errors" in a.series.metric], 30)
    finally:
        load.send_signal(signal.SIGTERM)
        load.wait(20)
        hotel.stop()

"""aceso-collector on a real PostgreSQL and NATS, fed by the OpenTelemetry SDK over gRPC and HTTP and by the
application: what was confirmed is there, once, whatever is killed."""

import json
import os
import random
import signal
import subprocess
import time

import grpc
import pytest
import requests
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace as otel_trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import pb
from backends import BIN, Nats, backends, free_port, wait  # noqa: F401
from cluster_kit import Cluster
from test_app import SERVICES, Hotel

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def resource(service, pod="pod-1", ns="shop"):
    return Resource.create({"service.name": service, "k8s.namespace.name": ns, "k8s.pod.name": pod})


class Sdk:
    """The three providers of the SDK for one service, exporting over gRPC or HTTP."""

    def __init__(self, service, at, http=False, **kw):
        if http:
            url = f"http://{at['http']}/v1/"
            m = HttpMetrics(endpoint=url + "metrics", compression=Compression.Gzip)
            s, g = HttpSpans(endpoint=url + "traces"), HttpLogs(endpoint=url + "logs")
        else:
            url = f"http://{at['grpc']}"
            m, s, g = (x(endpoint=url, insecure=True) for x in (GrpcMetrics, GrpcSpans, GrpcLogs))
        r = resource(service, **kw)
        self.metrics = MeterProvider([PeriodicExportingMetricReader(m, export_interval_millis=10**9)], resource=r)
        self.spans, self.logs = TracerProvider(resource=r), LoggerProvider(resource=r)
        self.spans.add_span_processor(BatchSpanProcessor(s))
        self.logs.add_log_record_processor(BatchLogRecordProcessor(g))
        self.meter, self.tracer = self.metrics.get_meter("t"), self.spans.get_tracer("t")

    def log(self, text, **kw):
        self.logs.get_logger("t").emit(body=text, timestamp=time.time_ns(), **kw)

    def flush(self):
        for p in (self.metrics, self.spans, self.logs):
            assert p.force_flush(10000)

    def shutdown(self):
        for p in (self.metrics, self.spans, self.logs):
            p.shutdown()


def series(tel, **selector):
    """{(component, metric, labels): (kind, [values])}"""
    r = tel("Telemetry/QueryMetrics", selector=dict(namespace="shop", **selector))
    return {(s.key.component, s.key.metric, tuple((l.key, l.value) for l in s.key.labels)): (s.kind, list(s.value))
            for s in r.series}


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_sdk_three_signals(backends, http):
    b = backends
    _, at = b.service("collector", "--flush-interval=200ms")
    tel = pb.Client(at["grpc"])
    front, geo = Sdk("frontend", at, http), Sdk("geo", at, http, pod="pod-2")
    requests = front.meter.create_counter("requests", unit="{request}")
    active = front.meter.create_up_down_counter("active")
    seconds = front.meter.create_histogram("seconds", unit="s", explicit_bucket_boundaries_advisory=[0.1, 0.2, 0.4])
    front.meter.create_observable_gauge("load", [lambda _: [otel_metrics.Observation(0.5, {"cpu": 0})]])
    for i in range(10):
        requests.add(1, {"route": "/hotels"})
        active.add(1 if i < 6 else -1)
        seconds.record(0.15, {"route": "/hotels"})
    with front.tracer.start_as_current_span("GET /hotels", kind=otel_trace.SpanKind.SERVER):
        with front.tracer.start_as_current_span("geo.Geo/Nearby", kind=otel_trace.SpanKind.CLIENT,
                                                attributes={"peer.service": "geo"}):
            with geo.tracer.start_as_current_span("geo.Geo/Nearby", kind=otel_trace.SpanKind.SERVER):
                with geo.tracer.start_as_current_span("SELECT", kind=otel_trace.SpanKind.CLIENT,
                                                      attributes={"peer.service": "mongodb-geo"}) as s:
                    trace_id = f"{s.get_span_context().trace_id:032x}"
                    s.set_status(otel_trace.StatusCode.ERROR, "permission denied for table geo")
                    geo.log("permission denied for table geo", severity_number=SeverityNumber(17),
                            attributes={"peer.service": "mongodb-geo", "codes": (1, 2)})
    geo.log({"nested": ["a", {"deep": True}]}, severity_number=SeverityNumber(9))
    front.flush()
    geo.flush()

    pod = (("pod", "pod-1"),)
    route = (("pod", "pod-1"), ("route", "/hotels"))
    got = wait("the metrics", lambda: (lambda x: x if len(x) >= 8 else None)(series(tel, component="front*")))
    assert got["frontend", "requests", route] == ("counter", [10.0])
    assert got["frontend", "active", pod] == ("gauge", [2.0])
    assert got["frontend", "load", (("cpu", "0"),) + pod] == ("gauge", [0.5])
    assert got["frontend", "seconds.count", route] == ("counter", [10.0])
    assert got["frontend", "seconds.mean", route][1] == [pytest.approx(0.15)]
    assert 0.1 <= got["frontend", "seconds.p90", route][1][0] <= 0.2
    assert not series(tel, component="geo")
    assert set(series(tel, metric="requests", labels=[dict(key="route", value="/hotels")])) == \
        {("frontend", "requests", route)}

    spans = wait("the spans", lambda: (lambda r: r if len(r) == 4 else None)(
        tel("Telemetry/QuerySpans", namespace="shop", trace_id=trace_id).spans))
    assert {(s.component, s.name, s.kind, s.peer) for s in spans} == {
        ("frontend", "GET /hotels", 2, ""), ("frontend", "geo.Geo/Nearby", 3, "geo"),
        ("geo", "geo.Geo/Nearby", 2, ""), ("geo", "SELECT", 3, "mongodb-geo")}
    assert [s.status_message for s in spans if s.status == 2] == ["permission denied for table geo"]
    graph = tel("Telemetry/ServiceGraph", namespace="shop")
    assert [(e.caller, e.callee, e.calls, e.errors) for e in graph.edges] == [
        ("frontend", "geo", 1, 0), ("geo", "mongodb-geo", 1, 1)]
    assert list(graph.components) == ["frontend", "geo", "mongodb-geo"]

    logs = wait("the logs", lambda: tel("Telemetry/QueryLogs", namespace="shop", min_severity=13).records)
    assert [(r.component, r.pod, r.body, r.trace_id) for r in logs] == [
        ("geo", "pod-2", "permission denied for table geo", trace_id)]
    assert {(a.key, a.value) for a in logs[0].attributes} == {("peer.service", "mongodb-geo"), ("codes", "[1,2]")}
    assert [r.body for r in tel("Telemetry/QueryLogs", namespace="shop", contains="deep").records] == [
        '{"nested":["a",{"deep":true}]}']
    listed = tel("Telemetry/ListSeries", selector=dict(namespace="shop", metric="seconds.*")).series
    assert {s.key.metric for s in listed} == {f"seconds.{x}" for x in ("count", "sum", "mean", "p50", "p90", "p99")}
    assert {s.unit for s in listed if s.key.metric == "seconds.mean"} == {"s"}
    for sdk in (front, geo):
        sdk.shutdown()


class Raw:
    """Exports made by hand, sent again until they are confirmed: as a sender does whose collector dies."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=[
            ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)])
        self.calls = {}

    def call(self, path, request, response, **kw):
        if path not in self.calls:
            self.calls[path] = self.channel.unary_unary(path, request_serializer=type(request).SerializeToString,
                                                        response_deserializer=response.FromString)
        return self.calls[path](request, **kw)

    def metrics(self, request, **kw):
        return self.call(EXPORT, request, metrics_service_pb2.ExportMetricsServiceResponse, **kw)

    def logs(self, request, **kw):
        return self.call("/opentelemetry.proto.collector.logs.v1.LogsService/Export", request,
                         logs_service_pb2.ExportLogsServiceResponse, **kw)

    def spans(self, request, **kw):
        return self.call("/opentelemetry.proto.collector.trace.v1.TraceService/Export", request,
                         trace_service_pb2.ExportTraceServiceResponse, **kw)

    def until_confirmed(self, send, request):
        end = time.monotonic() + 30
        while True:
            try:
                return send(request, timeout=5)
            except grpc.RpcError as e:
                assert e.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
                                    grpc.StatusCode.CANCELLED), e
                assert time.monotonic() < end, e
                time.sleep(0.02)


def fill_resource(r, service, ns="shop"):
    for key, value in (("service.name", service), ("k8s.namespace.name", ns)):
        a = r.attributes.add(key=key)
        a.value.string_value = value


def gauge_request(points, service="raw", ns="shop"):
    """points: [(metric, time_ns, value)]"""
    req = metrics_service_pb2.ExportMetricsServiceRequest()
    rm = req.resource_metrics.add()
    fill_resource(rm.resource, service, ns)
    sm = rm.scope_metrics.add()
    for name, at, value in points:
        sm.metrics.add(name=name, unit="1").gauge.data_points.add(time_unix_nano=at, as_double=value)
    return req


def log_request(bodies, at):
    req = logs_service_pb2.ExportLogsServiceRequest()
    rl = req.resource_logs.add()
    fill_resource(rl.resource, "raw")
    for body in bodies:
        rl.scope_logs.add().log_records.add(time_unix_nano=at).body.string_value = body
    return req


def span_request(trace_ids, at):
    req = trace_service_pb2.ExportTraceServiceRequest()
    rs = req.resource_spans.add()
    fill_resource(rs.resource, "raw")
    for trace in trace_ids:
        s = rs.scope_spans.add().spans.add(trace_id=bytes.fromhex(trace), span_id=random.randbytes(8), name="call", kind=3,
                                           start_time_unix_nano=at, end_time_unix_nano=at + 10**6)
        s.attributes.add(key="peer.service").value.string_value = "store"
    return req


def chunks(b, table):
    return int(b.sql(f"select coalesce(sum(n), 0) from telemetry.{table}"))


def test_kill_9_loses_and_doubles_nothing(backends):
    b, seed = backends, int(os.environ.get("ACESO_TEST_SEED", time.time_ns() % 10**6))
    rng = random.Random(seed)
    print("seed", seed)
    listen = f"--listen=127.0.0.1:{free_port()}"
    proc, at = b.service("collector", listen, "--flush-interval=100ms")
    raw, t0 = Raw(at["grpc"]), time.time_ns()
    kills = sorted(rng.sample(range(10, 190), 5))
    for i in range(200):
        if i in kills:
            # in the middle of an export, of a transaction, or between them
            late = grpc.RpcError
            future = raw.channel.unary_unary(EXPORT, request_serializer=lambda r: r.SerializeToString(),
                                             response_deserializer=bytes).future(
                gauge_request([("x", t0 + i * 10**6, i), ("y", t0 + i * 10**6, -i)]), timeout=5)
            time.sleep(rng.random() * 0.05)
            proc.kill()
            proc.wait()
            try:
                future.result()
            except late:
                pass
            proc, _ = b.service("collector", listen, "--flush-interval=100ms")
        raw.until_confirmed(raw.metrics, gauge_request([("x", t0 + i * 10**6, i), ("y", t0 + i * 10**6, -i)]))
        raw.until_confirmed(raw.logs, log_request([f"line {i}"], t0 + i * 10**6))
    tel = pb.Client(at["grpc"])

    def answer():
        r = tel("Telemetry/QueryMetrics", selector=dict(namespace="shop"))
        return {s.key.metric: list(zip(s.time_ns, s.value)) for s in r.series}

    want = {"x": [(t0 + i * 10**6, i) for i in range(200)], "y": [(t0 + i * 10**6, -i) for i in range(200)]}
    wait("every sample", lambda: answer() == want)
    lines = [r.body for r in tel("Telemetry/QueryLogs", namespace="shop").records]
    assert lines == [f"line {i}" for i in reversed(range(200))]
    wait("PostgreSQL to have them", lambda: chunks(b, "logs") == 200)
    assert chunks(b, "samples") == 400
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(15) == 0
    proc, _ = b.service("collector", listen)
    tel = pb.Client(at["grpc"])
    assert answer() == want
    assert len(tel("Telemetry/QueryLogs", namespace="shop").records) == 200
    assert chunks(b, "samples") == 400


def test_memory_and_postgres_are_one(backends):
    """What has left memory is answered from PostgreSQL, what waits for it from memory; each sample once."""
    b = backends
    proc, at = b.service("collector", "--memory=10s", "--flush-interval=300ms")
    raw, tel, now = Raw(at["grpc"]), pb.Client(at["grpc"]), time.time_ns()
    times = [now - (120 - i) * 10**9 for i in range(120)]
    for i, t in enumerate(times):
        raw.metrics(gauge_request([("x", t, i), ("z", t, 1)]))
        raw.logs(log_request([f"line {i}"], t))
        raw.spans(span_request([f"{i % 40 + 1:032x}"], t))
    raw.metrics(gauge_request([("x", times[5], 50), ("x", times[119], 119)]))  # a correction, and a repetition
    want = [50 if i == 5 else i for i in range(120)]

    def ask(**range_):
        r = tel("Telemetry/QueryMetrics", selector=dict(namespace="shop", metric="x"), range=range_)
        return [(t, v) for s in r.series for t, v in zip(s.time_ns, s.value)]

    def check():
        assert ask() == list(zip(times, want))
        assert ask(from_ns=times[20], to_ns=times[30]) == list(zip(times, want))[20:30]
        assert ask(from_ns=times[0], to_ns=times[1]) == [(times[0], 0)]
        logs = tel("Telemetry/QueryLogs", namespace="shop", range=dict(from_ns=times[10], to_ns=times[20])).records
        assert [r.body for r in logs] == [f"line {i}" for i in reversed(range(10, 20))]
        spans = tel("Telemetry/QuerySpans", namespace="shop", trace_id=f"{8:032x}").spans
        assert [s.start_ns for s in spans] == [times[7], times[47], times[87]]
        assert tel("Telemetry/ServiceGraph", namespace="shop").edges[0].calls == 120
        newest = tel("Telemetry/QueryLogs", namespace="shop", limit=3).records
        assert [r.body for r in newest] == ["line 119", "line 118", "line 117"]

    wait("all", lambda: len(ask()) == 120)
    wait("all spans", lambda: len(tel("Telemetry/QuerySpans", namespace="shop").spans) == 120)
    while chunks(b, "spans") < 120:  # also while the transactions run
        check()
    check()
    r = tel("Telemetry/QueryMetrics", selector=dict(namespace="shop"), max_points=20)
    assert r.truncated and [len(s.value) for s in r.series] == [10, 10]
    assert [s.value[-1] for s in r.series if s.key.metric == "x"] == [119]
    assert not tel("Telemetry/QueryMetrics", selector=dict(namespace="other")).series
    proc.kill()
    proc.wait()
    proc, at = b.service("collector", "--memory=10s", "--flush-interval=300ms")
    tel = pb.Client(at["grpc"])
    check()
    info = tel("Telemetry/ListSeries", selector=dict(namespace="shop", metric="x")).series
    assert [s.last_ns for s in info] == [times[119]]


def test_what_is_refused_is_said(backends):
    b = backends
    _, at = b.service("collector", "--max-series=3")
    raw, tel, now = Raw(at["grpc"]), pb.Client(at["grpc"]), time.time_ns()
    req = gauge_request([("good", now, 1), ("ahead", now + 2 * 3600 * 10**9, 1), ("old", now - 7 * 3600 * 10**9, 1)])
    metrics = req.resource_metrics[0].scope_metrics[0].metrics
    metrics.add(name="exp").exponential_histogram.data_points.add(time_unix_nano=now)
    metrics.add(name="sum").sum.data_points.add(time_unix_nano=now, as_int=1)  # neither delta nor cumulative
    metrics.add(name="ended").gauge.data_points.add(time_unix_nano=now, flags=1)
    h = metrics.add(name="h").histogram
    h.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
    h.data_points.add(time_unix_nano=now, count=3, bucket_counts=[1, 1], explicit_bounds=[1.0])
    part = raw.metrics(req).partial_success
    assert part.rejected_data_points == 5
    assert part.error_message == ("metric ahead of raw: its time is more than an hour ahead of the collector's")
    part = raw.metrics(gauge_request([(f"m{i}", now, i) for i in range(5)])).partial_success
    assert part.rejected_data_points == 3 and "3 series are the most" in part.error_message
    assert not raw.metrics(gauge_request([("good", now + 1, 2)])).HasField("partial_success")
    got = wait("good", lambda: (lambda r: r if len(r.series) == 3 else None)(
        tel("Telemetry/QueryMetrics", selector=dict(namespace="shop"), range=dict(to_ns=now + 10**9))))
    assert {s.key.metric for s in got.series} == {"good", "m0", "m1"}
    with pytest.raises(grpc.RpcError) as e:
        tel("Telemetry/QuerySpans", trace_id="xyz")
    assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    def post(path, body=b"", kind="application/x-protobuf", method="POST", **headers):
        return requests.request(method, f"http://{at['http']}{path}", data=body,
                                headers={"Content-Type": kind, **headers}, timeout=10)

    assert post("/v1/metrics", b"\xff\xff").status_code == 400
    assert post("/v1/metrics", b"{}", kind="application/json").status_code == 415
    assert post("/v1/logs", b"x", **{"Content-Encoding": "gzip"}).status_code == 400
    assert post("/v1/logs", b"x", **{"Content-Encoding": "br"}).status_code == 415
    assert post("/v1/metrics", b"x" * (5 << 20)).status_code == 413
    assert post("/v1/traces", method="GET").status_code == 405
    assert post("/v2/traces").status_code == 404
    deep = b""
    for _ in range(20000):  # a value nested in itself: answered, not followed to the ground
        deep = field(5, field(1, deep))
    r = post("/v1/logs", field(1, field(2, field(2, field(5, deep)))))
    assert r.status_code == 200 and b"nested too deep" in r.content
    assert requests.get(f"http://{at['http']}/healthz", timeout=5).text == "ok\n"


def field(n, data):
    size, length = len(data), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([n << 3 | 2]) + length + bytes([size]) + data


def test_a_token_is_asked_for_on_both_ways(backends):
    b = backends
    tokens = b.tmp / "tokens"
    tokens.write_text("sesame\n")
    _, at = b.service("collector", f"--token-file={tokens}")
    req, good = gauge_request([("x", time.time_ns(), 1)]), {"Authorization": "Bearer sesame"}

    def post(headers):
        return requests.post(f"http://{at['http']}/v1/metrics", data=req.SerializeToString(), timeout=10,
                             headers={"Content-Type": "application/x-protobuf", **headers}).status_code

    assert [post(h) for h in ({}, {"Authorization": "Bearer sesam"}, good)] == [401, 401, 200]
    with pytest.raises(grpc.RpcError) as e:
        Raw(at["grpc"]).metrics(req)
    assert e.value.code() == grpc.StatusCode.UNAUTHENTICATED
    Raw(at["grpc"]).metrics(req, metadata=[("authorization", "Bearer sesame")])
    assert requests.get(f"http://{at['http']}/metrics", timeout=5).status_code == 200


def test_a_second_collector_ends(backends):
    b = backends
    one, at = b.service("collector", "--flush-interval=100ms")
    two, _ = b.service("collector", "--flush-interval=100ms")
    Raw(at["grpc"]).metrics(gauge_request([("x", time.time_ns(), 1)]))
    wait("one of them to end", lambda: [p for p in (one, two) if p.poll() is not None])
    ended = one if one.poll() is not None else two
    assert ended.wait(10) == 1
    assert "run one only" in b.log("collector")
    assert chunks(b, "samples") == 1


def test_the_application_and_the_cluster(backends, monkeypatch, tmp_path):
    """What the demo application and the embedded cluster export arrives under the names of the docs."""
    b = backends
    _, at = b.service("collector")
    tel = pb.Client(at["grpc"])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{at['grpc']}")
    monkeypatch.setenv("ACESO_APP_NAMESPACE", "hotel")
    monkeypatch.setenv("ACESO_APP_POD", "a-pod")
    monkeypatch.setenv("ACESO_APP_SAMPLE_RATIO", "1")
    (b.tmp / "hotel").mkdir()
    hotel = Hotel(b.tmp / "hotel")
    load = cluster = None
    try:
        load = subprocess.Popen([str(BIN / "aceso-app"), "load", "--target", f"http://127.0.0.1:{hotel.ports['frontend']}",
                                 "--seed", "1", "--rate", "50", "--mix", "reserve=5"], env=hotel.env,
                                stdout=subprocess.DEVNULL)
        cluster = Cluster(tmp_path, f"--collector-addr={at['grpc']}")
        cluster.web()

        def names(ns):
            return {(s.key.component, s.key.metric) for s in
                    tel("Telemetry/ListSeries", selector=dict(namespace=ns)).series}

        for s in SERVICES:
            for m in ("requests", "errors.ratio", "duration.mean", "duration.p90"):
                wait(f"{s} {m}", lambda: (s, f"rpc.server.{m}") in names("hotel"))
        wait("load", lambda: ("load", "load.duration.p99") in names("hotel"))
        r = tel("Telemetry/QueryMetrics", selector=dict(namespace="hotel", component="frontend",
                                                        metric="rpc.server.requests"))
        assert {tuple((l.key) for l in s.key.labels) for s in r.series} == {("pod", "route")}
        wait("the graph", lambda: {("frontend", "search"), ("search", "geo"), ("geo", "mongodb-geo"),
                                   ("rate", "memcached-rate"), ("frontend", "reservation")} <=
             {(e.caller, e.callee) for e in tel("Telemetry/ServiceGraph", namespace="hotel").edges})
        edges = tel("Telemetry/ServiceGraph", namespace="hotel").edges
        assert not [e for e in edges if e.caller == e.callee or e.errors > e.calls or not e.mean_ms > 0]
        hotel.pg.psql("geo", "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM hotel")
        found = wait("the reason", lambda: tel("Telemetry/QueryLogs", namespace="hotel", component="geo",
                                               min_severity=17, contains="permission denied").records)
        assert ("peer.service", "mongodb-geo") in {(a.key, a.value) for a in found[0].attributes}
        trace = tel("Telemetry/QuerySpans", namespace="hotel", trace_id=found[0].trace_id).spans
        assert [s for s in trace if s.component == "geo" and s.status == 2]
        for m in ("container.cpu.utilization", "container.memory.working_set", "k8s.container.restarts",
                  "k8s.pod.ready"):
            wait(m, lambda: ("web", m) in names("shop"))
    finally:
        hotel.stop()
        for p in (load, cluster and cluster.process):
            if p:
                p.send_signal(signal.SIGTERM)
                p.wait(20)
    assert "export_failed" not in "".join(log.read_text() for log in hotel.logs.values())


def test_servers_that_go_away_come_back(backends):
    """Without PostgreSQL exports are confirmed and fresh telemetry is answered; without NATS nothing is
    confirmed. Once they are back, all that was confirmed is stored, once."""
    b = backends
    postgres, nats = b.procs[:2]
    proc, at = b.service("collector", "--flush-interval=100ms")
    raw, tel, t0 = Raw(at["grpc"]), pb.Client(at["grpc"]), time.time_ns()

    def values():
        return [v for s in tel("Telemetry/QueryMetrics", selector=dict(namespace="shop")).series for v in s.value]

    def export(i):
        raw.until_confirmed(raw.metrics, gauge_request([("x", t0 + i * 10**6, i)]))
        raw.until_confirmed(raw.logs, log_request([f"line {i}"], t0 + i * 10**6))

    export(0)
    wait("it to be stored", lambda: chunks(b, "logs") == 1)
    postgres.send_signal(signal.SIGINT)
    postgres.wait(20)
    for i in range(1, 50):
        export(i)
    wait("fresh samples", lambda: values() == list(range(50)))
    b.start(postgres.args)
    wait("postgres", lambda: b.sql("select 1") is not None)
    wait("all in PostgreSQL", lambda: chunks(b, "logs") == 50)
    nats.kill()
    nats.wait()
    with pytest.raises(grpc.RpcError) as e:
        raw.metrics(gauge_request([("x", t0 + 50 * 10**6, 50)]), timeout=20)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert values() == list(range(50))
    b.start(nats.args)
    for i in range(50, 60):
        export(i)
    wait("all", lambda: values() == list(range(60)))
    wait("all in PostgreSQL", lambda: chunks(b, "logs") == 60)
    assert chunks(b, "samples") == 60
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(15) == 0


def test_small_chunks_are_merged(backends):
    """An hour that came in pieces of ten samples: the same answers from few chunks, and corrections still win."""
    b = backends
    args = ("--memory=10s", "--flush-interval=100ms", "--flush-samples=20")
    proc, at = b.service("collector", *args)
    raw, now = Raw(at["grpc"]), time.time_ns()
    times = [now - (4400 - 10 * i) * 10**9 for i in range(360)]
    for i in range(0, 360, 10):
        for k in range(i, i + 10):
            raw.metrics(gauge_request([("x", times[k], k), ("z", times[k], 1 / (k + 1))]))
        raw.metrics(gauge_request([("x", times[i], -i)]))  # a correction
        wait("it to be stored", lambda: b.sql("select seq from telemetry.position") == str(1 + 11 * (i // 10 + 1)))

    def check(tel):
        r = tel("Telemetry/QueryMetrics", selector=dict(namespace="shop"))
        got = {s.key.metric: list(zip(s.time_ns, s.value)) for s in r.series}
        assert got == {"x": [(t, -k if k % 10 == 0 else k) for k, t in enumerate(times)],
                       "z": [(t, 1 / (k + 1)) for k, t in enumerate(times)]}

    rows = "select count(*) from telemetry.samples"
    check(pb.Client(at["grpc"]))
    assert int(b.sql(rows)) >= 2 * 36
    # merging begins a second after a start, and then once a minute
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(15) == 0
    _, at = b.service("collector", *args)
    tel = pb.Client(at["grpc"])
    while int(b.sql(rows)) > 40:  # also while they are merged
        check(tel)
    check(tel)
    raw = Raw(at["grpc"])
    raw.metrics(gauge_request([("z", times[100], 5)]))
    wait("the correction", lambda: 5 in [v for s in tel("Telemetry/QueryMetrics", selector=dict(
        namespace="shop", metric="z")).series for v in s.value])


def batch(points, ns="shop"):
    series = [dict(key=dict(namespace=ns, component="raw", metric=m), kind="gauge", unit="1", time_ns=[t], value=[v])
              for m, t, v in points]
    return pb.message("MetricBatch", namespace=ns, series=series).SerializeToString()


def metric(at, name):
    text = requests.get(f"http://{at['http']}/metrics", timeout=5).text
    return float(next((line.split()[1] for line in text.splitlines() if line.startswith(name + " ")), 0))


def test_a_stream_with_holes_and_nonsense(backends):
    """Others may publish too, and a stream may lose its head, or all: said, counted, and gone on."""
    b, t0 = backends, time.time_ns()
    proc, at = b.service("collector", "--flush-interval=100ms")
    nats = Nats(b.nats_port)
    for subject, data in (("metrics.shop", b"\xff\xff"), ("what.is.this", b""), ("spans.shop", b"\x1a\x02\x0a\x00"),
                          ("metrics.shop", batch([("a\x01b", t0, 1), ("good", t0, 1)]))):
        nats.publish(f"aceso.telemetry.{subject}", data)
    nats.flush()
    tel = pb.Client(at["grpc"])

    def got(tel, ns="shop"):
        r = tel("Telemetry/QueryMetrics", selector=dict(namespace=ns))
        return {s.key.metric: list(s.value) for s in r.series}

    wait("what makes sense", lambda: got(tel) == {"good": [1.0]})
    assert metric(at, "aceso_collector_poison_total") == 4
    odd = "a.b *>\N{SNOWMAN}"
    Raw(at["grpc"]).metrics(gauge_request([("odd", t0, 1)], ns=odd))
    wait("a namespace that is no subject", lambda: got(tel, odd) == {"odd": [1.0]})
    wait("all stored", lambda: chunks(b, "samples") == 2)
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(15) == 0

    for i in range(5):
        nats.publish("aceso.telemetry.metrics.shop", batch([("late", t0 + i, i)]))
    nats.flush()
    last = nats.stream_last("TELEMETRY")
    nats.request("$JS.API.STREAM.PURGE.TELEMETRY", json.dumps({"seq": last - 1}).encode())
    proc, at = b.service("collector", "--flush-interval=100ms")
    tel = pb.Client(at["grpc"])
    assert got(tel) == {"good": [1.0], "late": [3.0, 4.0]}
    assert metric(at, "aceso_collector_lost_messages_total") == 3
    wait("all stored", lambda: chunks(b, "samples") == 4)
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(15) == 0

    nats.request("$JS.API.STREAM.DELETE.TELEMETRY")
    proc, at = b.service("collector", "--flush-interval=100ms")
    tel = pb.Client(at["grpc"])
    Raw(at["grpc"]).metrics(gauge_request([("late", t0 + 5, 5)]))
    wait("the new stream", lambda: got(tel) == {"good": [1.0], "late": [3.0, 4.0, 5.0]})
    wait("all stored", lambda: chunks(b, "samples") == 5)

"""aceso-collector on a real PostgreSQL and NATS, fed by the OpenTelemetry SDK over gRPC and HTTP and by the
application: what was confirmed is there, once, whatever is killed."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace as otel_trace
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import grpc
import pb
from backends import BIN, backends, free_port, wait  # noqa: F401

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
                    geo.log("permission denied for table geo", severity_number=otel_severity(17),
                            attributes={"peer.service": "mongodb-geo", "codes": (1, 2)})
    geo.log({"nested": ["a", {"deep": True}]}, severity_number=otel_severity(9))
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


def otel_severity(n):
    from opentelemetry._logs import SeverityNumber
    return SeverityNumber(n)

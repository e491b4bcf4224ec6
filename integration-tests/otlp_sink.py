"""A tiny OTLP/gRPC collector for tests: keeps what the three services' Export brings."""

import concurrent.futures
import threading

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

PREFIX = "opentelemetry.proto.collector"


def attributes(pairs):
    return {a.key: a.value.string_value for a in pairs}


class Sink:
    """points, spans and logs are lists of dicts; each has `resource`."""

    def __init__(self):
        self.lock = threading.Lock()
        self.points, self.spans, self.logs = [], [], []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        for kind, module, take in (("metrics", metrics_service_pb2, self._metrics),
                                   ("trace", trace_service_pb2, self._spans),
                                   ("logs", logs_service_pb2, self._logs)):
            self._serve(kind, module, take)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def _serve(self, kind, module, take):
        name = kind.capitalize()

        def export(request, _context):
            with self.lock:
                take(request)
            return getattr(module, f"Export{name}ServiceResponse")()

        handler = grpc.unary_unary_rpc_method_handler(
            export, getattr(module, f"Export{name}ServiceRequest").FromString,
            lambda answer: answer.SerializeToString())
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            f"{PREFIX}.{kind}.v1.{name}Service", {"Export": handler}),))

    def _metrics(self, request):
        for rm in request.resource_metrics:
            resource = attributes(rm.resource.attributes)
            for metric in (m for sm in rm.scope_metrics for m in sm.metrics):
                for p in metric.gauge.data_points:
                    self.points.append({"resource": resource, "name": metric.name, "unit": metric.unit,
                                        "at": p.time_unix_nano, "value": p.as_double,
                                        "labels": attributes(p.attributes)})

    def _spans(self, request):
        for rs in request.resource_spans:
            resource = attributes(rs.resource.attributes)
            for s in (s for ss in rs.scope_spans for s in ss.spans):
                self.spans.append({"resource": resource, "name": s.name, "trace": s.trace_id,
                                   "id": s.span_id, "parent": s.parent_span_id,
                                   "error": s.status.code == 2})

    def _logs(self, request):
        for rl in request.resource_logs:
            resource = attributes(rl.resource.attributes)
            for r in (r for sl in rl.scope_logs for r in sl.log_records):
                self.logs.append({"resource": resource, "body": r.body.string_value,
                                  "trace": r.trace_id, "at": r.time_unix_nano})

    def last(self, name, service, **labels):
        """The newest value of a metric of a service; None when there is none."""
        with self.lock:
            for p in reversed(self.points):
                if (p["name"] == name and p["resource"]["service.name"] == service
                        and all(p["labels"].get(k) == v for k, v in labels.items())):
                    return p["value"]
        return None

    def stop(self):
        self.server.stop(0.5).wait()

"""The project's protobuf messages and gRPC methods, from the descriptor set that the build makes."""

import concurrent.futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from backends import BUILD

_pool = descriptor_pool.DescriptorPool()
_set = descriptor_pb2.FileDescriptorSet.FromString((BUILD / "gen/aceso.protoset").read_bytes())
for _file in _set.file:
    _pool.Add(_file)


def message(name, **fields):
    """message("Rule", name="x"): of package aceso.v1."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"aceso.v1.{name}"))(**fields)


def unpack(name, data):
    return type(message(name)).FromString(data)


def _method(path):
    service, name = path.split("/")
    m = _pool.FindServiceByName(f"aceso.v1.{service}").methods_by_name[name]
    return m, message_factory.GetMessageClass(m.input_type), message_factory.GetMessageClass(m.output_type)


class Client:
    def __init__(self, address, credentials=None, token=None):
        self.channel = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
        self.metadata = [("authorization", f"Bearer {token}")] if token else None

    def __call__(self, method, timeout=10, **fields):
        """Client(address)("Rules/List", namespace="x"); a stream gives an iterator."""
        m, request, reply = _method(method)
        make = self.channel.unary_stream if m.server_streaming else self.channel.unary_unary
        call = make(f"/aceso.v1.{method}", request_serializer=request.SerializeToString,
                    response_deserializer=reply.FromString)
        return call(request(**fields), timeout=timeout, metadata=self.metadata)


class Server:
    """Server({"Telemetry/QueryMetrics": function(request) -> reply}): a stand-in for one of the services."""

    def __init__(self, methods):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        for path, fn in methods.items():
            _, request, reply = _method(path)
            service, name = path.split("/")
            handler = grpc.unary_unary_rpc_method_handler(
                lambda r, _context, fn=fn: fn(r), request.FromString, reply.SerializeToString)
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
                f"aceso.v1.{service}", {name: handler}),))
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()

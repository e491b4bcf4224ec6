"""The project's protobuf messages and gRPC methods, from the descriptor set that the build makes."""

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


class Client:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)

    def __call__(self, method, timeout=10, **fields):
        """Client(address)("Rules/List", namespace="x"); a stream gives an iterator."""
        service, name = method.split("/")
        m = _pool.FindServiceByName(f"aceso.v1.{service}").methods_by_name[name]
        request = message_factory.GetMessageClass(m.input_type)
        reply = message_factory.GetMessageClass(m.output_type)
        make = self.channel.unary_stream if m.server_streaming else self.channel.unary_unary
        call = make(f"/aceso.v1.{method}", request_serializer=request.SerializeToString,
                    response_deserializer=reply.FromString)
        return call(request(**fields), timeout=timeout)

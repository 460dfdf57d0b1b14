"""What the API says of itself to a client that has no protos: gRPC's reflection, for admins.

There are two protocols of it, which are the same messages in two packages. grpcio has the older one, `v1alpha`; here
`v1` is made of that.
"""

from collections.abc import Iterable

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from capsuled.methods import Methods

V1ALPHA = reflection.SERVICE_NAME
V1 = "grpc.reflection.v1.ServerReflection"


def _describe_v1() -> None:
    """So that it can be asked for itself, too, as any service."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = file.name.replace("v1alpha", "v1")
    text = text_format.MessageToString(file).replace("grpc.reflection.v1alpha", "grpc.reflection.v1")
    renamed = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(renamed.SerializeToString())


_describe_v1()


def add_reflection(names: Iterable[str], methods: Methods) -> None:
    """Serve both, of these services and of themselves."""
    mirror = reflection.aio.ReflectionServicer((*names, V1ALPHA, V1))  # type: ignore[attr-defined]
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(mirror, methods)
    methods.also(V1, V1ALPHA)

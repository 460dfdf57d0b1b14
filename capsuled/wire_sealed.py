"""What has sealed values, as clients see it: secrets and registries, never a value. Pure."""

from capsule.v1 import registry_pb2, secret_pb2
from projections.secrets import users_of
from projections.state import Machine, Registry, Secret


def secret_message(machine: Machine, secret: Secret) -> secret_pb2.Secret:
    """A secret."""
    return secret_pb2.Secret(
        name=secret.name,
        uid=secret.uid,
        version=secret.version,
        size_bytes=secret.size_bytes,
        created_unix=secret.created_at // 1_000_000_000,
        rotated_unix=secret.rotated_at // 1_000_000_000,
        used_by=users_of(machine, secret.name),
    )


def registry_message(registry: Registry) -> registry_pb2.Registry:
    """How a registry is reached."""
    return registry_pb2.Registry(
        host=registry.host,
        username=registry.username,
        own_ca=bool(registry.ca),
        plain_http=registry.plain_http,
        since_unix=registry.at // 1_000_000_000,
    )

"""What a diff shows of two declarations: whatever would end a run is told, in the manifest's words."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from capsuled.wire import field_changes
from journal.specs import (
    ContainerSpec,
    HealthCheck,
    ImagePin,
    PortMapping,
    SealedEnv,
    SecretEnv,
    SecretFile,
    VolumeMount,
)
from projections.state import Workload
from tests.support.story import Story, declared
from tests.unit.capsuled.test_wire_container import FULL

WHOLE = replace(
    FULL,
    command=("sh",),
    args=("-c",),
    env=(SealedEnv("WHO", "0" * 32, 3),),
    mounts=(VolumeMount("data", "/data", True, 7),),
    ports=(PortMapping(80, 8080, "udp", "127.0.0.1"),),
    host_bind_paths=("/srv",),
    health=HealthCheck("http", port=80),
    secret_env=(SecretEnv("KEY", "key"),),
    secrets=(SecretFile("key", "/key"),),
)
"""Every field has something in it."""


UNSEEN = ((SealedEnv, "size_bytes"), (ImagePin, "index_digest"))
"""What goes with another field: the hash of a value, the digest of what runs."""


def web(spec: ContainerSpec) -> Workload:
    story = Story()
    story.apply(declared("web"))
    return replace(story["web"], spec=spec)


def others(value: Any, pair: bool = False) -> Iterator[Any]:
    """The same with one thing in it different, for each thing in it; one less, unless it is a pair."""
    match value:
        case msgspec.Struct():
            for name in value.__struct_fields__:
                if (type(value), name) not in UNSEEN:
                    yield from (replace(value, **{name: one}) for one in others(getattr(value, name)))
        case bool():
            yield not value
        case int():
            yield value + 1_000
        case str():
            yield f"{value}x"
        case tuple():
            if value and not pair:
                yield value[:-1]
            for at, item in enumerate(value):
                yield from ((*value[:at], one, *value[at + 1 :]) for one in others(item, pair=True))


def test_whatever_is_declared_otherwise_is_a_difference() -> None:
    before = web(WHOLE)
    assert field_changes(before, before) == []
    unseen = [spec for spec in others(WHOLE) if not field_changes(before, web(spec))]
    assert unseen == []


def test_differences_are_in_the_manifests_words() -> None:
    told = {path: new for _, path, _, new in field_changes(None, web(WHOLE))}
    assert told["container.ports"] == '["127.0.0.1:8080:80/udp"]'
    assert told["container.tmpfs"] == '[{"mountPath": "/tmp", "sizeBytes": 1048576}, {"mountPath": "/cache"}]'
    assert told["container.mounts"] == (
        '[{"volumeName": "data", "mountPath": "/data", "readOnly": true, "volumeUid": 7}]'
    )

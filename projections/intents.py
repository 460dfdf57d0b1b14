"""Calls as admission sees them: imperative, resolved (digests, sealed values), free of wire types."""

from typing import Literal

import msgspec

from journal.specs import ContainerSpec, ImagePin, Kind

DEFAULT_SUBNET = "172.20.254.0/24"
"""Of the bridge, where whoever starts the daemon says nothing else."""


class Declared(msgspec.Struct, frozen=True):
    """One workload of an apply. `resolved` is what `image_ref` means now, or None when nobody here knows it.

    `spec.image` is filled in by admission, which alone knows whether the old pin stays.
    """

    name: str
    kind: Kind
    spec: ContainerSpec
    image_ref: str
    resolved: ImagePin | None = None
    labels: tuple[tuple[str, str], ...] = ()
    desired: Literal["running", "stopped"] = "running"


class Apply(msgspec.Struct, frozen=True):
    """Declare workloads, all or none. `subnet` is the bridge's on this machine: addresses are chosen from it."""

    workloads: tuple[Declared, ...]
    expect_seq: int | None = None
    pull: bool = False
    subnet: str = DEFAULT_SUBNET


class Delete(msgspec.Struct, frozen=True):
    """Leave nothing of a workload."""

    name: str
    expect_seq: int | None = None


class Stop(msgspec.Struct, frozen=True):
    """Stop a workload until it is started again."""

    name: str
    expect_seq: int | None = None


class Start(msgspec.Struct, frozen=True):
    """Run a workload."""

    name: str
    expect_seq: int | None = None


class Restart(msgspec.Struct, frozen=True):
    """End the present run and begin another."""

    name: str
    expect_seq: int | None = None


Intent = Apply | Delete | Stop | Start | Restart

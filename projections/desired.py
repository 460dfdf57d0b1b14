"""What is wanted of a machine, as one hash: the same on the machine it was declared on and on one it was moved to.

Not in it is what is only so here and now: runs, addresses, what the storage shows, when and by which entry something
was declared. What is being deleted is not wanted any more.
"""

import hashlib
from typing import Any

import msgspec

from projections.state import Machine

VERSION = 1
"""Stands in the hash: one that counts more is another."""

_encoder = msgspec.msgpack.Encoder(order="deterministic")


def desired(machine: Machine) -> dict[str, Any]:
    """It as plain data, by kind and name."""
    return {
        "version": VERSION,
        "workloads": {
            name: (one.kind, one.desired, one.spec, one.labels, one.depends_on, one.drift)
            for name, one in machine.workloads.items()
            if one.desired != "deleting"
        },
        "volumes": {
            name: (one.uid, one.size_bytes, one.drift) for name, one in machine.volumes.items() if not one.deleting
        },
        "secrets": {name: (one.version, one.sealed) for name, one in machine.secrets.items()},
        "registries": {
            name: (one.username, one.secret, one.ca, one.plain_http) for name, one in machine.registries.items()
        },
        "operators": {kid: (one.public_key, one.name, one.role) for kid, one in machine.operators.items()},
    }


def desired_hash(machine: Machine) -> str:
    """Lower-case hex SHA-256 of what is wanted."""
    return hashlib.sha256(_encoder.encode(desired(machine))).hexdigest()

"""What an archive says that its machine needs, and what of it a blank machine would lack: from the archive alone.

Images, sealed values and what volumes hold are not in the journal, which only names them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from capsulectl.folding import Folding, archive_in
from journal.archive import Title
from projections.desired import desired_hash
from projections.state import Machine, Workload


class Lack(NamedTuple):
    """Something that the archive does not bring along, and what is to be done about it."""

    kind: str
    name: str
    note: str


class Remembered(NamedTuple):
    """An archive, folded."""

    title: Title
    machine: Machine

    @property
    def desired_hash(self) -> str:
        return desired_hash(self.machine)


def remembered(file: str) -> Remembered:
    """Read and prove an archive. Raises Failure."""
    with archive_in(file) as archive:
        return Remembered(archive.title, Folding(archive).all_of_it())


def needed_images(machine: Machine) -> dict[str, str]:
    """The images that its workloads are made from: digest of the index, and name. A kernel of its own needs none."""
    wanted = (one.spec.image for one in _workloads(machine) if one.spec.has_image)
    return {pin.index_digest: pin.ref for pin in wanted}


def lacks(machine: Machine, held: frozenset[str], has_values: bool) -> list[Lack]:
    """What is missing where these images' digests are held, and sealed values come along or not."""
    return [*_images(machine, held), *([] if has_values else _values(machine)), *_volumes(machine)]


def _images(machine: Machine, held: frozenset[str]) -> Iterable[Lack]:
    for digest, ref in sorted(needed_images(machine).items(), key=lambda pair: pair[1]):
        if digest in held:
            continue
        known = machine.images.get(ref)
        pushed = known is not None and known.pin.index_digest == digest and not known.pulled
        note = "was pushed: push it here, too" if pushed else "is fetched from its registry, by its digest"
        yield Lack("image", ref, note)


def _values(machine: Machine) -> Iterable[Lack]:
    for name in sorted(machine.secrets):
        yield Lack("secret", name, f"give it a value again: `capsulectl secret rotate {name}`")
    for one in _workloads(machine):
        if one.spec.env:
            names = ", ".join(variable.name for variable in one.spec.env)
            yield Lack("env", one.name, f"apply it again with its values: {names}")
    for host, registry in sorted(machine.registries.items()):
        if registry.secret or registry.ca:
            yield Lack("registry", host, f"log in again: `capsulectl image login {host}`")


def _volumes(machine: Machine) -> Iterable[Lack]:
    for name, volume in sorted(machine.volumes.items()):
        if not volume.deleting:
            yield Lack("volume", name, f"what it holds: `capsulectl volume import {name} FILE`")


def _workloads(machine: Machine) -> list[Workload]:
    return [one for _, one in sorted(machine.workloads.items()) if one.desired != "deleting"]

"""What an archive says that its machine needs, and what of it a blank machine would lack: from the archive alone.

Images, sealed values and what volumes hold are not in the journal, which only names them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from capsulectl.folding import Folding, archive_in
from journal.archive import Title
from journal.events import Event, ImageFound, ImagePulled, ImagePushed
from projections.desired import desired_hash
from projections.state import Machine, Workload


class Lack(NamedTuple):
    """Something that the archive does not bring along, and what is to be done about it."""

    kind: str
    name: str
    note: str


class Origins:
    """Where images came from, by digest, as far back as an archive goes: some name of one may mean another by now.
    `pulled`: from a registry; `pushed`: from a file, or by another hand."""

    def __init__(self) -> None:
        self.pulled: set[str] = set()
        self.pushed: set[str] = set()
        self._begun = False

    def hear(self, before: Machine, event: Event | None) -> None:
        """An entry of the archive, in order, and the state before it."""
        if not self._begun:
            self.see(before)  # its entries are not all there
            self._begun = True
        if isinstance(event, ImagePulled | ImagePushed | ImageFound):
            found = self.pulled if isinstance(event, ImagePulled) else self.pushed
            found.update(image.pin.index_digest for image in event.images)

    def see(self, machine: Machine) -> None:
        """What a state still knows."""
        for image in machine.images.values():
            (self.pulled if image.pulled else self.pushed).add(image.pin.index_digest)


class Remembered(NamedTuple):
    """An archive, folded. `unsaid`: what its history lacks without saying why, in words."""

    title: Title
    machine: Machine
    origins: Origins
    unsaid: tuple[str, ...] = ()

    @property
    def desired_hash(self) -> str:
        return desired_hash(self.machine)


def remembered(file: str) -> Remembered:
    """Read and prove an archive. Raises Failure."""
    origins = Origins()
    with archive_in(file) as archive:
        machine = Folding(archive).all_of_it(origins.hear)
    origins.see(machine)
    return Remembered(archive.title, machine, origins, archive.unsaid)


def needed_images(machine: Machine) -> dict[str, str]:
    """The images that its workloads are made from: digest of the index, and name. A kernel of its own needs none."""
    wanted = (one.spec.image for one in _workloads(machine) if one.spec.has_image)
    return {pin.index_digest: pin.ref for pin in wanted}


def lacks(past: Remembered, held: frozenset[str], values: frozenset[str]) -> list[Lack]:
    """What is missing where these images' digests are held, and the sealed values of these names come along."""
    return [*_images(past, held), *_values(past.machine, values), *_volumes(past.machine)]


def _images(past: Remembered, held: frozenset[str]) -> Iterable[Lack]:
    for digest, ref in sorted(needed_images(past.machine).items(), key=lambda pair: pair[1]):
        if digest not in held:
            yield Lack("image", ref, _whence(past, digest, ref))


def _whence(past: Remembered, digest: str, ref: str) -> str:
    """Only of what came from a registry once it is said that it comes from there again."""
    known, origins = past.machine.images.get(ref), past.origins
    means_it = known is not None and known.pin.index_digest == digest
    if known is not None and means_it and not known.pulled:
        return "was pushed: push it here, too"
    if digest in origins.pulled:
        return "is fetched from its registry, by its digest"
    if digest in origins.pushed:
        now = "its name means another image" if known is not None else "nothing has its name"
        return (
            f"was pushed, and {now} by now: push it here from the file that it came from, or `apply --pull` on the old "
            "machine and export again, before that machine goes"
        )
    return f"nothing in the archive says that it was ever pulled: see that its registry has {digest[:19]}"


def _values(machine: Machine, come: frozenset[str]) -> Iterable[Lack]:
    for name, secret in sorted(machine.secrets.items()):
        if secret.sealed not in come:
            yield Lack("secret", name, f"give it a value again: `capsulectl secret rotate {name}`")
    for one in _workloads(machine):
        if names := ", ".join(variable.name for variable in one.spec.env if variable.sealed not in come):
            yield Lack("env", one.name, f"apply it again with its values: {names}")
    for host, registry in sorted(machine.registries.items()):
        if {registry.secret, registry.ca} - {"", *come}:
            yield Lack("registry", host, f"log in again: `capsulectl image login {host}`")


def _volumes(machine: Machine) -> Iterable[Lack]:
    for name, volume in sorted(machine.volumes.items()):
        if not volume.deleting:
            yield Lack("volume", name, f"what it holds: `capsulectl volume import {name} FILE`")


def _workloads(machine: Machine) -> list[Workload]:
    return [one for _, one in sorted(machine.workloads.items()) if one.desired != "deleting"]

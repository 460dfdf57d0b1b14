"""The image cache as the journal knows it: names, what they mean, which digests are here, and who uses them."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    ImageFound,
    ImageLost,
    ImagePulled,
    ImagePushed,
    ImageRemovalRequested,
    ImageRemoved,
    PushedImage,
)
from projections import troubles
from projections.foreign import IMAGE, marked
from projections.handlers import Handlers
from projections.refusals import Refusal, conflict
from projections.state import CachedDigest, Image, Machine, Workload
from projections.updates import unconfirmed

PARTIAL = "partial"
"""Stands in `leaving` for what interrupted pushes and pulls left; no name and no digest is written like this."""


# --- who uses what -----------------------------------------------------------------------------------------------


class Leaving(msgspec.Struct, frozen=True):
    """Names and digests that can leave the cache."""

    refs: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


def users(machine: Machine, index_digest: str) -> tuple[str, ...]:
    """The workloads whose present spec is pinned to this image, running or not."""
    return tuple(
        name for name, workload in sorted(machine.workloads.items()) if workload.spec.image.index_digest == index_digest
    )


def names_of(machine: Machine, index_digest: str) -> tuple[str, ...]:
    """The names that mean this image."""
    return tuple(ref for ref, image in sorted(machine.images.items()) if image.pin.index_digest == index_digest)


def record_named(machine: Machine, digest: str) -> str:
    """The digest under which an image is kept, that which its name points at; this machine's manifest in it means it,
    too. One that nothing is kept under stays as it is."""
    if digest in machine.cached:
        return digest
    return min((one.index_digest for one in machine.cached.values() if one.platform_digest == digest), default=digest)


def kept(machine: Machine) -> frozenset[str]:
    """The images that the last revisions of any workload may need: no clean-up takes them."""
    return frozenset(
        pin.index_digest
        for workload in machine.workloads.values()
        for pin in (workload.spec.image, *(revision.image for revision in workload.revisions))
    )


def unnamed_by(machine: Machine, refs: Iterable[str]) -> tuple[str, ...]:
    """The digests that no revision keeps and that would have no name once `refs` are gone."""
    gone, keep = frozenset(refs), kept(machine)
    named = {image.pin.index_digest for ref, image in machine.images.items() if ref not in gone}
    return tuple(digest for digest in sorted(machine.cached) if digest not in named and digest not in keep)


def collectable(machine: Machine, everything: bool) -> Leaving:
    """What a clean-up takes: images without a name that no revision keeps; with `everything` also those with one."""
    keep = kept(machine)
    refs = tuple(
        ref for ref, image in sorted(machine.images.items()) if everything and image.pin.index_digest not in keep
    )
    return Leaving(refs, unnamed_by(machine, refs))


def check_removable(machine: Machine) -> Refusal | None:
    """While a system is on trial nothing leaves: containerd's records are as before it once the machine went back, and
    would name what is not there any more."""
    if not unconfirmed(machine):
        return None
    return conflict(
        "TENTATIVE",
        "what runs is not confirmed, and the system before would still count on the image, which would be gone: "
        "`capsulectl update confirm` or `capsulectl update rollback` first",
    )


def leaving_now(machine: Machine) -> dict[str, int]:
    """What is to leave, and may now, by the entry that asked for it: what was asked for before a trial waits for its
    end, too."""
    return {} if unconfirmed(machine) else machine.leaving


# --- the fold ----------------------------------------------------------------------------------------------------


def _arrived(machine: Machine, header: Header, image: PushedImage, pulled: bool = False) -> None:
    """The image is here, and its name (if it has one) means it. What was to leave before, stays."""
    pin = image.pin
    machine.cached[pin.index_digest] = CachedDigest(pin.index_digest, pin.platform_digest, image.size_bytes, header.seq)
    machine.leaving.pop(pin.index_digest, None)
    machine.missing.pop(pin.index_digest, None)
    if pin.ref:
        machine.images[pin.ref] = Image(pin, image.size_bytes, header.seq, header.at, pulled)
        machine.leaving.pop(pin.ref, None)
    _relieve(machine, image)


def _relieve(machine: Machine, image: PushedImage) -> None:
    """What could not be had, is here: whoever waited for it, waits no longer. And whoever was to move the name, need
    not: it means something newer now."""
    # Of all workloads, few wait for anything: told apart by what is quick to look at.
    waiting = [
        workload
        for workload in machine.workloads.values()
        if workload.asked or workload.pulling or workload.trouble is not None
    ]
    for workload in waiting:
        mine, after = workload.spec.image, workload
        if mine.ref == image.pin.ref and workload.asked:
            after = replace(after, asked=False)
        if mine.index_digest == image.pin.index_digest:
            after = relieved(after)
        if after is not workload:
            machine.workloads[workload.name] = after


def relieved(workload: Workload) -> Workload:
    """Without the trouble of getting its image."""
    if workload.pulling:
        workload = replace(workload, pulling=False)
    return troubles.relieved(workload, "EnsureImage")


def image_pushed(machine: Machine, header: Header, event: ImagePushed) -> None:
    """The names now mean these digests; workloads stay pinned to what they were applied with."""
    for image in event.images:
        _arrived(machine, header, image)


def image_pulled(machine: Machine, header: Header, event: ImagePulled) -> None:
    """The same; and what the names mean came from their registry, where it can be asked for again."""
    for image in event.images:
        _arrived(machine, header, image, pulled=True)


def image_found(machine: Machine, header: Header, event: ImageFound) -> None:
    """As if it had been pushed."""
    for image in event.images:
        _arrived(machine, header, image)


def removal_requested(machine: Machine, header: Header, event: ImageRemovalRequested) -> None:
    """Until it is done, nobody may count on them any more."""
    for record in (*event.refs, *event.digests, *((PARTIAL,) if event.partial else ())):
        machine.leaving[record] = header.seq


def image_removed(machine: Machine, header: Header, event: ImageRemoved) -> None:
    """They are gone."""
    _forget(machine, event.refs, event.digests)
    if event.partial:
        machine.leaving.pop(PARTIAL, None)


def image_lost(machine: Machine, header: Header, event: ImageLost) -> None:
    """They are gone, too; a workload that needs one has it pulled again, when it begins its next run."""
    _forget(machine, event.refs, event.digests)
    needed = {workload.spec.image.index_digest for workload in machine.workloads.values()}
    gone = {
        digest: marked(header, IMAGE, "it is not in the image cache any more", "repair") for digest in event.digests
    }
    machine.missing = {digest: one for digest, one in {**machine.missing, **gone}.items() if digest in needed}


def _forget(machine: Machine, refs: tuple[str, ...], digests: tuple[str, ...]) -> None:
    for ref in refs:
        machine.images.pop(ref, None)
        machine.leaving.pop(ref, None)
    for digest in digests:
        machine.cached.pop(digest, None)
        machine.leaving.pop(digest, None)


HANDLERS: Handlers = {
    ImagePushed: image_pushed,
    ImagePulled: image_pulled,
    ImageRemovalRequested: removal_requested,
    ImageRemoved: image_removed,
    ImageFound: image_found,
    ImageLost: image_lost,
}

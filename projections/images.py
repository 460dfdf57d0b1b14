"""Image names and what they last meant when an archive brought them."""

from journal.entry import Header
from journal.events import ImagePushed
from projections.handlers import Handlers
from projections.state import Image, Machine


def image_pushed(machine: Machine, header: Header, event: ImagePushed) -> None:
    """The names now mean these digests; workloads stay pinned to what they were applied with."""
    for pushed in event.images:
        machine.images[pushed.pin.ref] = Image(
            pin=pushed.pin, size_bytes=pushed.size_bytes, seq=header.seq, pushed_at=header.at
        )


HANDLERS: Handlers = {ImagePushed: image_pushed}

"""How a copy into a workload goes on when the daemon has no word on pipes."""

from collections.abc import Iterator

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import copying
from capsulectl.copying import Inside, Progress


def said(offer: str | None) -> Iterator[pb.WorkloadCopyToRequest]:
    outgoing = copying._Outgoing(Inside("web", "/x"), iter([b"ab", b"c"]), Progress("here"))
    if offer is not None:
        outgoing.offer.set_result(offer)
    return map(pb.WorkloadCopyToRequest.FromString, outgoing.messages())


@pytest.mark.parametrize("offer", [None, "", "/none/such"])
def test_without_a_pipe_the_archive_goes_by_messages(offer: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon from before there were pipes says nothing until the archive has come."""
    monkeypatch.setattr(copying, "OFFER_S", 0.05)
    first, *rest = said(offer)
    assert first.metadata.name == "web" and [one.chunk for one in rest] == [b"ab", b"c"]

"""A type of events that there is none of is a mistake, and what was meant is named."""

import asyncio
from collections.abc import Iterator

import pytest

from capsuled.aside import Aside
from capsuled.event_types import unknown_type
from capsuled.history import History


@pytest.mark.parametrize("wanted", ["workload.started", "workload.", "call.read", "snapshot."])
def test_what_there_may_be_can_be_asked_for(wanted: str) -> None:
    assert unknown_type(wanted) is None


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("workload.start", "do you mean workload.started"),
        ("workload", "do you mean workload.?"),
        ("worklaod.", "do you mean workload."),
        ("workload.started.", "do you mean workload.started"),
        ("applied", "do you mean workload.applied or volume.applied"),
        ("x", "`capsulectl history`"),
    ],
)
def test_what_there_cannot_be_is_refused_with_what_may_be_meant(wanted: str, hint: str) -> None:
    refusal = unknown_type(wanted)
    assert refusal is not None and (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("type",))
    assert hint in refusal.message


def test_a_refusal_does_not_repeat_whatever_length_it_was_given() -> None:
    refusal = unknown_type("x" * 100_000)
    assert refusal is not None and len(refusal.message) < 300


class Newer:
    """A journal into which a newer release has written an event of a type of its own."""

    def of_type(self, tag: str) -> Iterator[str]:
        yield from ["an entry"] if tag == "workload.danced" else []


def test_what_a_newer_release_has_written_can_be_asked_for() -> None:
    history = History(Newer(), None, Aside())  # type: ignore[arg-type]

    async def asked() -> None:
        assert await history.lacks("workload.danced") is None
        assert await history.lacks("workload.sung") is not None
        assert await history.lacks("") is None

    asyncio.run(asked())

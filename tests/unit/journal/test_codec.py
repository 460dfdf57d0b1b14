"""Events over releases: known ones round trip, old ones are cast up, unknown ones are skipped or freeze."""

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import codec
from journal.codec import BadBody, UnknownMust, decode, encode, plain, read, reader_level
from journal.entry import MalformedEntry, unpack
from journal.events import EVENT_TYPES, Event, WorkloadStopRequested, type_of
from tests.support.chance import events
from tests.support.entries import Ledger, excised, value_of


@settings(max_examples=300)
@given(events())
def test_an_event_is_what_it_was_after_a_round_through_the_store(event: Event) -> None:
    assert decode(Ledger().add(event)) == event
    assert decode(Ledger().forge(type_of(event), encode(event), event.EFFECT, event.VERSION)) == event


def _outcome(step: Callable[[], object]) -> object:
    try:
        return step()
    except (MalformedEntry, UnknownMust, BadBody) as error:
        return type(error), str(error)


@settings(max_examples=100)
@given(events(), st.data())
def test_reading_straight_away_comes_to_what_reading_step_by_step_does(event: Event, data: st.DataObject) -> None:
    value = value_of(Ledger().add(event))
    cut = value[: data.draw(st.integers(0, len(value)))]
    place = data.draw(st.integers(0, len(value) - 1))
    flipped = value[:place] + bytes([value[place] ^ 0x41]) + value[place + 1 :]
    for one in (value, cut, flipped, value_of(excised(Ledger().add(event)))):

        def step_by_step(one: bytes = one) -> object:
            stored = unpack(one)
            return stored.header, decode(stored)

        assert _outcome(lambda one=one: read(one)) == _outcome(step_by_step)  # type: ignore[misc]


def test_the_union_is_closed_over_every_event_with_a_tag_of_its_own() -> None:
    ours = {kind for kind in Event.__subclasses__() if kind.__module__.startswith("journal.")}  # tests have their own
    assert set(EVENT_TYPES) == ours
    assert len({type_of(kind) for kind in EVENT_TYPES}) == len(EVENT_TYPES)


def test_defaults_are_left_out_of_the_stored_body() -> None:
    for kind in EVENT_TYPES:
        required = {field.name for field in msgspec.structs.fields(kind) if field.required}
        hints = get_type_hints(kind)
        body = encode(kind(**{name: _least(hints[name]) for name in required}))
        assert msgspec.msgpack.decode(body).keys() == required | {"type"}


def _least(hint: Any) -> Any:
    if hint in (int, str):
        return hint()
    if str(hint).startswith("typing.Literal"):
        return get_args(hint)[0]
    return ()


def test_an_unknown_may_entry_is_nothing_to_a_release_that_does_not_know_it() -> None:
    stored = Ledger().forge("weather.noticed", {"sky": "grey"}, "may")
    assert decode(stored) is None
    assert plain(stored) == {"sky": "grey"}


def test_an_unknown_must_entry_is_never_skipped() -> None:
    stored = Ledger(release="9.0.0").forge("workload.teleported", {"name": "web"})
    with pytest.raises(UnknownMust, match=r"entry 1 is a workload\.teleported .* release 9\.0\.0") as caught:
        decode(stored)
    assert caught.value.header.type == "workload.teleported"


@pytest.mark.parametrize(("effect", "frozen"), [("must", True), ("may", False)])
def test_a_newer_version_of_a_known_event_is_as_unknown_as_a_new_one(effect: Any, frozen: bool) -> None:
    stored = Ledger().forge("workload.stop_requested", {"name": "web", "uid": 1}, effect, version=2)
    if frozen:
        with pytest.raises(UnknownMust, match="version 2"):
            decode(stored)
    else:
        assert decode(stored) is None


def test_an_older_version_is_cast_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(body: dict[str, Any]) -> dict[str, Any]:
        return {"type": body["type"], "name": body["workload"]}

    def numbered(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "uid": 7}

    monkeypatch.setitem(codec.UPCASTERS, ("workload.stop_requested", -1), named)
    monkeypatch.setitem(codec.UPCASTERS, ("workload.stop_requested", 0), numbered)
    old = {"type": "workload.stop_requested", "workload": "web"}
    assert decode(Ledger().forge("workload.stop_requested", old, version=-1)) == WorkloadStopRequested("web", 7)


def test_what_an_upcaster_makes_must_fit_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.UPCASTERS, ("workload.stop_requested", 0), lambda body: {**body, "uid": "seven"})
    with pytest.raises(BadBody, match=r"entry 1 \(workload\.stop_requested\)"):
        decode(Ledger().forge("workload.stop_requested", {"type": "workload.stop_requested", "name": "a"}, version=0))


@pytest.mark.parametrize("tag", ["workload.applied", "workload.teleported"])
def test_an_excised_body_is_no_event_whatever_it_was(tag: str) -> None:
    stored = excised(Ledger().forge(tag, {"name": "web"}))
    assert decode(stored) is None and plain(stored) == {}


@pytest.mark.parametrize("body", [b"\xc1", b"\x81\xa4name", b"\x90", b"\x81\xa4type\xa4nope", b"\x80"])
def test_a_body_that_its_type_cannot_hold_is_named_by_its_entry(body: bytes) -> None:
    with pytest.raises(BadBody, match=r"entry 1 \(workload\.stop_requested\)"):
        decode(Ledger().forge("workload.stop_requested", body))


def test_a_field_of_a_newer_release_does_not_hinder_the_rest() -> None:
    body = {"type": "workload.stop_requested", "name": "web", "uid": 1, "gently": True}
    assert decode(Ledger().forge("workload.stop_requested", body)) == WorkloadStopRequested("web", 1)


def test_the_plain_body_is_a_mapping_whatever_stands_there() -> None:
    for body in (b"\x93\x01\x02\x03", b"\xc1", b"\x81\xa4name"):
        assert plain(Ledger().forge("weather.noticed", body, "may")) == {}


def test_the_reader_level_names_every_event_with_its_version() -> None:
    level = reader_level()
    assert level == {type_of(kind): kind.VERSION for kind in EVENT_TYPES}
    assert set(level.values()) == {1}


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_no_body_makes_decoding_fail_in_another_way(body: bytes) -> None:
    for tag in ("workload.applied", "weather.noticed"):
        try:
            decode(Ledger().forge(tag, body or b"\x80", "may"))
        except BadBody:
            pass
